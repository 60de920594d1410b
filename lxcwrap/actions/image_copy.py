"""``image copy``: images from here to other hosts, which are sent the layers that they lack.

All hosts at once, each over one connection, on which a command there says what it lacks and takes it in.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass

from lxcwrap.actions import far
from lxcwrap.actions import image_offer as words
from lxcwrap.actions import images as named
from lxcwrap.actions.conversation import Conversation
from lxcwrap.actions.disk import full_is_said
from lxcwrap.actions.hosts import AT_ONCE
from lxcwrap.actions.image_offer import Offer, Offered, Wanted
from lxcwrap.actions.layer_contents import Contents, begins_with
from lxcwrap.actions.progress import SILENT, Progress
from lxcwrap.errors import Corrupt, LxcwrapError
from lxcwrap.model import reference as references
from lxcwrap.model.hosts import Host
from lxcwrap.model.image import decode, encode
from lxcwrap.remote import ssh
from lxcwrap.storage.driver import Driver
from lxcwrap.store import blobs, layers, staging
from lxcwrap.store.database import Store
from lxcwrap.store.images import Image

COMMAND = "receive-images"
Connect = Callable[[Host], AbstractContextManager[ssh.Connection]]
_PIECE = 128 * 1024


@dataclass(frozen=True)
class Copied:
    """What a host was sent, in layers and in bytes of the connection's channel; ``kept`` bytes were there of a copy
    that was cut.  Or why it has not got it all."""

    host: Host
    layers: int = 0
    sent: int = 0
    received: int = 0
    kept: int = 0
    seconds: float = 0
    failure: LxcwrapError | None = None


def copy(
    store: Store,
    driver: Driver,
    texts: Sequence[str],
    hosts: Sequence[Host],
    ask: far.Ask,
    *,
    progress: Progress = SILENT,
    connect: Connect | None = None,
) -> tuple[Copied, ...]:
    """Bring the images, by the names they are given in ``texts``, to every host; what came of each, in their order.

    ``connect`` gives a host's connection where there is one already.

    Layers that had to be compressed stay compressed here.  Raises NotFound, Corrupt or NoSpace for what is wrong here.
    """
    with full_is_said(store.paths), layers.keeping(store), staging.directory(store.paths, "copy") as stage:
        chosen = _chosen(store, texts)
        stack = tuple(layer for image in chosen for layer in layers.stack(store, image.chain_id))
        contents = Contents(store, driver, stack, stage)
        try:
            offered = tuple(_offered(store, image, names) for image, names in chosen.items())
            sender = _Sender(Offer(offered, tuple(contents.forms.values())), contents, ask, progress, connect)
            results = sender.to_all(hosts)
            contents.keep_made()
            return results
        finally:
            contents.close()


def _chosen(store: Store, texts: Sequence[str]) -> dict[Image, list[str]]:
    """The images with the names that they are to have there: none for one that was named by its ID."""
    chosen: dict[Image, list[str]] = {}
    for text in texts:
        image = named.resolve(store, text)
        names = chosen.setdefault(image, [])
        if not named.names_id(image, text) and not references.parse(text).digest:
            names.append(references.parse(text).canonical)
    return chosen


def _offered(store: Store, image: Image, names: list[str]) -> Offered:
    config, manifest = blobs.read(store.paths, image.id), blobs.read(store.paths, image.manifest)
    return Offered(config, manifest, tuple(dict.fromkeys(names)), image.digests)


class _Sender:
    def __init__(
        self, offer: Offer, contents: Contents, ask: far.Ask, progress: Progress, connect: Connect | None
    ) -> None:
        self._connect: Connect = connect or (lambda host: ssh.connect(host, ask))
        self._offer = offer
        self._contents = contents
        self._ask = ask
        self._progress = progress
        self._lock = threading.Lock()
        self._talks: set[Conversation] = set()
        self._stopped = False

    def to_all(self, hosts: Sequence[Host]) -> tuple[Copied, ...]:
        """A host that fails fails alone."""
        with ThreadPoolExecutor(max(1, min(AT_ONCE, len(hosts)))) as pool:
            jobs = [pool.submit(self._to_one, host) for host in hosts]
            try:
                return tuple(job.result() for job in jobs)
            except BaseException:
                self._stop()
                pool.shutdown(cancel_futures=True)
                raise

    def _stop(self) -> None:
        with self._lock:
            self._stopped = True
            for talk in self._talks:
                talk.close()

    def _to_one(self, host: Host) -> Copied:
        begun = time.monotonic()
        try:
            with self._connect(host) as connection, self._talking(connection) as talk:
                wanted = self._ask_for_wanted(talk)
                kept = sum(self._send_layer(talk, wanted, number) for number in range(len(wanted)))
                if wanted:
                    self._progress.state(host.name, "Unpacking")
                self._await_end(talk)
            return Copied(host, len(wanted), talk.sent, talk.received, kept, time.monotonic() - begun)
        except Corrupt:  # what is stored here
            raise
        except LxcwrapError as error:
            self._progress.state(host.name, "Failed")
            return Copied(host, failure=error)

    @contextmanager
    def _talking(self, connection: far.Connection) -> Iterator[Conversation]:
        with ExitStack() as undo:
            talk = Conversation(connection, far.Request((COMMAND,)), self._ask)
            undo.callback(talk.close)
            with self._lock:
                self._talks.add(talk)
                if self._stopped:
                    talk.close()
            undo.callback(self._talks.discard, talk)
            yield talk

    def _ask_for_wanted(self, talk: Conversation) -> tuple[Wanted, ...]:
        self._offer.send(talk.send)
        try:
            wanted = words.decode_wanted(talk.answer(words.WANTED), self._offer)
        except ValueError as error:
            raise talk.not_understood(error) from None
        lacks = f"Lacks {len(wanted)} of {len(self._offer.forms)} layers"
        self._progress.state(talk.name, lacks if wanted else "Has every layer")
        return wanted

    def _send_layer(self, talk: Conversation, wanted: tuple[Wanted, ...], number: int) -> int:
        """Send one of them: its compressed tar, from where an earlier copy was cut; returns the bytes of that.

        The one place for another way to bring a layer over, such as the files that differ from one that is there.
        """
        item = wanted[number]
        content = self._contents.open(item.diff_id)
        offset = item.offset if begins_with(content, item.offset, item.digest) else 0
        kept = offset
        talk.send(words.LAYER, encode({"diff_id": item.diff_id, "offset": offset}))
        doing, total = f"Sending {number + 1}/{len(wanted)}", self._contents.about(item.diff_id)
        while piece := content.read_at(offset, _PIECE):
            talk.send(words.PIECE, piece)
            offset += len(piece)
            self._progress.advance(talk.name, doing, offset, total)
        talk.send(words.END, encode({"digest": content.digest, "size": content.size}))
        return kept

    def _await_end(self, talk: Conversation) -> None:
        try:
            ids = decode(talk.answer(words.DONE))
        except ValueError as error:
            raise talk.not_understood(error) from None
        if ids != [image.id for image in self._offer.images]:
            raise talk.not_understood("other images have come there")
        talk.end()
        self._progress.state(talk.name, "Copied")
