"""The far side of ``image copy``: images that come layer by layer, as far as they are not here.

Each layer is hashed, unpacked and kept while it comes.  When the sender is gone the parts stay beside those of cut
pulls, and the next copy goes on there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from lxcwrap.actions import image_offer as words
from lxcwrap.actions.disk import full_is_said
from lxcwrap.actions.image_offer import Form, Offer, Send, Wanted
from lxcwrap.actions.layer_unpack import unpack
from lxcwrap.archive.growing import Growing
from lxcwrap.errors import Corrupt, LxcwrapError, Unsafe
from lxcwrap.model import digest as digests
from lxcwrap.model.image import decode, encode
from lxcwrap.model.paths import Paths
from lxcwrap.runtime import frames
from lxcwrap.storage.driver import Driver
from lxcwrap.store import blobs, images, layers, partial, staging
from lxcwrap.store.database import Store
from lxcwrap.store.layers import Layer, LayerBlob
from lxcwrap.store.unrecorded import undone_on_failure

EXTRACTIONS = 3


class Cut(LxcwrapError):
    """The sender is gone."""


def receive(store: Store, driver: Driver, source: int, target: int) -> None:
    """Take in what the sender at the descriptors offers.

    Raises Cut, Corrupt, Unsafe or NoSpace; each image is whole or not there.
    """

    def take(kind: bytes) -> bytes:
        return _frame(source, (kind,))[1]

    def send(kind: bytes, payload: bytes) -> None:
        frames.write(target, kind, payload)

    staging.sweep(store.paths)
    offer = Offer.receive(take)
    forms = {form.diff_id: form for form in offer.forms}
    try:
        with full_is_said(store.paths), layers.keeping(store):
            keys = {forms[layer.diff_id].key for layer in _missing(store, offer)}
            with partial.held(store.paths, keys), staging.directory(store.paths, "copy") as stage:
                missing = _missing(store, offer)  # another may have brought some while we waited
                arrivals = _Arrivals(store.paths, driver, forms, missing, stage)
                with arrivals.kept_when_cut():
                    arrivals.take_all(source, send)
                    for layer, staged in arrivals.unpacked():
                        layers.add(store, layer, staged)
                _record(store, offer, arrivals)
            partial.sweep(store.paths, {form.key for form in offer.forms} - keys)  # of layers that came otherwise
    finally:
        layers.collect(store)
    send(words.DONE, encode([image.id for image in offer.images]))


def _frame(source: int, kinds: tuple[bytes, ...]) -> tuple[bytes, bytes]:
    """The next frame.  Raises Cut or Corrupt."""
    try:
        frame = frames.read_one(source)
    except ValueError as error:
        raise Cut(f"the sender was cut off: {error}") from None
    if frame is None:
        raise Cut("the sender was cut off")
    if frame[0] not in kinds:
        raise Corrupt(f"the sender says {frame[0]!r} where {kinds!r} belongs")
    return frame


def _missing(store: Store, offer: Offer) -> tuple[Layer, ...]:
    """The layers (of unknown size) that are not here, each after the one below it."""
    found: dict[str, Layer] = {}
    for image in offer.images:
        diff_ids = image.parsed.diff_ids
        chain = digests.chain_ids(diff_ids)
        for chain_id, diff_id, below in zip(chain, diff_ids, (None, *chain), strict=False):
            if not layers.find(store, chain_id):
                found.setdefault(chain_id, Layer(chain_id, diff_id, below, 0))
    return tuple(found.values())


@dataclass(frozen=True)
class _Job:
    layer: Layer
    staged: str
    size: Future[int]


class _Arrivals:
    """The layers that come: their forms as they grow, and what unpacks them."""

    def __init__(
        self, paths: Paths, driver: Driver, forms: dict[str, Form], missing: tuple[Layer, ...], stage: str
    ) -> None:
        self._paths = paths
        self._driver = driver
        self._missing = missing
        self._stage = stage
        self._forms = {layer.diff_id: forms[layer.diff_id] for layer in missing}
        self._contents: dict[str, Growing] = {}
        self._jobs: dict[str, _Job] = {}
        self._error: BaseException | None = None
        self._pool = ThreadPoolExecutor(EXTRACTIONS)

    @contextmanager
    def kept_when_cut(self) -> Iterator[None]:
        """Ends everything at the end.  Parts are discarded when it was not the sender's end that ended it."""
        try:
            yield
        except BaseException as error:
            for content in self._contents.values():
                content.fail(error)
            self._pool.shutdown(cancel_futures=True)
            if isinstance(error, Corrupt | Unsafe | OSError) and not isinstance(error, BrokenPipeError):
                for form in self._forms.values():
                    partial.discard(self._paths, form.key)
            raise
        finally:
            self._pool.shutdown()
            for content in self._contents.values():
                content.close()

    def take_all(self, source: int, send: Send) -> None:
        """Ask for what is not here, and take it in.  Raises Cut, Corrupt, Unsafe or OSError."""
        wanted = tuple(filter(None, (self._begun(form) for form in self._forms.values())))
        send(words.WANTED, words.encode_wanted(wanted))
        for item in wanted:
            self._take(source, item)

    def _begun(self, form: Form) -> Wanted | None:
        """What is still to come of a form.  Whole ones are unpacked already."""
        if form.digest:
            partial.reuse(self._paths, form.digest, form.key)
        content = self._open(form)
        content.adopt_existing()
        if form.digest and content.digest == form.digest:
            content.finish()
            self._unpack(form.diff_id)
            return None
        if form.digest and content.size >= form.size:
            content = self._anew(form)
        return Wanted(form.diff_id, content.size, content.digest if content.size else "")

    def _open(self, form: Form) -> Growing:
        content = self._contents[form.diff_id] = Growing(partial.path(self._paths, form.key))
        return content

    def _anew(self, form: Form) -> Growing:
        """Without what was kept."""
        self._contents[form.diff_id].close()
        partial.discard(self._paths, form.key)
        return self._open(form)

    def _take(self, source: int, wanted: Wanted) -> None:
        """One layer: its compressed tar.  Single files of a changed layer would come in here, as another kind."""
        form = self._forms[wanted.diff_id]
        begin = _object(_frame(source, (words.LAYER,))[1])
        if begin.get("diff_id") != wanted.diff_id or begin.get("offset") not in (0, wanted.offset):
            raise Corrupt(f"the sender begins with another layer than {wanted.diff_id}")
        content = self._contents[form.diff_id]
        if wanted.offset and not begin["offset"]:  # what was kept is none of it
            content = self._anew(form)
        self._unpack(form.diff_id)
        while True:
            kind, payload = _frame(source, (words.PIECE, words.END))
            if self._error:
                raise self._error
            if kind == words.END:
                break
            content.write(payload)
        self._finish(form, content, _object(payload))

    def _finish(self, form: Form, content: Growing, end: dict[str, object]) -> None:
        expected = form.digest or end.get("digest")
        if content.digest != expected:
            raise Corrupt(f"layer {form.diff_id} came as {content.digest}, not as {expected!r:.100}")
        content.finish()

    def _unpack(self, diff_id: str) -> None:
        """Begin with it: for each stack that has such a layer."""
        for layer in self._missing:
            if layer.diff_id == diff_id:
                staged = f"{self._stage}/{len(self._jobs)}"
                size = self._pool.submit(
                    unpack, self._driver, self._contents[diff_id], staged, diff_id,
                    what=f"layer {diff_id}", failed=self._fail,
                )  # fmt: skip
                size.add_done_callback(self._note)
                self._jobs[layer.chain_id] = _Job(layer, staged, size)

    def _note(self, size: Future[int]) -> None:
        error = None if size.cancelled() else size.exception()
        if error:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        self._error = self._error or error

    def unpacked(self) -> Iterable[tuple[Layer, str]]:
        """Each layer with its staged directory, as soon as it is whole, lowest first."""
        for layer in self._missing:
            job = self._jobs[layer.chain_id]
            yield Layer(layer.chain_id, layer.diff_id, layer.parent, job.size.result()), job.staged

    def blobs(self) -> tuple[tuple[str, LayerBlob], ...]:
        """What has come, each with the key of its part."""
        return tuple((form.key, self._blob(form)) for form in self._forms.values())

    def _blob(self, form: Form) -> LayerBlob:
        content = self._contents[form.diff_id]
        return LayerBlob(content.digest, form.diff_id, form.media_type, content.size)


