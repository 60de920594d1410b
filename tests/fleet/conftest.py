"""Hosts to be driven over SSH: containers with sshd, an address and a state root of their own."""

from __future__ import annotations

import fcntl
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import CACHE, CHECKOUT, SCRATCH, Cli, Result, state_root

PLACE = Path(__file__).parent / "host"
WRAPPER = '#!/bin/sh\nPYTHONPATH=/opt/checkout exec /usr/bin/python3 -P -m lxcwrap.cli.main "$@"\n'


class Fleet:
    """Some hosts, and an operator who can log in to them as root.  ``outer`` runs the hosts."""

    def __init__(self, outer: Cli, home: Path) -> None:
        self.outer = outer
        self.home = home
        self.addresses: dict[str, str] = {}
        (home / ".ssh").mkdir(mode=0o700)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", home / ".ssh" / "id_ed25519"], check=True)
        self.operator = Cli(str(home / "no-root"))
        unwanted = ("SUDO_UID", "SSH_AUTH_SOCK", "LXCWRAP_HOST", "LXCWRAP_INVENTORY")
        self.operator.environment = {
            **{key: value for key, value in self.operator.environment.items() if key not in unwanted},
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home / ".config"),
        }

    def start(self, name: str) -> None:
        """A bare host: sshd, the packages, no lxcwrap."""
        state = self.home / "states" / name
        state.mkdir(parents=True)
        self.outer(
            "run", "-d", "--privileged", "--name", name, "--hostname", name, "-v", f"{state}:/var/lib/lxcwrap",
            "-v", f"{CHECKOUT}:/opt/checkout:ro", "fleet-host",
        )  # fmt: skip
        self.addresses[name] = self.outer("inspect", "-f", "{{.NetworkSettings.IPAddress}}", name).out.strip()
        key = (self.home / ".ssh" / "id_ed25519.pub").read_bytes()
        self.inside(name, "sh", "-c", "mkdir -p -m 700 /root/.ssh && cat >/root/.ssh/authorized_keys", input=key)

    def equip(self, name: str) -> None:
        """This checkout as its lxcwrap, with a busybox image."""
        script = "cat >/usr/local/bin/lxcwrap && chmod 755 /usr/local/bin/lxcwrap && lxcwrap template build busybox"
        self.inside(name, "sh", "-c", script, input=WRAPPER.encode())

    def inside(self, name: str, *words: str, input: bytes = b"", check: bool = True) -> Result:
        """Run something on a host, not by SSH."""
        return self.outer("exec", "-i", name, *words, input=input, check=check)

    def enrol(self, name: str, *options: str) -> None:
        self.operator("host", "add", name, f"root@{self.addresses[name]}", "--yes", *options)

    def __call__(self, *words: object, **options: Any) -> Result:
        """The operator's lxcwrap."""
        return self.operator(*words, **options)

    def answers(self, name: str) -> None:
        """Wait for its sshd."""
        for _ in range(100):
            if self.inside(name, "ss", "-ltnH", "sport = :22", check=False).out:
                return
            time.sleep(0.1)
        raise AssertionError(f"{name}: {self.outer('logs', name).err}")


def _archive(cli: Cli, debian_archive: str) -> str:
    """The hosts' image, made once per machine and again when its files change."""
    archive = CACHE / "fleet-host.tar"
    with open(CACHE / "fleet.lock", "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        newest = max(path.stat().st_mtime for path in (*PLACE.iterdir(), Path(debian_archive)))
        if not archive.exists() or archive.stat().st_mtime < newest:
            cli("load", "-i", debian_archive)
            cli("build", "-q", "-t", "fleet-host", PLACE, timeout=600)
            cli("save", "-o", archive, "fleet-host")
    return str(archive)


@pytest.fixture(scope="session")
def fleet(debian_archive: str) -> Iterator[Fleet]:
    """Three hosts with lxcwrap, enrolled, and a fourth without, not enrolled."""
    with state_root("fleet") as root:
        home = SCRATCH / f"fleet-home-{os.getpid()}"
        home.mkdir(parents=True)
        try:
            yield from _made(Fleet(Cli(root), home), debian_archive)
        finally:
            subprocess.run(["rm", "-rf", home], check=False)


def _made(fleet: Fleet, debian_archive: str) -> Iterator[Fleet]:
    fleet.outer("load", "-i", _archive(fleet.outer, debian_archive))
    try:
        for name in ("alpha", "beta", "gamma", "bare"):
            fleet.start(name)
        for name in ("alpha", "beta", "gamma"):
            fleet.equip(name)
        for name in fleet.addresses:
            fleet.answers(name)
        fleet.enrol("alpha", "--label", "zone=a")
        fleet.enrol("beta", "--label", "zone=b")
        fleet.enrol("gamma", "--label", "zone=b")
        yield fleet
    finally:
        for name in fleet.addresses:
            fleet.outer("exec", name, "sh", "-c", "lxcwrap rm -f $(lxcwrap ps -aq)", check=False)
            fleet.outer("rm", "-f", name, check=False)
