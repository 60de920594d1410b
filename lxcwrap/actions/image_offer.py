"""What the two sides of ``image copy`` say to each other, in frames on a command's standard input and output.

The sender: OFFER (JSON), then each image's configuration and manifest as a DOCUMENT.  The receiver, once: WANTED
(JSON), the layers that it lacks and how much of each it has kept.  The sender, for each of these: LAYER (JSON), PIECEs,
END (JSON).  The receiver, when all of it is known there: DONE (JSON).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from lxcwrap.errors import Corrupt, UsageError
from lxcwrap.model import digest as digests
from lxcwrap.model import reference as references
from lxcwrap.model.image import LAYERS, OCI_LAYER_GZIP, ImageConfig, Manifest, decode, encode

OFFER, DOCUMENT, LAYER, PIECE, END = b"o", b"d", b"l", b"p", b"e"
WANTED, DONE = b"w", b"y"

Send = Callable[[bytes, bytes], None]
Receive = Callable[[bytes], bytes]  # the payload of the next frame, which must be of that kind


@dataclass(frozen=True)
class Form:
    """The form in which a layer would come: a known blob, or (``digest`` is '') a gzip that is still to be made."""

    diff_id: str
    digest: str = ""
    media_type: str = OCI_LAYER_GZIP
    size: int = 0  # bytes; 0 where it is not known

    @property
    def key(self) -> str:
        """What a part of it is kept by, the same in every form: one that was made is a known blob the next time."""
        return digests.of(f"copy of {self.diff_id}".encode())

    @classmethod
    def from_json(cls, plain: Any) -> Form:
        """Raises Corrupt, KeyError, TypeError or ValueError."""
        digest, media_type = plain["digest"], plain["media_type"]
        if media_type not in LAYERS:
            raise Corrupt(f"a layer of type {media_type!r:.120}")
        diff_id = digests.check(plain["diff_id"], "diff ID")
        return cls(diff_id, digest and digests.check(digest), media_type, int(plain["size"]))


@dataclass(frozen=True)
class Offered:
    """An image: its documents as they are, its names (canonical), and the digests that repositories know it by."""

    config: bytes
    manifest: bytes
    names: tuple[str, ...]
    digests: tuple[tuple[str, str], ...]

    @property
    def id(self) -> str:
        return digests.of(self.config)

    @property
    def parsed(self) -> ImageConfig:
        return ImageConfig.from_json(decode(self.config))

    def check(self) -> None:
        """Raises Corrupt or ValueError when the documents do not belong together, or a name is none."""
        manifest = Manifest.from_json(decode(self.manifest))
        if manifest.config.digest != self.id or len(manifest.layers) != len(self.parsed.diff_ids):
            raise Corrupt(f"the manifest of image {self.id} is another's")
        for name in self.names:
            reference = references.parse(name)
            if reference.digest or reference.canonical != name:
                raise Corrupt(f"{name!r:.200} is not an image's whole name")
        for repository, digest in self.digests:
            if references.parse(repository).repository != repository:
                raise Corrupt(f"{repository!r:.200} is not a repository's whole name")
            digests.check(digest)


@dataclass(frozen=True)
class Offer:
    """Some images, and the form of each layer that is in one of them."""

    images: tuple[Offered, ...]
    forms: tuple[Form, ...]

    def send(self, send: Send) -> None:
        named = [{"names": image.names, "digests": image.digests} for image in self.images]
        send(OFFER, encode({"images": named, "layers": [asdict(form) for form in self.forms]}))
        for image in self.images:
            send(DOCUMENT, image.config)
            send(DOCUMENT, image.manifest)

    @classmethod
    def receive(cls, receive: Receive) -> Offer:
        """Raises Corrupt for what is none."""
        try:
            plain = decode(receive(OFFER))
            forms = tuple(map(Form.from_json, plain["layers"]))
            images = tuple(
                Offered(receive(DOCUMENT), receive(DOCUMENT), tuple(map(str, item["names"])), _pairs(item["digests"]))
                for item in plain["images"]
            )
            known = {form.diff_id for form in forms}
            for image in images:
                image.check()
                if not known.issuperset(image.parsed.diff_ids):
                    raise Corrupt(f"a layer of image {image.id} is not among them")
        except (ValueError, KeyError, TypeError, AttributeError, UsageError) as error:
            raise Corrupt(f"what is offered is not understood: {error!r:.200}") from None
        return cls(images, forms)


def _pairs(plain: Any) -> tuple[tuple[str, str], ...]:
    return tuple((str(repository), str(digest)) for repository, digest in plain)


@dataclass(frozen=True)
class Wanted:
    """A layer that is not there; ``digest`` is that of the ``offset`` bytes of its form that were kept."""

    diff_id: str
    offset: int = 0
    digest: str = ""


def encode_wanted(wanted: tuple[Wanted, ...]) -> bytes:
    return encode([asdict(item) for item in wanted])


def decode_wanted(content: bytes, offer: Offer) -> tuple[Wanted, ...]:
    """Raises ValueError when the answer does not fit what was offered."""
    known = {form.diff_id for form in offer.forms}
    try:
        wanted = tuple(Wanted(str(i["diff_id"]), int(i["offset"]), str(i["digest"])) for i in decode(content))
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a list of layers: {error!r:.100}") from None
    names = [item.diff_id for item in wanted]
    if len(set(names)) < len(names) or not known.issuperset(names) or any(item.offset < 0 for item in wanted):
        raise ValueError("layers that were not offered")
    return wanted