def _object(content: bytes) -> dict[str, object]:
    """Raises Corrupt."""
    try:
        plain = decode(content)
    except ValueError:
        plain = None
    if not isinstance(plain, dict):
        raise Corrupt("what the sender says of a layer is not understood")
    return plain


def _record(store: Store, offer: Offer, arrivals: _Arrivals) -> None:
    came = arrivals.blobs()
    documents = [digests.of(text) for image in offer.images for text in (image.config, image.manifest)]
    with undone_on_failure(store, [*documents, *(blob.digest for _, blob in came)]):
        for key, blob in came:
            partial.adopt(store.paths, key, blob.digest)
        for image in offer.images:
            blobs.write(store.paths, image.config)
            blobs.write(store.paths, image.manifest)
        layers.settle(store)
        with store.transaction():
            for _, blob in came:
                layers.add_blob(store, blob)
            for image in offer.images:
                _record_image(store, image)


def _record_image(store: Store, image: words.Offered) -> None:
    images.add(store, image.id, digests.of(image.manifest), image.parsed)
    for repository, digest in image.digests:
        images.add_digest(store, repository, digest, image.id)
    for name in image.names:
        images.tag(store, name, image.id, event="")
    store.event("image", "load", image.id, {"name": image.names[0] if image.names else image.id})
