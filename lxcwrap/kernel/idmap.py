"""User namespaces as id maps, and the host ids that containers may have.

Source: user_namespaces(7), subuid(5).
"""

from __future__ import annotations

import os

from lxcwrap.errors import Unsupported
from lxcwrap.kernel import mount

RANGE = 65536
DEFAULT_FIRST = 1_000_000_000  # far above people and services; what root gets when /etc/subuid does not say
DEFAULT_RANGES = 10_000


def user_namespace(id_base: int, count: int = RANGE) -> int:
    """A descriptor of a user namespace whose uid and gid 0..count-1 are ``id_base``... on the host.

    The namespace lives as long as the descriptor.  Raises OSError.
    """
    ready, tell_ready = os.pipe()
    wait, hold = os.pipe()
    child = os.fork()
    if child == 0:
        _stay_in_namespace(tell_ready, wait, hold)
    os.close(tell_ready)
    os.close(wait)
    try:
        failed = os.read(ready, 16)
        if failed != b"0":
            number = int(failed or b"1")
            raise OSError(number, os.strerror(number), "user namespace")
        for name in ("uid_map", "gid_map"):
            _write(f"/proc/{child}/{name}", f"0 {id_base} {count}\n".encode())
        return os.open(f"/proc/{child}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(ready)
        os.close(hold)
        os.waitpid(child, 0)


def _stay_in_namespace(tell_ready: int, wait: int, hold: int) -> None:
    """The child: stays until its parent closes ``hold`` or dies.  Never returns."""
    try:
        os.close(hold)
        mount.unshare(mount.CLONE_NEWUSER)
        os.write(tell_ready, b"0")
        os.read(wait, 1)
    except OSError as error:
        os.write(tell_ready, str(error.errno or 1).encode())
    finally:
        os._exit(0)


def _write(path: str, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, content)
    finally:
        os.close(descriptor)


def subordinate_range(uids: str = "/etc/subuid", gids: str = "/etc/subgid") -> tuple[int, int]:
    """(first host id, number of ranges of 65536) for containers: root's largest entry that both files have.

    Without any entry for root the default is used.  Raises Unsupported when the two files disagree or give too few.
    """
    of_users, of_groups = _entries(uids), _entries(gids)
    if not of_users and not of_groups:
        return DEFAULT_FIRST, DEFAULT_RANGES
    common = of_users & of_groups
    if not common:
        raise Unsupported(
            f"root's ranges in {uids} and {gids} differ", hint="give root the same FIRST:COUNT line in both"
        )
    count, first = max((count, first) for first, count in common)
    if count < RANGE:
        raise Unsupported(f"root's range in {uids} has {count} ids", hint=f"containers need {RANGE} each")
    return first, count // RANGE


def _entries(path: str) -> set[tuple[int, int]]:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            lines = [line.strip().split(":") for line in stream]
    except FileNotFoundError:
        return set()
    return {
        (int(line[1]), int(line[2]))
        for line in lines
        if len(line) == 3 and line[0] in ("root", "0") and line[1].isdigit() and line[2].isdigit()
    }
