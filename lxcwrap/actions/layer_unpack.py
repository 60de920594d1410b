"""A layer's tar, extracted into a staged directory while it is still coming in."""

from __future__ import annotations

import os
from collections.abc import Callable

from lxcwrap.archive import compression
from lxcwrap.archive.checked import HashingReader
from lxcwrap.archive.growing import CHUNK, Follower, Growing
from lxcwrap.archive.pipeline import Ahead, ahead
from lxcwrap.errors import Corrupt, Unsafe
from lxcwrap.storage.driver import Driver

PADDING_LIMIT = 64 << 20  # bytes that may follow the end of a layer's tar


def unpack(
    driver: Driver,
    content: Growing,
    staged: str,
    diff_id: str,
    *,
    what: str,
    advance: Callable[[int], None] = lambda done: None,
    failed: Callable[[BaseException], None],
) -> int:
    """Extract into the new directory ``staged``; returns the bytes of the tar.  ``what`` names the layer in errors.

    ``failed`` hears at once of what goes wrong here, and has the content come to its end.  Raises Corrupt, Unsafe,
    OSError or the error of who writes the content.
    """
    os.mkdir(staged, 0o700)
    unpacked = HashingReader(compression.reader(Follower(content, advance)))
    with ahead(unpacked) as stream:
        try:
            driver.extract(stream, staged)
            _drain(stream, what)
        except (Corrupt, Unsafe):
            content.wait()  # that the wrong bytes came says more than what they did here
            raise
        except BaseException as error:
            failed(error)  # at once: leaving would wait for bytes that are still to come
            raise
    content.wait()
    if unpacked.digest != diff_id:
        raise Corrupt(f"{what} unpacks to {unpacked.digest}, its image says {diff_id}")
    return unpacked.size


def _drain(stream: Ahead, what: str) -> None:
    """What follows the end of the tar belongs to its digest."""
    rest = 0
    while chunk := stream.read(CHUNK):
        rest += len(chunk)
        if rest > PADDING_LIMIT:
            raise Corrupt(f"{what} goes on for over {PADDING_LIMIT} bytes after its end")
