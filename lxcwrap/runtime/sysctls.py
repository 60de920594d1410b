"""Set a container's kernel parameters from outside, just before its init is executed.

liblxc's own way comes too late: /proc/sys is read-only in the container by then.  It runs this as its start-host
hook: ``python -I -S sysctls.py FILE``, with LXC_PID in the environment; FILE holds ``name=value`` lines.
"""

from __future__ import annotations

import ctypes
import os
import sys

_NAMESPACES = 0x40000000 | 0x8000000 | 0x4000000  # net, ipc, uts
_USER = 0x10000000


def main(path: str, pid: int) -> None:
    """Enter the container's namespaces, but not its mounts, and write.  Raises OSError."""
    with open(path, encoding="utf-8") as stream:
        wanted = [line.rstrip("\n").split("=", 1) for line in stream]
    libc, process = ctypes.CDLL(None, use_errno=True), os.pidfd_open(pid)
    if libc.setns(process, _NAMESPACES | _USER) == 0:  # refused where the container has none of its own
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
    elif libc.setns(process, _NAMESPACES):
        raise OSError(ctypes.get_errno(), "setns")
    for name, value in wanted:
        with open("/proc/sys/" + name.replace(".", "/"), "w", encoding="utf-8") as target:
            target.write(value)


if __name__ == "__main__":
    main(sys.argv[1], int(os.environ["LXC_PID"]))
