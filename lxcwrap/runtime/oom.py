"""Whether the kernel killed a process of the container for want of memory.  Loaded for containers with a limit.

Source: kernel Documentation: cgroup-v1/memory.rst (memory.oom_control), cgroup-v2.rst (memory.events).
"""

from __future__ import annotations

import os

from lxcwrap.runtime.freezer import directory


def watch(init_pid: int, name: str) -> int:
    """The open file that counts; -1 when there is none.  It is read before liblxc removes the cgroup."""
    place = directory(init_pid, "memory", name)
    path = f"{place}/memory.oom_control" if place else directory(init_pid, "", name) + "/memory.events"
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1


def happened(descriptor: int) -> bool:
    """Closes the file."""
    try:
        words = os.pread(descriptor, 4096, 0).split()
    except OSError:  # the cgroup is gone
        return False
    finally:
        os.close(descriptor)
    return b"oom_kill" in words and int(words[words.index(b"oom_kill") + 1]) > 0
