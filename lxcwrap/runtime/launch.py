"""Start a planned container: liblxc's foreground start in a child of the supervisor.

liblxc tells how far it is through its monitor FIFO, ``/run/lxc/<lxcpath>/monitor-fifo``: every change of state and,
before it takes the network down, the exit status of the container's init.  Loaded into supervisors.
"""

from __future__ import annotations

import ctypes
import os
import struct
from typing import TYPE_CHECKING, Any

from lxcwrap.kernel import capabilities
from lxcwrap.runtime import executable, users
from lxcwrap.runtime.rootfs import Rootfs

if TYPE_CHECKING:
    from lxcwrap.runtime.session import Session

MESSAGE = struct.Struct("i256si")  # struct lxc_msg (monitor.h): type, name, value
STATE, EXIT_CODE = 0, 2  # its types
RUNNING = 2  # lxc_state_t

_SWITCH = "/dev/.lxcwrap/switch"
_NUMBERS = {"chown": 0, "setgid": 6, "setuid": 7, "setpcap": 8}  # capabilities(7)
_PR_SET_PDEATHSIG = 1
_SIGKILL = 9


class Monitor:
    """The reading end of liblxc's monitor FIFO of one lxcpath."""

    def __init__(self, lxcpath: str) -> None:
        self.directory = "/run/lxc/" + lxcpath.lstrip("/")
        self.path = self.directory + "/monitor-fifo"
        os.makedirs(self.directory, 0o755, exist_ok=True)
        try:
            os.mkfifo(self.path, 0o600)
        except FileExistsError:
            pass
        self.descriptor = os.open(self.path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def messages(self) -> list[tuple[int, int]]:
        """(type, value) of what has come."""
        try:
            received = os.read(self.descriptor, MESSAGE.size * 64)
        except BlockingIOError:
            return []
        whole = len(received) - len(received) % MESSAGE.size
        return [(kind, value) for kind, _, value in MESSAGE.iter_unpack(received[:whole])]

    def close(self) -> None:
        """Remove what liblxc and this made in /run/lxc for this container alone.

        The folders above stay: another container, which starts now, may be about to make its own in them.
        """
        os.close(self.descriptor)
        os.unlink(self.path)
        for own in (self.directory, "/run/lxc/lock/" + self.directory.removeprefix("/run/lxc/")):
            try:
                os.rmdir(own)
            except OSError:
                pass


def identify(plan: dict[str, Any], rootfs: Rootfs) -> users.Identity:
    """Whom the container's process runs as.  Raises users.UnknownUser."""
    return users.resolve(
        plan["user"], tuple(plan["groups"]), rootfs.read_text("/etc/passwd"), rootfs.read_text("/etc/group")
    )


def check_command(plan: dict[str, Any], rootfs: Rootfs) -> str:
    """The path of the container's command in the rootfs.  Raises executable.CannotExecute."""
    path = next((item[5:] for item in plan["env"] if item.startswith("PATH=")), "")
    return executable.check(rootfs.root_fd, plan.get("command", plan["argv"])[0], path, plan["working_dir"])


def settled(plan: dict[str, Any], identity: users.Identity, command_path: str, working_dir: str) -> dict[str, Any]:
    """The plan as liblxc is to carry it out, once it is known whom the process runs as.

    ``working_dir`` is what liblxc may enter (``Rootfs.settled``).  A first program takes on what liblxc cannot give:
    supplementary groups in a user namespace, any other directory.  Raises executable.CannotExecute or OSError.
    """
    groups = plan["id_base"] is not None and bool(set(identity.groups) - {identity.gid})
    settled = {**plan, "entered": working_dir or "/", "switched": groups or not working_dir}
    return _with_switch(settled, identity, command_path, not working_dir) if settled["switched"] else settled


def _with_switch(plan: dict[str, Any], identity: users.Identity, command_path: str, enters: bool) -> dict[str, Any]:
    """The plan with a first program that takes on the identity and ``enters`` the working directory."""
    from lxcwrap.runtime import switch

    machine = os.uname().machine
    if machine not in switch.MACHINES:
        what = f"no working directory {plan['working_dir']}" if enters else "no supplementary groups"
        why = "in a volume or a kernel file system" if enters else "in a user namespace (--userns=host)"
        raise executable.CannotExecute(f"{what} {why} on {machine}", 125)
    kept, added = _capabilities(plan["items"], switch.CAPABILITIES)
    path = plan["directory"] + "/switch"
    entered = plan["working_dir"] if enters else ""
    with open(path, "wb") as stream:
        stream.write(switch.program(machine, identity.uid, identity.gid, identity.groups, added, entered))
    os.chmod(path, 0o755)
    tool = ["lxc.mount.entry", f"{path} {_SWITCH.lstrip('/')} none bind,ro,create=file 0 0"]
    at = plan.get("prefix", 0)
    argv = plan["argv"]
    what = argv[at] if "/" in argv[at] else command_path
    return {**plan, "items": [*kept, tool], "argv": [*argv[:at], _SWITCH, what, *argv[at:]]}


def _capabilities(items: list[list[str]], needed: tuple[str, ...]) -> tuple[list[list[str]], list[int]]:
    """The items with what is needed among the capabilities kept, and the numbers of those that are so only for that."""
    kept = next((set(value.split()) - {"none"} for key, value in items if key == "lxc.cap.keep"), set(needed))
    added = [name for name in needed if name not in kept]
    if not added:
        return items, []
    words = " ".join([*kept, *added])
    numbers = [_NUMBERS[name] for name in added]
    return [[key, words if key == "lxc.cap.keep" else value] for key, value in items], numbers


def items(plan: dict[str, Any], identity: users.Identity) -> list[list[str]]:
    """The plan's liblxc items and those that only the rootfs could tell."""
    found = list(plan["items"])
    if not plan["switched"]:
        found += [["lxc.init.uid", str(identity.uid)], ["lxc.init.gid", str(identity.gid)]]
        if identity.groups:
            found.append(["lxc.init.groups", ",".join(map(str, identity.groups))])
    found.append(["lxc.init.cwd", plan["entered"]])
    environment = list(plan["env"])
    if not any(item.startswith("HOME=") for item in environment):
        environment.append(f"HOME={identity.home}")
    return found + [["lxc.environment", item] for item in environment]


def start(plan: dict[str, Any], identity: users.Identity, stdio: tuple[int, int, int], console: str) -> int:
    """Fork the child that runs the container; its pid.  It exits 0 if the container ran at all, else 1.

    ``console``: the terminal to connect the container's console with; '' runs the init on ``stdio`` as it is.
    """
    parent = os.getpid()
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        status = _run(plan, identity, stdio, console, parent)
    except BaseException as error:  # the child of a fork must never return into the caller's code
        _note(plan["directory"], error)
    finally:
        os._exit(status)


def _run(plan: dict[str, Any], identity: users.Identity, stdio: tuple[int, int, int], console: str, parent: int) -> int:
    from lxcwrap.runtime import lxc

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, _SIGKILL)
    if os.getppid() != parent:
        return 1
    capabilities.give_up(())  # what the caller could pass on is not the container's
    for number, descriptor in enumerate(stdio):
        os.dup2(descriptor, number)
    os.closerange(3, 1 << 20)  # the other ends of the pipes: open here, they would never be at their end
    container = lxc.Container(plan["lxcpath"], plan["name"])  # after that: it keeps its log open
    container.configure(items(plan, identity))
    container.configure([["lxc.console.path", console or "none"]])
    return 0 if container.start(plan["argv"]) else 1


