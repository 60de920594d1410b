"""A supervisor that is forked by another one, rather than started as a program.

The two share the interpreter's memory until one writes to it, which is most of what a supervisor costs, and nothing
has to be imported again.  Otherwise it is as if the client had started it: it has the client's mount namespace,
control groups, limits and priority, a session of its own, and its parent is not the one it was forked by.  Where
that cannot be had the child ends without a word, and the client starts a program.  Loaded into supervisors.
"""

from __future__ import annotations

import gc
import os
import socket
import struct
from collections.abc import Callable

from lxcwrap.kernel import mount
from lxcwrap.runtime import cgroups, frames

_NAMESPACES = ("cgroup", "ipc", "net", "pid", "user", "uts")
_IDENTITY = ("Uid:", "Gid:", "Groups:", "Cap", "NoNewPrivs:", "Seccomp:")  # proc_pid_status(5)
_LIMITS = 16  # RLIM_NLIMITS, getrlimit(2)


class _Unlike(Exception):
    """The client has something that its supervisor could not be given."""


class Born(Exception):
    """Raised in the new process, to leave everything that its parent was at."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self.descriptor = descriptor


def give(descriptor: int) -> None:
    """Fork a supervisor for the client at the other end of ``descriptor``.  Returns in the parent, if only there.

    Raises Born in the new process.  Where the kernel has no process to spare, the client goes without.
    """
    gc.freeze()  # neither process looks through what both have: that would write to it
    try:
        child = os.fork()
    except OSError:
        return
    if child:
        os.waitpid(child, 0)
        return
    try:
        if os.fork():
            os._exit(0)
    except OSError:
        os._exit(1)
    raise Born(descriptor)


def serve(supervise: Callable[[], None]) -> None:
    """Run ``supervise``, and again in every process that is born meanwhile."""
    descriptor = _supervised(supervise)
    while descriptor >= 0:
        try:
            _become_the_clients(descriptor)
        except (_Unlike, OSError):
            return
        descriptor = _supervised(supervise)


def _supervised(supervise: Callable[[], None]) -> int:
    try:
        supervise()
    except Born as born:
        return born.descriptor
    return -1


def _become_the_clients(descriptor: int) -> None:
    """Raises _Unlike or OSError."""
    os.setsid()
    os.dup2(descriptor, 0)
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 1)
    os.dup2(null, 2)
    os.closerange(3, 1 << 20)
    client = _peer()
    if _traits("self") != _traits(str(client)):
        raise _Unlike
    _enter(client)
    _take_over(client)
    os.write(0, frames.encode(frames.READY))


def _peer() -> int:
    """The pid of whoever made the socket (unix(7), SO_PEERCRED); 0 for one in another pid namespace."""
    with socket.socket(fileno=os.dup(0)) as connection:
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int(struct.unpack("iII", credentials)[0])


def _traits(process: str) -> tuple[str, ...]:
    """What a process has for good: namespaces, ids, capabilities, filters, its security label."""
    with open(f"/proc/{process}/status", encoding="ascii", errors="replace") as status:
        found = [line for line in status if line.startswith(_IDENTITY)]
    found += [os.readlink(f"/proc/{process}/ns/{kind}") for kind in _NAMESPACES]
    try:
        with open(f"/proc/{process}/attr/current", encoding="ascii", errors="replace") as label:
            found.append(label.read())
    except OSError:  # no security module
        pass
    return tuple(found)


def _enter(client: int) -> None:
    """The client's mount namespace, as long as its root is that namespace's own."""
    namespace = os.open(f"/proc/{client}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    mount.setns(namespace, mount.CLONE_NEWNS)
    os.close(namespace)
    os.chdir("/")
    if not os.path.samestat(os.stat("/"), os.stat(f"/proc/{client}/root/")):
        raise _Unlike


def _take_over(client: int) -> None:
    """Control groups, resource limits, priority, processors, and what the kernel thinks of it when memory is short."""
    import resource

    mine, theirs = list(cgroups.memberships(os.getpid())), list(cgroups.memberships(client))
    cgroups.join(cgroups.open_procs(iter(set(theirs) - set(mine))))
    for number in range(_LIMITS):
        resource.setrlimit(number, resource.prlimit(client, number))
    os.setpriority(os.PRIO_PROCESS, 0, os.getpriority(os.PRIO_PROCESS, client))
    os.sched_setaffinity(0, os.sched_getaffinity(client))
    with open(f"/proc/{client}/oom_score_adj", "rb") as score, open("/proc/self/oom_score_adj", "wb") as own:
        own.write(score.read())
