"""A seccomp profile in liblxc's form, compiled to the kernel's BPF by libseccomp.

liblxc compiles the profile itself when it starts a container; ``exec`` loads what this made, once per boot and
profile.  Source: seccomp(2), libseccomp's seccomp_rule_add_exact_array(3), lxc.container.conf(5).
"""

from __future__ import annotations

import ctypes
import os
import re

from lxcwrap.errors import RuntimeFailure

_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_KILL = 0x80000000
_COMPATIBLE = {"x86_64": (0x40000003, 0x4000003E), "aarch64": (0x40000028,)}  # x86 and x32, arm (linux/audit.h)
_OPERATORS = {"SCMP_CMP_NE": 1, "SCMP_CMP_LT": 2, "SCMP_CMP_LE": 3, "SCMP_CMP_EQ": 4, "SCMP_CMP_GE": 5,
              "SCMP_CMP_GT": 6, "SCMP_CMP_MASKED_EQ": 7}  # fmt: skip
_RULE = re.compile(r"(\w+)(?:\s+(allow|kill|errno\s+\d+))?(?:\s+\[(.*)\])?")


class _Comparison(ctypes.Structure):
    """``struct scmp_arg_cmp``."""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    )


def compiled(profile: str) -> str:
    """The file with the BPF of a profile file, beside it, made when it is missing or older."""
    path = profile + ".bpf"
    try:
        if os.stat(path).st_mtime_ns >= os.stat(profile).st_mtime_ns:
            return path
    except FileNotFoundError:
        pass
    with open(profile, encoding="utf-8") as stream:
        _compile(stream.read(), path)
    return path


def _compile(text: str, path: str) -> None:
    """Raises RuntimeFailure when the profile is not of version 2 or libseccomp refuses it."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if lines[:1] != ["2"] or len(lines) < 2:
        raise RuntimeFailure("a seccomp profile must be in liblxc's version 2 form", hint="its first line is 2")
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    kind, _, action = lines[1].partition(" ")
    listed_allow = kind in ("allowlist", "whitelist")
    default = _action(action) if action else (_KILL if listed_allow else _ALLOW)
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(default)))
    for architecture in _COMPATIBLE.get(os.uname().machine, ()):
        library.seccomp_arch_add(context, ctypes.c_uint32(architecture))
    for line in lines[2:]:
        if not line.startswith("["):
            _add(library, context, line, _ALLOW if listed_allow else _ERRNO | 1)
    _write(library, context, path)


def _action(words: str) -> int:
    name, _, number = words.strip().partition(" ")
    return {"allow": _ALLOW, "kill": _KILL}.get(name, _ERRNO | int(number or 1))


def _add(library: ctypes.CDLL, context: ctypes.c_void_p, line: str, default: int) -> None:
    match = _RULE.fullmatch(line)
    if not match:
        raise RuntimeFailure(f"seccomp profile: {line!r:.80} is not understood")
    number = library.seccomp_syscall_resolve_name(match[1].encode())
    if number == -1:
        return  # newer than this libseccomp: it stays denied
    comparisons = []
    if match[3]:
        index, value, operator, *mask = (word.strip() for word in match[3].split(","))
        first, second = (int(mask[0], 0), int(value, 0)) if mask else (int(value, 0), 0)
        comparisons.append(_Comparison(int(index), _OPERATORS[operator], first, second))
    array = (_Comparison * max(len(comparisons), 1))(*comparisons)
    action = _action(match[2]) if match[2] else default
    library.seccomp_rule_add_array(context, ctypes.c_uint32(action), number, len(comparisons), array)


def _write(library: ctypes.CDLL, context: ctypes.c_void_p, path: str) -> None:
    beside = f"{path}.{os.getpid()}"
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        failed = library.seccomp_export_bpf(context, descriptor)
    finally:
        os.close(descriptor)
        library.seccomp_release(context)
    if failed:
        os.unlink(beside)
        raise RuntimeFailure("libseccomp cannot compile the seccomp profile")
    os.rename(beside, path)
