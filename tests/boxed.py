"""A host of its own for tests of firewalls: a network namespace in which lxcwrap runs, wired to another machine.

The rules that a test loads there are nobody else's.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lxcwrap.model.paths import Paths
from tests.conftest import SCRATCH, Cli

# The namespace's devices are seen on a /sys of its own; the control groups stay where liblxc looks for them.
_ENTER = """
set -e
kept=$(mktemp -d /run/lxcwrap-test-XXXXXX)
mount --rbind /sys/fs/cgroup "$kept"
mount -t sysfs sysfs /sys
mount --rbind "$kept" /sys/fs/cgroup
umount -l "$kept"
rmdir "$kept"
exec "$@"
"""


class Box(Cli):
    """The command in the namespace; ``namespace`` and ``machine`` are descriptors, ``tmp_path`` holds network.yaml."""

    address, host, more = "198.18.7.2", "198.18.7.1", "198.18.7.3"  # the machine's, the host's, the machine's second
    address6, host6, more6 = "fd99::2", "fd99::1", "fd99::3"
    link = "ext0"

    def __init__(self, root: str, name: str) -> None:
        super().__init__(root)
        self.name, self.settings = name, Path(root, "config", "network.yaml")
        self.settings.parent.mkdir()
        self.environment["LXCWRAP_CONFIG_DIR"] = str(self.settings.parent)
        enter = ["nsenter", f"--net=/run/netns/{name}", "unshare", "-m", "sh", "-c", _ENTER, "sh"]
        self.program = [*enter, *self.program]
        self.namespace = os.open(f"/run/netns/{name}", os.O_RDONLY)
        self.machine = os.open(f"/run/netns/{name}m", os.O_RDONLY)

    def run(self, *argv: str, input: str | None = None) -> str:
        """A program in the host's namespace; its output."""
        words = ["nsenter", f"--net=/run/netns/{self.name}", *argv]
        done = subprocess.run(words, input=input, capture_output=True, text=True, timeout=20)
        assert done.returncode == 0, f"{argv}: {done.stderr}"
        return done.stdout

    def nft(self, text: str) -> None:
        self.run("nft", "-f", "-", input=text)

    def firewall(self, rules: str) -> None:
        """Replace what the host's own firewall has: our tables stay.  ``rules`` begin with * for iptables."""
        tables = [line.split()[1:] for line in self.run("nft", "list", "tables").splitlines()]
        foreign = [f"delete table {family} {name}" for family, name in tables if not name.startswith("lxcwrap")]
        self.nft("\n".join(foreign))
        if rules.startswith("*"):
            self.run("iptables-restore", input=rules)
        else:
            self.nft(rules)

    def close(self) -> None:
        left = self("ps", "-aq", "--no-trunc", check=False).out.split()
        if left:
            self("rm", "-f", *left, check=False)
        os.close(self.namespace)
        os.close(self.machine)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=20)


@contextmanager
def boxed() -> Iterator[Box]:
    """A host with a state root of its own, and another machine on its interface ext0."""
    SCRATCH.mkdir(mode=0o755, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="boxed-", dir=SCRATCH, ignore_cleanup_errors=True) as root:
        os.chmod(root, 0o711)
        name = f"lxtb{os.getpid()}"
        for made in (name, f"{name}m"):
            _ip("netns", "add", made)
            _ip("-n", made, "link", "set", "lo", "up")
        try:
            _ip("-n", name, "link", "add", Box.link, "type", "veth", "peer", "name", "eth0", "netns", f"{name}m")
            for where, device, addresses in (
                (name, Box.link, (f"{Box.host}/24", f"{Box.host6}/64")),
                (f"{name}m", "eth0", (f"{Box.address}/24", f"{Box.more}/24", f"{Box.address6}/64", f"{Box.more6}/64")),
            ):
                for address in addresses:
                    words = ["nodad"] if ":" in address else []
                    _ip("-n", where, "address", "add", address, "dev", device, *words)
                _ip("-n", where, "link", "set", device, "up")
            _ip("-n", f"{name}m", "route", "add", "default", "via", Box.host)
            box = Box(root, name)
            box("template", "build", "busybox", "-t", "busybox:latest")
            try:
                yield box
            finally:
                box.close()
        finally:
            for made in (name, f"{name}m"):
                _ip("netns", "delete", made)
            subprocess.run(["rm", "-rf", Paths(root).run], check=False)
