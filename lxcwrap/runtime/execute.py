"""One more process in a running container: what ``exec`` asks the supervisor for.

Runs in a child that the supervisor forks for each request.  It enters the container's cgroups and namespaces,
forks the process, waits, and reports.  From the moment it has entered the mount namespace it opens no file by a
path that the container could have put in its way: everything was opened or imported before.
"""

from __future__ import annotations

import array
import ctypes
import errno
import fcntl
import json
import os
import signal
import socket
import stat
import termios
from typing import Any

from lxcwrap.kernel import capabilities
from lxcwrap.kernel.beneath import open_beneath
from lxcwrap.runtime import cgroups, executable, frames, users

_NAMESPACES = 0x20000 | 0x2000000 | 0x4000000 | 0x8000000 | 0x20000000 | 0x40000000  # mnt cgroup uts ipc pid net
_NEWUSER = 0x10000000
_PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _PR_SET_PDEATHSIG = 24, 38, 22, 1
_SECCOMP_MODE_FILTER = 2
_KEYCTL = {"x86_64": 250, "aarch64": 219, "riscv64": 219, "armv7l": 311, "ppc64le": 271, "s390x": 280}
_JOIN_SESSION_KEYRING = 1  # keyctl(2)
_TIOCSPTLCK, _TIOCGPTPEER = 0x40045431, 0x5441  # ioctl_tty(2)

_libc = ctypes.CDLL(None, use_errno=True)


class Refused(Exception):
    """The process cannot be started; ``code`` is 126, 127 or 125."""

    def __init__(self, message: str, code: int = 125) -> None:
        super().__init__(message)
        self.code = code


