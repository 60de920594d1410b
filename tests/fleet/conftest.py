"""Hosts to be driven over SSH: containers with sshd, an address and a state root of their own."""

from __future__ import annotations

import fcntl
import os
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
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
        state.mkdir(parents=True, exist_ok=True)
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
def outer(debian_archive: str) -> Iterator[Cli]:
    """Runs the hosts; has their image.  The checkout, which they cannot write, is compiled for them first."""
    subprocess.run(["/usr/bin/python3", "-m", "compileall", "-q", CHECKOUT / "lxcwrap"], check=True)
    with state_root("fleet") as root:
        cli = Cli(root)
        cli("load", "-i", _archive(cli, debian_archive))
        yield cli


@contextmanager
def _operator(outer: Cli, name: str) -> Iterator[Fleet]:
    """A fleet without hosts yet; those that it gets are taken down at the end."""
    home = SCRATCH / f"{name}-home-{os.getpid()}"
    home.mkdir(parents=True)
    fleet = Fleet(outer, home)
    try:
        yield fleet
    finally:
        for host in fleet.addresses:
            outer("exec", host, "sh", "-c", "lxcwrap rm -f $(lxcwrap ps -aq)", check=False)
            outer("rm", "-f", host, check=False)
        subprocess.run(["umount", "-q", home / "states" / "six"], check=False)
        subprocess.run(["rm", "-rf", "--one-file-system", home], check=False)


@pytest.fixture(scope="session")
def fleet(outer: Cli) -> Iterator[Fleet]:
    """Three hosts with lxcwrap, enrolled, and a fourth without, not enrolled."""
    with _operator(outer, "fleet") as fleet:
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


SIX = ("one", "two", "three", "four", "five", "six")


@pytest.fixture(scope="session")
def six(outer: Cli) -> Iterator[Fleet]:
    """Six enrolled hosts with lxcwrap, half of them in zone a; ``six`` has a small disk.  The operator can build."""
    with _operator(outer, "six") as fleet, state_root("operator") as root:
        fleet.operator.environment["LXCWRAP_ROOT"] = fleet.operator.root = root

        small = fleet.home / "states" / "six"
        small.mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160m,mode=755", "none", small], check=True)

        def make(name: str) -> None:
            fleet.start(name)
            fleet.equip(name)
            fleet.answers(name)

        with ThreadPoolExecutor(3) as pool:
            list(pool.map(make, SIX))
        for number, name in enumerate(SIX):
            fleet.enrol(name, "--label", f"zone={'ab'[number % 2]}")
        fleet("template", "build", "busybox")
        yield fleet