def clear(plan: dict[str, Any]) -> None:
    """Before it starts anew: take away what the network of its previous run left."""
    if plan.get("inside"):
        from lxcwrap.runtime import inside

        inside.clear(plan["inside"])


def rewire(session: Session, wish: dict[str, Any]) -> None:
    """The container is on other networks now, also when it starts anew."""
    from lxcwrap.runtime import inside

    for one in (session.plan, session.started):
        one["items"] = [*(item for item in one["items"] if not inside.is_ours(item)), *wish["network"]]
    session.plan["inside"], session.plan["after"] = wish["inside"], wish["after"]
    try:
        relay_ports(session, wish["relays"])
    except OSError:  # the client has just seen it free, and somebody took it since: the container goes on without
        pass


def relay_ports(session: Session, wanted: list[Any] | None) -> None:
    """Pass on the ports on ::1 that are wanted, and no others.  Raises OSError for one that is taken."""
    if wanted or session.relays:
        from lxcwrap.runtime import relay

        relay.change(session, wanted or [])


def leave_relays(session: Session) -> None:
    """In a forked child."""
    for one in session.relays:
        one.leave()


def is_stillborn(child: int) -> bool:
    """Whether the container's first process ended while liblxc, in ``child``, still waits to hear from it.

    liblxc keeps both ends of the socket between them open, and would wait for ever.
    """
    try:
        with open(f"/proc/{child}/task/{child}/children", encoding="ascii") as stream:
            pids = stream.read().split()
        return bool(pids) and all(_is_zombie(pid) for pid in pids)
    except OSError:  # it has just ended
        return False


def _is_zombie(pid: str) -> bool:
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stream:
        return stream.read().rpartition(")")[2].split()[0] == "Z"


def init_of(child: int) -> int:
    """The pid of the container's init: liblxc's only child that is in another pid namespace is it."""
    with open(f"/proc/{child}/task/{child}/children", encoding="ascii") as stream:
        pids = stream.read().split()
    return int(pids[-1]) if pids else 0


def exit_code(status: int) -> int:
    """128 plus the signal, or the exit code."""
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def _note(directory: str, error: BaseException) -> None:
    """Our own failure, where ``last_error`` looks for liblxc's."""
    with open(f"{directory}/lxc.log", "a", encoding="utf-8") as stream:
        stream.write(f"lxcwrap ERROR start - start - {error}\n")


def last_error(log: str) -> str:
    """What liblxc's log says of the failure: its first ERROR line, which is nearest to the cause; '' if nothing."""
    try:
        with open(log, encoding="utf-8", errors="replace") as stream:
            lines = [line for line in stream.read(1 << 20).splitlines() if " ERROR " in line]
    except OSError:
        return ""
    return lines[0].partition(" - ")[2].partition(" - ")[2] or lines[0] if lines else ""
