"""Whose namespaces a container is in, as liblxc's items.  Pure: pids come in.

Source: lxc.container.conf(5), lxc.namespace.keep and lxc.namespace.share; namespaces(7).
"""

from __future__ import annotations

from lxcwrap.errors import Unsupported
from lxcwrap.model.container import Namespaces

OWN = ("", "private", "shareable")


def needs_host_ids(wanted: Namespaces) -> str:
    """The flag that does not go with a user namespace of the container's own; '' if none.

    Root in one has no say over PID, IPC and cgroup namespaces made outside it: /proc cannot be mounted, say.
    """
    for flag, value in (("--pid", wanted.pid), ("--ipc", wanted.ipc), ("--cgroupns", wanted.cgroup)):
        if value not in OWN:
            return f"{flag} {value.partition(':')[0]}"
    return ""


def check_joined(flag: str, other: str, other_ipc: str, other_id_base: int | None) -> None:
    """Refuse to join a container that cannot be joined.  Raises Unsupported."""
    if flag == "--ipc" and other_ipc == "private":
        raise Unsupported(f"--ipc container:{other}: its IPC namespace is private", hint="run it with --ipc shareable")
    if other_id_base is not None:
        raise Unsupported(
            f"{flag} container:{other}: it has a user namespace of its own", hint="run it with --userns host"
        )


def items(wanted: Namespaces, pids: dict[str, int], *, own_users: bool, own_network: bool) -> list[tuple[str, str]]:
    """``pids``: the init of each container that is joined, by its id.

    What is not kept liblxc makes anew, user and network namespaces too, whatever else says that there are none.
    """
    kept, found = [], []
    for kind, value in (
        ("pid", wanted.pid), ("ipc", wanted.ipc), ("uts", wanted.uts), ("cgroup", wanted.cgroup),
    ):  # fmt: skip
        if value == "host":
            kept.append(kind)
        elif value.startswith("container:"):
            found.append((f"lxc.namespace.share.{kind}", str(pids[value.partition(":")[2]])))
    if kept:
        kept += ["time", *([] if own_users else ["user"]), *([] if own_network else ["net"])]
    return found + ([("lxc.namespace.keep", " ".join(kept))] if kept else [])


def joined(wanted: Namespaces) -> set[str]:
    """The ids of the containers whose namespaces are joined."""
    return {value.partition(":")[2] for value in (wanted.pid, wanted.ipc) if value.startswith("container:")}
