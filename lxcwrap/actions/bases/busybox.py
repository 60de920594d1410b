"""BusyBox from the host's static binary: no network, no packages."""

from __future__ import annotations

import os
import shutil
import subprocess

from lxcwrap.actions.bases.making import Making
from lxcwrap.errors import Unsupported

_DIRECTORIES = (
    *("bin", "dev", "etc", "home", "lib", "mnt", "opt", "proc", "root", "run", "sbin", "srv", "sys", "tmp"),
    *("usr", "usr/bin", "usr/lib", "usr/sbin", "usr/local", "usr/local/bin", "var", "var/log", "var/spool", "var/tmp"),
    "var/www",
)
_MODES = {"tmp": 0o1777, "var/tmp": 0o1777, "root": 0o700}
_PT_INTERP = 3  # elf(5): the program header that names a dynamic loader


def fill(making: Making) -> float:
    """Fill the root; returns the date of the host's busybox."""
    program = _program(making)
    for name in _DIRECTORIES:
        os.mkdir(f"{making.target}/{name}", 0o755)
    for name, mode in _MODES.items():
        os.chmod(f"{making.target}/{name}", mode)
    shutil.copyfile(program, f"{making.target}/bin/busybox")
    os.chmod(f"{making.target}/bin/busybox", 0o755)
    for path in _applets(program):
        link = f"{making.target}/{path}"
        if not os.path.lexists(link) and os.path.isdir(os.path.dirname(link)):
            os.symlink(os.path.relpath("/bin/busybox", "/" + os.path.dirname(path)), link)
    return os.stat(program).st_mtime


def _program(making: Making) -> str:
    """The host's busybox.  Raises Unsupported when there is none or it needs shared libraries."""
    for program in making.template.programs:
        if os.path.exists(program):
            if _is_dynamic(program):
                raise Unsupported(
                    f"template {making.template.name}: {program} is not statically linked",
                    hint="install busybox-static",
                )
            return program
    raise Unsupported(
        f"template {making.template.name}: no busybox at {', '.join(making.template.programs)}",
        hint="install busybox-static",
    )


def _is_dynamic(program: str) -> bool:
    """Whether an ELF file names a loader (elf(5): e_phoff, e_phentsize and e_phnum, then p_type of each header)."""
    with open(program, "rb") as stream:
        head = stream.read(64)
        if head[:4] != b"\x7fELF":
            return True
        order = "little" if head[5] == 1 else "big"
        wide = head[4] == 2

        def number(start: int, size: int) -> int:
            return int.from_bytes(head[start : start + size], order)  # type: ignore[arg-type]

        offset = number(32, 8) if wide else number(28, 4)
        size, count = (number(54, 2), number(56, 2)) if wide else (number(42, 2), number(44, 2))
        stream.seek(offset)
        headers = stream.read(size * count)
    kinds = {int.from_bytes(headers[at : at + 4], order) for at in range(0, size * count, size)}  # type: ignore[arg-type]
    return _PT_INTERP in kinds


def _applets(program: str) -> list[str]:
    listed = subprocess.run([program, "--list-full"], capture_output=True, check=True, text=True).stdout
    return [path for path in listed.split() if path not in ("linuxrc", "bin/busybox")]
