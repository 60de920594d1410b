"""Blobs into files, going on where an earlier attempt stopped.

The file is locked while it is written and stays where a download was cut; digest and size are checked before
anything calls it complete.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from lxcwrap.archive.growing import Growing
from lxcwrap.errors import Corrupt
from lxcwrap.model.image import Descriptor
from lxcwrap.registry.client import Client
from lxcwrap.registry.failure import Refusal, Unreachable

FRUITLESS = 5  # attempts in a row that brought nothing new


class Download:
    """One blob on its way into ``path``.  ``run`` in one thread; read ``content`` in another."""

    def __init__(self, client: Client, wanted: Descriptor, path: str, stopped: threading.Event) -> None:
        self.client = client
        self.wanted = wanted
        self.content = Growing(path)
        self.resumed = 0  # bytes that were there already
        self._stopped = stopped

    def run(self, advance: Callable[[int], None]) -> bool:
        """Fetch all of it; ``advance`` gets the bytes so far.

        False when that failed: the error is raised where ``content`` is read.
        """
        try:
            self._adopt()
            advance(self.content.size)
            self._fetch(advance)
            self._check()
            self.content.finish()
            return True
        except (Unreachable, Refusal) as error:
            self._fail(error, keep=self.content.size > 0)
        except BaseException as error:  # wrong bytes, or what filled the disk: not worth keeping
            self._fail(error, keep=False)
        return False

    def _fail(self, error: BaseException, *, keep: bool) -> None:
        if not keep:
            os.unlink(self.content.path)
        self.content.fail(error)

    def _adopt(self) -> None:
        if os.path.getsize(self.content.path) > self.wanted.size:
            os.truncate(self.content.path, 0)
        self.resumed = self.content.adopt_existing()

    def _fetch(self, advance: Callable[[int], None]) -> None:
        fruitless = 0
        while self.content.size < self.wanted.size or not self.content.size:
            before = self.content.size
            try:
                self._fetch_once(advance)
                return
            except Unreachable:
                fruitless = 0 if self.content.size > before else fruitless + 1
                if fruitless >= FRUITLESS or self._stopped.wait(0.2 * 2**fruitless):
                    raise

    def _fetch_once(self, advance: Callable[[int], None]) -> None:
        response, offset = self.client.blob(self.wanted.digest, self.content.size)
        skip = self.content.size - offset  # a registry without ranges begins anew
        try:
            for chunk in response.chunks():
                if self._stopped.is_set():
                    raise Unreachable(f"registry {self.client.domain}: stopped")
                fresh = chunk[skip:]
                skip = max(0, skip - len(chunk))
                if self.content.size + len(fresh) > self.wanted.size:
                    raise self._wrong(f"is larger than the {self.wanted.size} bytes that its manifest says")
                self.content.write(fresh)
                advance(self.content.size)
        finally:
            response.close()

    def _check(self) -> None:
        if self.content.size != self.wanted.size:
            raise self._wrong(f"is {self.content.size} bytes, its manifest says {self.wanted.size}")
        if self.content.digest != self.wanted.digest:
            raise self._wrong(f"does not match its digest: it is {self.content.digest}")

    def _wrong(self, what: str) -> Corrupt:
        return Corrupt(f"registry {self.client.domain}: layer {self.wanted.digest} of {self.client.path} {what}")
