"""The tables of a firewall, read in one network namespace and loaded in another.

nft's text of what iptables made cannot be loaded (the arguments of its matches are missing): that goes by
iptables-save and iptables-restore.  Source: nft(8), iptables-save(8), ipset(8).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import NamedTuple

from lxcwrap.kernel import nftables

_PATH = "/usr/sbin:/sbin:/usr/bin:/bin:/usr/local/sbin:/usr/local/bin"
_IPTABLES = ("filter", "nat", "mangle", "raw", "security")  # its tables, of the families ip and ip6
_PROGRAM = {"ip": "iptables", "ip6": "ip6tables"}
_FOREIGN = re.compile(r"\bxt (match|target)\b|# xt_")
_QUEUE = re.compile(r"\bqueue (?:flags \S+ )?(?:num|to)\b|-j NFQUEUE\b")
_TIME = 60  # seconds that a program may take


class Table(NamedTuple):
    """``restore`` is the program that loads ``text``; '' is libnftables.  ``problem``: why it cannot be copied."""

    family: str
    name: str
    text: str
    restore: str = ""
    problem: str = ""

    @property
    def title(self) -> str:
        return f"table {self.family} {self.name}"


def read() -> tuple[Table, ...]:
    """All tables of this network namespace, those of the older kernel interface and sets of ipset too."""
    found = [*_ipsets(), *_legacy()]
    for line in nftables.run("list tables").splitlines():
        words = line.split()
        if len(words) == 3 and words[0] == "table":
            try:
                found.append(_nft(words[1], words[2]))
            except nftables.Rejected:
                continue  # it went away meanwhile
    return tuple(
        table._replace(problem="it hands packets to a program (queue), which is not tried")
        if _QUEUE.search(table.text)
        else table
        for table in found
    )


def _program(name: str) -> str:
    return shutil.which(name, path=_PATH) or ""


def _run(argv: list[str], text: str = "") -> tuple[str, str]:
    """Output, and what went wrong ('' for nothing)."""
    try:
        done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=_TIME, cwd="/")
    except (OSError, subprocess.TimeoutExpired) as error:
        return "", str(error)
    said = [line for line in done.stderr.splitlines() if line.strip() and not line.startswith("#")]
    return done.stdout, (said[0] if said else f"exit code {done.returncode}") if done.returncode else ""


def _nft(family: str, name: str) -> Table:
    text = nftables.run(f"list table {family} {name}")
    if family in ("bridge", "arp"):
        strict = re.search(r"\b(drop|reject|queue)\b", text)
        said = "it filters below IP, which is not tried" if strict else ""
        return Table(family, name, "", problem=said)
    if family in _PROGRAM and name in _IPTABLES:
        program = _program(f"{_PROGRAM[family]}-save")
        saved, failure = _run([program, "-t", name]) if program and not _is_legacy(program) else ("", "")
        if saved and not failure and "incompatible" not in saved:
            return Table(family, name, saved, restore=_program(f"{_PROGRAM[family]}-restore"))
    problem = ""
    if _FOREIGN.search(text):
        problem = "it has rules of iptables, which iptables-save (package iptables) does not show here"
    return Table(family, name, text, problem=problem)


def _is_legacy(program: str) -> bool:
    return "legacy" in _run([program, "--version"])[0]


def _legacy() -> list[Table]:
    """What iptables made by the older interface, xtables."""
    found = []
    for family, base in _PROGRAM.items():
        for name in _lines(f"/proc/net/{'ip' if family == 'ip' else 'ip6'}_tables_names"):
            program = _program(f"{base}-legacy-save") or _program(f"{base}-save")
            if not program or not _is_legacy(program):
                found.append(Table(family, name, "", problem=f"{base}-legacy-save is missing"))
                continue
            saved, failure = _run([program, "-t", name])
            found.append(Table(family, name, saved, program.replace("-save", "-restore"), failure))
    return found


def _lines(path: str) -> list[str]:
    if not os.path.exists(path):
        return []
    with open(path) as stream:
        return stream.read().split()


def _ipsets() -> list[Table]:
    """Sets to which rules of iptables refer."""
    program = _program("ipset")
    saved, _ = _run([program, "save"]) if program else ("", "")
    return [Table("ipset", "sets", saved, program)] if saved.strip() else []


def load(table: Table) -> str:
    """Put it into this network namespace; returns why it cannot be ('' when it is there)."""
    if table.problem or not table.text:
        return table.problem
    if table.restore:
        argv = [table.restore, "restore"] if table.family == "ipset" else [table.restore]
        return _run(argv, table.text)[1]
    try:
        nftables.run(table.text)
    except nftables.Rejected as error:
        return str(error).splitlines()[0] if str(error) else "nftables refuses it"
    return ""
