"""Output that is whole or not there."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO


@contextmanager
def written(path: str) -> Iterator[BinaryIO]:
    """A stream to ``path``, which gets its name at the end; '' is standard output.

    What is there and not a regular file (a pipe, a device) is written as it is.
    """
    if not path:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    if os.path.exists(path) and not os.path.isfile(path):
        with open(path, "wb") as out:
            yield out
        return
    beside = f"{path}.{os.getpid()}.part"
    try:
        with open(beside, "wb") as out:
            yield out
        os.rename(beside, path)
    except BaseException:
        if os.path.exists(beside):
            os.unlink(beside)
        raise
