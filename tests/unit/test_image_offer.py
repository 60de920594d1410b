"""What the two sides of ``image copy`` say to each other, and what neither believes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lxcwrap.actions import image_offer as words
from lxcwrap.actions.image_offer import Form, Offer, Offered, Wanted
from lxcwrap.actions.layer_contents import begins_with
from lxcwrap.archive.growing import Growing
from lxcwrap.errors import Corrupt
from lxcwrap.model.image import OCI_LAYER_ZSTD, encode
from tests.image_files import image, layer

MADE = image([layer({"a": b"a"}), layer({"b": b"b"})])
CONFIG, MANIFEST = MADE.blobs[MADE.config], MADE.blobs[MADE.manifest]
DIFF_IDS = json.loads(CONFIG)["rootfs"]["diff_ids"]
NAME = "docker.io/me/app:1"
OFFER = Offer(
    (Offered(CONFIG, MANIFEST, (NAME,), (("docker.io/me/app", MADE.manifest),)),),
    (Form(DIFF_IDS[0], MADE.layers[0], OCI_LAYER_ZSTD, 123), Form(DIFF_IDS[1])),
)

Frames = list[tuple[bytes, bytes]]


def spoken(offer: Offer) -> Frames:
    said: Frames = []
    offer.send(lambda kind, payload: said.append((kind, payload)))
    return said


def heard(said: Frames) -> Offer:
    rest = iter(said)

    def receive(kind: bytes) -> bytes:
        found, payload = next(rest)
        assert found == kind
        return payload

    return Offer.receive(receive)


def test_an_offer_arrives_as_it_was() -> None:
    assert heard(spoken(OFFER)) == OFFER
    assert OFFER.images[0].id == MADE.config


Change = Callable[[dict[str, list[dict[str, object]]]], object]


@pytest.mark.parametrize(
    "change",
    [
        lambda offer: offer["layers"].pop(),
        lambda offer: offer["layers"][0].update(digest="sha256:../../etc"),
        lambda offer: offer["layers"][0].update(diff_id="x"),
        lambda offer: offer["layers"][0].update(media_type="text/html"),
        lambda offer: offer["layers"][0].update(size="many"),
        lambda offer: offer["layers"][0].pop("size"),
        lambda offer: offer["images"][0].update(names=["app"]),
        lambda offer: offer["images"][0].update(names=["docker.io/me/app:1\nlxc.hook"]),
        lambda offer: offer["images"][0].update(names=5),
        lambda offer: offer["images"][0].update(digests=[["docker.io/me/app", "latest"]]),
        lambda offer: offer["images"][0].update(digests=["x"]),
        lambda offer: offer.update(images=None),
    ],
)
def test_an_offer_that_is_none(change: Change) -> None:
    said = spoken(OFFER)
    plain = json.loads(said[0][1])
    change(plain)
    said[0] = (words.OFFER, encode(plain))
    with pytest.raises(Corrupt):
        heard(said)


def test_documents_that_do_not_belong_together() -> None:
    other = image([layer({"a": b"a"})])
    for config, manifest in (
        (CONFIG, other.blobs[other.manifest]),
        (other.blobs[other.config], MANIFEST),
        (b"[" * 100_000, MANIFEST),
        (b"{}", MANIFEST),
        (CONFIG, b"\xff"),
    ):
        said = spoken(OFFER)
        said[1:] = [(words.DOCUMENT, config), (words.DOCUMENT, manifest)]
        with pytest.raises(Corrupt):
            heard(said)


def test_what_is_wanted() -> None:
    wanted = (Wanted(DIFF_IDS[1], 7, "sha256:x"), Wanted(DIFF_IDS[0]))
    assert words.decode_wanted(words.encode_wanted(wanted), OFFER) == wanted
    item = {"diff_id": DIFF_IDS[0], "offset": 0, "digest": ""}
    for answer in (5, [1], ["x"], [{}], [{**item, "offset": -1}], [{**item, "offset": None}], [item, item]):
        with pytest.raises(ValueError):
            words.decode_wanted(encode(answer), OFFER)
    with pytest.raises(ValueError):
        words.decode_wanted(encode([{**item, "diff_id": "sha256:" + "0" * 64}]), OFFER)
    with pytest.raises(ValueError):
        words.decode_wanted(b"\xff{", OFFER)


def test_parts_of_different_layers_are_kept_apart() -> None:
    """And from blobs and layers of these digests; a form that is known the next time goes on with what was kept."""
    assert Form(DIFF_IDS[0], MADE.layers[0]).key == Form(DIFF_IDS[0]).key
    assert len({Form(DIFF_IDS[0]).key, Form(DIFF_IDS[1]).key, *DIFF_IDS, *MADE.layers}) == 6


def test_what_was_kept_is_compared(tmp_path: Path) -> None:
    content = Growing(str(tmp_path / "content"))
    content.write(b"0123456789")
    content.finish()
    beginning = f"sha256:{hashlib.sha256(b'01234').hexdigest()}"
    assert begins_with(content, 5, beginning)
    assert not begins_with(content, 6, beginning)
    assert not begins_with(content, 1 << 40, beginning) and not begins_with(content, 0, "")
    content.close()
