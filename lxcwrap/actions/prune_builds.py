"""``builder prune``: the build cache and what only it holds."""

from __future__ import annotations

import shutil
import time

from lxcwrap.actions import remains
from lxcwrap.model.selection import moment
from lxcwrap.store import buildcache, layers
from lxcwrap.store.database import Store


def prune(store: Store, unused_for: str = "") -> int:
    """Forget what was not used since a time or for a duration ('' : everything); returns the bytes freed.

    Raises UsageError.
    """
    since = moment(unused_for, time.time()) if unused_for else None
    buildcache.prune(store, since)
    if since is None:
        shutil.rmtree(f"{store.paths.root}/build", ignore_errors=True)
    remains.sweep(store)
    return layers.collect(store)
