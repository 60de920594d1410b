"""Who holds a lock that one waits for, and whether he is going to let go of it.

Source: proc_locks(5), proc_pid_stat(5).
"""

from __future__ import annotations

import os

from lxcwrap.errors import LxcwrapError


def of(path: str) -> list[int]:
    """The processes that have a lock on the file, or on a part of it, as far as the kernel tells."""
    try:
        named = os.stat(path)
    except FileNotFoundError:
        return []
    wanted = f"{os.major(named.st_dev):02x}:{os.minor(named.st_dev):02x}:{named.st_ino}"
    found = []
    with open("/proc/locks", encoding="ascii", errors="replace") as stream:
        for line in stream:
            words = line.split()
            if wanted in words and "->" not in words:  # those wait
                found.append(int(words[words.index(wanted) - 1]))
    return [pid for pid in found if pid > 0]


def is_stopped(pid: int) -> bool:
    """Whether a signal stopped it: it does nothing until another lets it go on."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stream:
            return stream.read().rpartition(")")[2].split()[0] == "T"
    except OSError:
        return False


def named(pid: int) -> str:
    """As messages call it.  Of its words only the command is told: others may be secret."""
    try:
        with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as stream:
            words = stream.read().split("\0")
    except OSError:
        words = []
    for at, word in enumerate(words):
        if os.path.basename(word) in ("lxcwrap", "lxcwrap.cli.main"):
            verb = next((later for later in words[at + 1 :] if later and not later.startswith("-")), "")
            return f"process {pid} (lxcwrap {verb})"
    return f"process {pid}"


def stopped(what: str, pid: int) -> LxcwrapError:
    """What to say to somebody who waits for a process that a signal stopped."""
    hint = f"kill -CONT {pid} lets it go on, kill -KILL {pid} ends it"
    return LxcwrapError(f"{what} is held by {named(pid)}, which is stopped", hint=hint)
