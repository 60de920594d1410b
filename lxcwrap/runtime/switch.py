"""A program of a few instructions that takes on a directory, a user and supplementary groups, then becomes another.

liblxc gives the container's first process no supplementary groups in a user namespace, enters the working directory
while it has the host's directories open, and no program that could do it is sure to be in an image.  This one is made
for each container that needs it: its system calls and their numbers are in the code, ``argv[1]`` is the file to
execute, ``argv[2:]`` its argument vector.  It exits 126 when a call fails.  Loaded into a supervisor when it is needed.

Source: elf(5), syscall(2), execve(2); the calls' numbers are those of asm-generic/unistd.h and of x86-64's table.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable

_ADDRESS = 0x400000
_HEADERS = 64 + 56  # one ELF header, one program header
_PR_CAPBSET_DROP = 24
_EM_X86_64, _EM_AARCH64 = 62, 183
_UNCHANGED = 0xFFFFFFFF
_X86_NUMBERS = {"setgroups": 116, "fchown": 93, "prctl": 157, "setresgid": 119, "setresuid": 117, "chdir": 80}
_ARM_NUMBERS = {"setgroups": 159, "fchown": 55, "prctl": 167, "setresgid": 149, "setresuid": 147, "chdir": 49}

CAPABILITIES = ("chown", "setgid", "setpcap", "setuid")  # what the program needs until it is done
MACHINES = ("x86_64", "aarch64")


def program(
    machine: str, uid: int, gid: int, groups: tuple[int, ...], dropped: Iterable[int], working_dir: str = ""
) -> bytes:
    """The executable file.  ``dropped``: numbers of the capabilities that are given up for good."""
    code = _X86() if machine == "x86_64" else _Aarch64()
    content = [struct.pack(f"<{len(groups)}I", *groups), os.fsencode(working_dir) + b"\0"]
    content.append(
        f'lxcwrap: "{working_dir}": the working directory cannot be entered\n'.encode(errors="surrogateescape")
    )
    path, complaint = (_ADDRESS + _HEADERS + len(b"".join(content[:count])) for count in (1, 2))
    if working_dir:
        code.call("chdir", path, complaint=(complaint, len(content[2])))
    code.call("setgroups", len(groups), _ADDRESS + _HEADERS)
    for descriptor in range(3):
        code.call("fchown", descriptor, uid, _UNCHANGED, may_fail=True)  # a process may open its /dev/stdout anew
    for number in dropped:
        code.call("prctl", _PR_CAPBSET_DROP, number)
    code.call("setresgid", gid, gid, gid)
    code.call("setresuid", uid, uid, uid)
    data = b"".join(content)
    data += bytes(-len(data) % 16)
    return _elf(code.MACHINE, data, code.finished())


def _elf(machine: int, data: bytes, code: bytes) -> bytes:
    entry = _ADDRESS + _HEADERS + len(data)
    size = _HEADERS + len(data) + len(code)
    identification = b"\x7fELF\x02\x01\x01" + bytes(9)  # 64 bits, little-endian
    header = struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, entry, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _ADDRESS, _ADDRESS, size, size, 0x10000)  # PT_LOAD, read and execute
    return identification + header + segment + data + code


class _X86:
    """x86-64: number in eax; arguments in edi, esi, edx; the start's stack has argc, argv…, NULL, envp…"""

    MACHINE = _EM_X86_64
    _ARGUMENTS = (b"\xbf", b"\xbe", b"\xba")  # mov edi, esi, edx
    _EXIT = b"\xbf\x7e\x00\x00\x00\xb8\x3c\x00\x00\x00\x0f\x05"  # exit(126)
    _EXECVE = (
        b"\x48\x8b\x7c\x24\x10"  # mov rdi, [rsp+16]
        b"\x48\x8d\x74\x24\x18"  # lea rsi, [rsp+24]
        b"\x48\x8b\x04\x24"  # mov rax, [rsp]
        b"\x48\x8d\x54\xc4\x10"  # lea rdx, [rsp+rax*8+16]
        b"\xb8\x3b\x00\x00\x00\x0f\x05"  # execve
    )

    def __init__(self) -> None:
        self._code = b""

    def call(self, name: str, *arguments: int, may_fail: bool = False, complaint: tuple[int, int] = (0, 0)) -> None:
        """``complaint``: address and length of what is written to stderr when it fails."""
        self._code += self._called(_X86_NUMBERS[name], arguments)
        if not may_fail:  # test eax, eax; jns over the exit
            end = (self._called(1, (2, *complaint)) if complaint[1] else b"") + self._EXIT
            self._code += b"\x85\xc0\x79" + bytes([len(end)]) + end

    def _called(self, number: int, arguments: tuple[int, ...]) -> bytes:
        moves = [move + struct.pack("<I", value) for move, value in zip(self._ARGUMENTS, arguments, strict=False)]
        return b"".join(moves) + b"\xb8" + struct.pack("<I", number) + b"\x0f\x05"

    def finished(self) -> bytes:
        return self._code + self._EXECVE + self._EXIT


class _Aarch64:
    """64-bit ARM: number in w8; arguments in w0, w1, w2; the start's stack as on x86-64."""

    MACHINE = _EM_AARCH64
    _SVC = 0xD4000001

    def __init__(self) -> None:
        self._code: list[int] = []

    def _load(self, register: int, value: int) -> None:
        self._code += [0x52800000 | (value & 0xFFFF) << 5 | register, 0x72A00000 | (value >> 16) << 5 | register]

    def _exit(self) -> None:
        self._load(0, 126)
        self._load(8, 93)
        self._code.append(self._SVC)

    def call(self, name: str, *arguments: int, may_fail: bool = False, complaint: tuple[int, int] = (0, 0)) -> None:
        """``complaint``: address and length of what is written to stderr when it fails."""
        self._call(_ARM_NUMBERS[name], arguments)
        if not may_fail:  # tbz w0, #31, over the instructions that end it
            self._code.append(0x36F80000 | (15 if complaint[1] else 6) << 5)
            if complaint[1]:
                self._call(64, (2, *complaint))
            self._exit()

    def _call(self, number: int, arguments: tuple[int, ...]) -> None:
        for register, value in enumerate(arguments):
            self._load(register, value)
        self._load(8, number)
        self._code.append(self._SVC)

    def finished(self) -> bytes:
        self._code += [
            0xF9400BE0,  # ldr x0, [sp, #16]
            0x910063E1,  # add x1, sp, #24
            0xF94003E2,  # ldr x2, [sp]
            0x8B226FE2,  # add x2, sp, x2, lsl #3
            0x91004042,  # add x2, x2, #16
        ]
        self._load(8, 221)
        self._code.append(self._SVC)
        self._exit()
        return struct.pack(f"<{len(self._code)}I", *self._code)