class _Program(ctypes.Structure):
    """``struct sock_fprog``."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def serve(plan: dict[str, Any], init_pid: int, wish: dict[str, Any], channel: int, stdio: list[int]) -> int:
    """Do what ``wish`` says and tell the client at ``channel``: STARTED, then EXITED; or FAILED.  The exit code."""
    connection = socket.socket(fileno=channel)
    connection.setblocking(True)
    try:
        child = _Entry(plan, init_pid, wish, connection, stdio).start()
    except (Refused, users.UnknownUser, executable.CannotExecute) as error:
        message = {"message": str(error), "code": getattr(error, "code", 126)}
        connection.sendall(frames.encode(frames.FAILED, json.dumps(message).encode()))
        return int(message["code"])
    except OSError as error:
        message = {"message": f"{error.filename or 'entering the container'}: {error.strerror}", "code": 126}
        connection.sendall(frames.encode(frames.FAILED, json.dumps(message).encode()))
        return 126
    for descriptor in stdio:
        os.close(descriptor)
    _, status = os.waitpid(child, 0)
    code = 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
    try:
        connection.sendall(frames.encode(frames.EXITED, json.dumps({"exit_code": code, "oom_killed": False}).encode()))
    except OSError:
        pass
    return code


class _Entry:
    """Everything that entering needs, opened before it happens."""

    def __init__(
        self, plan: dict[str, Any], init_pid: int, wish: dict[str, Any], connection: socket.socket, stdio: list[int]
    ) -> None:
        self.plan, self.wish, self.connection, self.stdio = plan, wish, connection, stdio
        self.pidfd = os.pidfd_open(init_pid)
        self.proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self.root = os.open(f"/proc/{init_pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self.init_pid = init_pid
        user = wish["user"] or plan["user"]
        groups = tuple(plan["groups"]) if not wish["user"] else ()
        self.identity = users.resolve(user, groups, self._text("/etc/passwd"), self._text("/etc/group"))
        self.env = self._environment()
        self.working_dir: str = wish["working_dir"] or plan["working_dir"]
        self.filter = self._filter()
        self.label = _label(init_pid)

    def _text(self, path: str) -> str:
        try:
            descriptor = open_beneath(self.root, path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        except OSError:
            return ""
        with open(descriptor, encoding="utf-8", errors="surrogateescape") as stream:
            return stream.read(8 * 1024 * 1024) if stat.S_ISREG(os.fstat(descriptor).st_mode) else ""

    def _environment(self) -> dict[str, str]:
        items = [*self.plan["env"], *(["TERM=xterm"] if self.wish["tty"] else []), *self.wish["env"]]
        found = {name: value for name, _, value in (item.partition("=") for item in items)}
        found.setdefault("HOME", self.identity.home)
        if self.wish["user"] and not any(item.startswith("HOME=") for item in self.plan["env"]):
            found["HOME"] = self.identity.home
        return found

    def _filter(self) -> bytes:
        if self.wish["privileged"] or not self.plan["confinement"]["bpf"]:
            return b""
        with open(self.plan["confinement"]["bpf"], "rb") as stream:
            return stream.read()

    def start(self) -> int:
        """The pid of the new process.  Raises Refused, CannotExecute or OSError."""
        self.program = executable.check(self.root, self.wish["argv"][0], self.env.get("PATH", ""), self.working_dir)
        if self.wish["tty"]:
            self.stdio[:] = self._open_terminal()
        self._own_stdio()
        groups = cgroups.memberships(self.init_pid)
        cgroups.join(cgroups.open_procs((hierarchy, path) for hierarchy, path in groups if path != "/"))
        self._enter()
        failure_read, failure_write = os.pipe2(os.O_CLOEXEC)
        child = os.fork()
        if child == 0:
            self._become(failure_write)
        os.close(failure_write)
        failed = os.read(failure_read, 4096)
        os.close(failure_read)
        if failed:
            os.waitpid(child, 0)
            raise Refused(failed.decode(errors="replace"), 126)
        self.connection.sendall(frames.encode(frames.STARTED, b'{"pid": 0}'))
        return child

    def _open_terminal(self) -> list[int]:
        """A terminal of the container's own devpts; the client gets the other side."""
        master = open_beneath(self.root, "/dev/pts/ptmx", os.O_RDWR | os.O_NOCTTY)
        if os.fstat(master).st_rdev != os.makedev(5, 2):
            raise Refused("the container's /dev/pts/ptmx is not a terminal multiplexer")
        fcntl.ioctl(master, _TIOCSPTLCK, b"\0\0\0\0")
        slave = fcntl.ioctl(master, _TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY)
        self.connection.sendmsg(
            [frames.encode(frames.TERMINAL)],
            [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [master]))],
        )
        os.close(master)
        return [slave, os.dup(slave), os.dup(slave)]

    def _own_stdio(self) -> None:
        """The process may open its /dev/stdout anew."""
        owner = (self.plan["id_base"] or 0) + self.identity.uid
        for descriptor in self.stdio:
            mode = os.fstat(descriptor).st_mode
            if stat.S_ISFIFO(mode) or (self.wish["tty"] and stat.S_ISCHR(mode)):
                os.fchown(descriptor, owner, -1)

    def _enter(self) -> None:
        kinds = _NAMESPACES | (_NEWUSER if self.plan["id_base"] is not None else 0)
        if _libc.setns(self.pidfd, kinds):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), "setns")

    # --- in the new process ---------------------------------------------------------------------------------

    def _become(self, failure: int) -> None:
        """Turn into the process.  Never returns."""
        try:
            os.setsid()
            for number, descriptor in enumerate(self.stdio):
                os.dup2(descriptor, number)
            if self.wish["tty"]:
                fcntl.ioctl(0, termios.TIOCSCTTY, 0)
            self._confine()
            # /proc/self/fd leads out of the container as long as a directory of the host's is open
            os.closerange(3, failure)
            os.closerange(failure + 1, 1 << 20)
            os.chdir(self.working_dir)
            # not execvpe: it imports a module, from the container's files by now
            os.execve(self.program, self.wish["argv"], self.env)
        except OSError as error:
            where = f'exec: "{self.wish["argv"][0]}": ' if error.filename != self.working_dir else "chdir: "
            os.write(failure, f"{where}{(error.strerror or '').lower()}".encode())
        finally:
            os._exit(126)

    def _confine(self) -> None:
        if self.plan["id_base"] is None:  # else the keyring is one of the user namespace's
            _leave_keyring()
        for number in range(1, 65):
            signal.signal(number, signal.SIG_DFL) if number in _RESET else None
        if self.label and not self.wish["privileged"]:
            target = os.open("self/attr/exec", os.O_WRONLY | os.O_CLOEXEC, dir_fd=self.proc)
            os.write(target, f"exec {self.label}".encode())
        if not self.wish["privileged"]:
            for number in self.plan["confinement"]["dropped"]:
                _prctl("a capability could not be dropped", _PR_CAPBSET_DROP, number, 0, 0, 0)
        if self.plan["confinement"]["no_new_privs"]:
            _prctl("no-new-privileges was refused", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        if self.filter:
            content = ctypes.create_string_buffer(self.filter, len(self.filter))
            program = _Program(len(self.filter) // 8, ctypes.addressof(content))
            _prctl("the seccomp filter was refused", _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program))
        os.setgroups(self.identity.groups)
        os.setresgid(self.identity.gid, self.identity.gid, self.identity.gid)
        os.setresuid(self.identity.uid, self.identity.uid, self.identity.uid)
        if not self.wish["privileged"]:
            capabilities.give_up(self.plan["confinement"]["dropped"])  # before anything of the container's is looked up


def _leave_keyring() -> None:
    """The keys of whoever started the container are not for it.  Raises OSError."""
    number = _KEYCTL.get(os.uname().machine)
    if number and _libc.syscall(number, _JOIN_SESSION_KEYRING, None) < 0 and ctypes.get_errno() != errno.ENOSYS:
        raise OSError(ctypes.get_errno(), "no session keyring of its own could be had")


def _prctl(what: str, option: int, *arguments: object) -> None:
    """prctl(2).  Raises OSError that says ``what`` failed: the process must not run with more than it was given."""
    if _libc.prctl(option, *arguments):
        raise OSError(ctypes.get_errno(), what)


_RESET = (signal.SIGPIPE, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP)


def _label(init_pid: int) -> str:
    """The AppArmor profile of the container's init; '' when it is not confined."""
    for name in ("apparmor/current", "current"):
        try:
            with open(f"/proc/{init_pid}/attr/{name}", encoding="ascii", errors="replace") as stream:
                label = stream.read().strip().strip("\0")
        except OSError:
            continue
        label = label.removesuffix(" (enforce)").removesuffix(" (complain)")
        return "" if label in ("", "unconfined") else label
    return ""
