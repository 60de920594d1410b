"""The program that takes on supplementary groups: executed for real on this machine, read by ELF's rules elsewhere."""

from __future__ import annotations

import os
import struct
import subprocess
from pathlib import Path

import pytest

from lxcwrap.runtime import switch


def made(place: Path, *dropped: int) -> str:
    path = place / "switch"
    path.write_bytes(switch.program(os.uname().machine, 1000, 1001, (44, 100, 1001), dropped))
    path.chmod(0o755)
    return str(path)


def test_it_becomes_the_program_with_the_identity(tmp_path: Path) -> None:
    shown = "Uid:|Gid:|Groups:|CapBnd:"
    done = subprocess.run(
        [made(tmp_path, 0, 21), "/bin/grep", "any name", "-E", shown, "/proc/self/status"],
        input="",  # the program takes its stdin over: not the machine's /dev/null
        capture_output=True,
        text=True,
        env={"A": "b"},
    )
    fields = dict(line.split(":\t") for line in done.stdout.splitlines())
    assert fields["Uid"].split() == ["1000"] * 4
    assert fields["Gid"].split() == ["1001"] * 4
    assert sorted(fields["Groups"].split()) == ["100", "1001", "44"]
    assert int(fields["CapBnd"], 16) & (1 << 21 | 1) == 0


def test_arguments_and_environment_are_passed_on(tmp_path: Path) -> None:
    argv = [made(tmp_path), "/bin/sh", "sh", "-c", 'echo "$0" "$@" "$A"', "name", "one two", ""]
    assert subprocess.run(argv, input="", capture_output=True, text=True, env={"A": "b"}).stdout == "name one two  b\n"


def test_what_cannot_be_executed_exits_126(tmp_path: Path) -> None:
    assert subprocess.run([made(tmp_path), "/nowhere", "x"], input=b"").returncode == 126


@pytest.mark.parametrize(("machine", "number"), [("x86_64", 62), ("aarch64", 183)])
def test_it_is_an_executable_for_the_machine(machine: str, number: int) -> None:
    content = switch.program(machine, 0, 0, (5,), ())
    kind, target, _, entry, table = struct.unpack_from("<HHIQQ", content, 16)
    assert (content[:6], kind, target, table) == (b"\x7fELF\x02\x01", 2, number, 64)
    _, flags, offset, address, _, size = struct.unpack_from("<IIQQQQ", content, 64)
    assert (flags, offset, size) == (5, 0, len(content))
    assert address < entry < address + size


def test_it_enters_the_working_directory(tmp_path: Path) -> None:
    path = tmp_path / "switch"
    there = tmp_path / "the directory"
    there.mkdir()
    path.write_bytes(switch.program(os.uname().machine, 0, 0, (), (), str(there)))
    path.chmod(0o755)
    done = subprocess.run([path, "/bin/pwd", "pwd"], stdin=subprocess.PIPE, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"{there}\n")


def test_it_says_so_when_it_cannot(tmp_path: Path) -> None:
    path = tmp_path / "switch"
    path.write_bytes(switch.program(os.uname().machine, 0, 0, (), (), "/no/such"))
    path.chmod(0o755)
    done = subprocess.run([path, "/bin/pwd", "pwd"], stdin=subprocess.PIPE, capture_output=True, text=True)
    assert done.returncode == 126
    assert done.stderr == 'lxcwrap: "/no/such": the working directory cannot be entered\n'
