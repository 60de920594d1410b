"""A full disk, in one line, wherever it is met."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from lxcwrap.errors import NoSpace
from lxcwrap.model.paths import Paths


@contextmanager
def full_is_said(paths: Paths) -> Iterator[None]:
    """Turns the operating system's ENOSPC and EDQUOT into NoSpace."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        hint = "free some space: lxcwrap image prune"
        raise NoSpace(f"the disk that holds {paths.root} is full", hint=hint) from error
