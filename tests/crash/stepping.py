"""Run a command under ptrace(2) and kill one of its processes just before a chosen system call.

``python stepping.py LOG ROLE NUMBER PID=ROLE… -- COMMAND…``: every process has a role: ``command``, its
``helper`` programs, the ``supervisor``, ``liblxc``'s process, the container's ``init``, what ``inside`` starts after
that, or what an already running PID is given.  When a process of ROLE is about to make the NUMBER-th (from 0) of the
calls that change something, that process is killed and the rest goes on alone.  Without a role (``-``) nobody is
killed.  LOG gets JSON: the calls by role, whether and before what somebody was killed, and the command's exit code.

Source: ptrace(2), PTRACE_SEIZE and PTRACE_GET_SYSCALL_INFO; numbers of x86_64.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time
from typing import NamedTuple

CALLS = {
    1: "write", 18: "pwrite64", 40: "sendfile", 41: "socket", 42: "connect", 44: "sendto", 46: "sendmsg", 49: "bind",
    56: "clone", 57: "fork", 58: "vfork", 59: "execve", 62: "kill", 73: "flock", 74: "fsync", 75: "fdatasync",
    77: "ftruncate", 82: "rename", 83: "mkdir", 84: "rmdir", 86: "link", 87: "unlink", 88: "symlink", 90: "chmod",
    91: "fchmod", 92: "chown", 93: "fchown", 112: "setsid", 155: "pivot_root", 161: "chroot", 165: "mount",
    166: "umount2", 231: "exit_group", 258: "mkdirat", 259: "mknodat", 260: "fchownat", 263: "unlinkat",
    264: "renameat", 265: "linkat", 266: "symlinkat", 272: "unshare", 306: "syncfs", 308: "setns", 316: "renameat2",
    326: "copy_file_range", 424: "pidfd_send_signal", 428: "open_tree", 429: "move_mount", 430: "fsopen",
    431: "fsconfig", 432: "fsmount", 435: "clone3", 442: "mount_setattr",
}  # fmt: skip
_SEIZE, _SYSCALL, _CONT, _EVENTMSG, _INTERRUPT, _LISTEN, _INFO = 0x4206, 24, 7, 0x4201, 0x4207, 0x4208, 0x420E
_TRACED = 1 | 2 | 4 | 8 | 16  # SYSGOOD and the events of fork, vfork, clone and exec
_FORKS, _EXEC, _STOP = (1, 2, 3), 4, 128
_WALL = 0x40000000
_AFTER = 30.0  # seconds that the command may take to end once somebody was killed
_STOPS = (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
_libc.ptrace.restype = ctypes.c_long


class _Info(ctypes.Structure):
    _fields_ = (
        ("op", ctypes.c_uint8), ("pad", ctypes.c_uint8 * 3), ("arch", ctypes.c_uint32), ("ip", ctypes.c_uint64),
        ("sp", ctypes.c_uint64), ("number", ctypes.c_uint64), ("args", ctypes.c_uint64 * 7),
    )  # fmt: skip


class Target(NamedTuple):
    """Whom to kill, and when."""

    role: str
    number: int


def _ptrace(request: int, pid: int, address: int = 0, data: int = 0) -> bool:
    """False when the process is gone, or not stopped."""
    return bool(_libc.ptrace(request, pid, address, data) >= 0)


class Tracer:
    """The processes and what they did."""

    def __init__(self, target: Target | None) -> None:
        self.target = target
        self.roles: dict[int, str] = {}  # by thread group
        self.groups: dict[int, int] = {}  # of threads
        self.calls: dict[str, list[str]] = {}
        self.killed = ""
        self.code: int | None = None
        self.main = 0
        self.limit = float("inf")

    def start(self, argv: list[str]) -> None:
        ready, go = os.pipe()
        self.main = os.fork()
        if not self.main:
            os.close(go)
            os.read(ready, 1)
            os.execvp(argv[0], argv)
        self.roles[self.main] = "command"
        self.seize(self.main, "command")
        os.close(go)

    def seize(self, pid: int, role: str) -> None:
        self.roles[pid] = role
        for thread in [pid] if role == "command" else map(int, os.listdir(f"/proc/{pid}/task")):
            if not _ptrace(_SEIZE, thread, 0, _TRACED):
                raise OSError(ctypes.get_errno(), f"ptrace {pid}")
            if role != "command":
                _ptrace(_INTERRUPT, thread)

    def run(self) -> None:
        while self.code is None and time.monotonic() < self.limit:
            try:
                pid, status = os.waitpid(-1, _WALL | (os.WNOHANG if self.killed else 0))
            except ChildProcessError:
                return
            if not pid:
                time.sleep(0.002)
            elif os.WIFSTOPPED(status):
                self.stopped(pid, os.WSTOPSIG(status), status >> 16)
            elif pid == self.main:
                self.code = os.waitstatus_to_exitcode(status)

    def stopped(self, pid: int, number: int, event: int) -> None:
        go_on = _CONT if self.killed else _SYSCALL
        if number == signal.SIGTRAP | 0x80:
            self.at_call(pid)
            number = 0
        elif event in _FORKS:
            self.born(pid)
            number = 0
        elif event == _EXEC:
            self.became(pid)
            number = 0
        elif event == _STOP:
            if number in _STOPS:
                go_on = _LISTEN
            number = 0
        _ptrace(go_on, pid, 0, number)

    def born(self, parent: int) -> None:
        message = ctypes.c_ulong()
        _ptrace(_EVENTMSG, parent, 0, ctypes.addressof(message))
        child, group = message.value, self.group(message.value)
        if group == child:  # not a thread
            self.roles[child] = self.child_role(child, self.roles.get(self.group(parent), "helper"))

    def child_role(self, child: int, parent_role: str) -> str:
        if parent_role == "liblxc" and len(_status(child, "NSpid")) > len(_status(self.main, "NSpid")):
            return "init"
        following = {"command": "helper", "supervisor": "liblxc", "nursery": "supervisor", "init": "inside"}
        return following.get(parent_role, parent_role if parent_role == "inside" else "helper")

    def became(self, pid: int) -> None:
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as stream:
                words = stream.read().split(b"\0")
        except OSError:
            return
        if any(word.endswith(b"/runtime/supervisor.py") for word in words):
            self.roles[pid] = "nursery" if b"nursery" in words else "supervisor"
        elif any(word.endswith(b"/actions/finish.py") for word in words):
            self.roles[pid] = "finish"

    def group(self, thread: int) -> int:
        if thread not in self.groups:
            found = _status(thread, "Tgid")
            self.groups[thread] = int(found[0]) if found else thread
        return self.groups[thread]

    def at_call(self, pid: int) -> None:
        info = _Info()
        size = ctypes.sizeof(info)
        if not _ptrace(_INFO, pid, size, ctypes.addressof(info)) or info.op != 1 or info.number not in CALLS:
            return
        role = self.roles.get(self.group(pid), "helper")
        calls = self.calls.setdefault(role, [])
        if self.target == (role, len(calls)) and not self.killed:
            os.kill(self.group(pid), signal.SIGKILL)
            self.killed = CALLS[info.number]
            self.limit = time.monotonic() + _AFTER
        calls.append(CALLS[info.number])


def _status(pid: int, name: str) -> list[str]:
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as stream:
            return next((line.split()[1:] for line in stream if line.startswith(name + ":")), [])
    except OSError:
        return []


def main(words: list[str]) -> None:
    """See the module."""
    at = words.index("--")
    log, role, number, *running = words[:at]
    tracer = Tracer(None if role == "-" else Target(role, int(number)))
    for item in running:
        pid, _, its_role = item.partition("=")
        tracer.seize(int(pid), its_role)
    tracer.start(words[at + 1 :])
    tracer.run()
    with open(log, "w", encoding="utf-8") as stream:
        json.dump({"calls": tracer.calls, "killed": tracer.killed, "code": tracer.code}, stream)
    os._exit(0)  # the kernel lets everything go that is still traced


if __name__ == "__main__":
    main(sys.argv[1:])
