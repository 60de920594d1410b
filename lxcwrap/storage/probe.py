"""What this kernel and file system can do, found out by doing it."""

from __future__ import annotations

import errno
import os
import tempfile
from contextlib import suppress

from lxcwrap.errors import LxcwrapError
from lxcwrap.kernel import idmap, mount
from lxcwrap.storage import overlay as driver


def file_system(name: str) -> str:
    """'' when the kernel has the file system, loaded already or as a module; else the reason."""
    if name in _known():
        return ""
    with suppress(OSError):
        os.close(mount.fsopen(name))  # has the kernel load its module
        return ""
    return "" if name in _known() else f"this kernel has no {name}"


def _known() -> set[str]:
    with open("/proc/filesystems", encoding="ascii") as stream:
        return {line.split()[-1] for line in stream if line.strip()}


def overlay(directory: str) -> str:
    """'' when an overlay can be mounted with its upper directory in ``directory``."""
    return _try_overlay(directory, None)


def idmapped_overlay(directory: str) -> str:
    """'' when an overlay's layers in ``directory`` can be idmapped."""
    try:
        return _try_overlay(directory, idmap.subordinate_range()[0])
    except LxcwrapError as error:
        return error.message


def _try_overlay(directory: str, id_base: int | None) -> str:
    with tempfile.TemporaryDirectory(prefix="probe-", dir=directory) as place:
        for name in ("lower", "rootfs"):
            os.mkdir(f"{place}/{name}")
        lowers = (f"{place}/lower",)
        driver.prepare(place, lowers, id_base)
        try:
            with mount.private_namespace():
                driver.mount(place, lowers, f"{place}/rootfs", id_base)
                with open(f"{place}/rootfs/file", "wb"):
                    pass
        except OSError as error:
            if error.errno == errno.ENODEV:
                return "this kernel has no overlay"
            what = "an overlay with idmapped layers" if id_base is not None else "an overlay"
            return f"{what} cannot be mounted on {directory}: {error.strerror}"
    return ""
