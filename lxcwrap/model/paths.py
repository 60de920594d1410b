"""Where state is: names only, nothing is touched.

Several state roots may live on one host (tests do it).  What is global to the host (the volatile
directory, the bridge, the nftables table) carries the instance's tag: '' for the default root, eight hex
digits of its path's SHA-256 for any other.
"""

from __future__ import annotations

import os

DEFAULT_ROOT = "/var/lib/lxcwrap"


class Paths:
    """The layout under one state root (design, section 4)."""

    def __init__(self, root: str = DEFAULT_ROOT) -> None:
        self.root = os.path.abspath(root)
        self.tag = "" if self.root == DEFAULT_ROOT else _tag(self.root)

    @property
    def run(self) -> str:
        """Volatile state: sockets and locks; gone after a reboot."""
        return "/run/lxcwrap" + (f"-{self.tag}" if self.tag else "")

    @property
    def database(self) -> str:
        return f"{self.root}/state.db"

    @property
    def reserve(self) -> str:
        """A file that is there for its size only."""
        return f"{self.root}/reserve"

    @property
    def staging(self) -> str:
        return f"{self.root}/tmp"

    @property
    def locks(self) -> str:
        return f"{self.root}/locks"

    @property
    def bridge(self) -> str:
        """The default bridge's interface name (at most 15 characters)."""
        return "lxcw0" if not self.tag else f"lxcw-{self.tag}"

    @property
    def nft_table(self) -> str:
        return "lxcwrap" + (f"_{self.tag}" if self.tag else "")

    @property
    def events(self) -> str:
        """The journal of what happened; alone in its directory, which followers watch."""
        return f"{self.root}/events/journal"

    def blob(self, digest: str) -> str:
        algorithm, _, encoded = digest.partition(":")
        return f"{self.root}/blobs/{algorithm}/{encoded}"

    def layer(self, chain_id: str) -> str:
        """The directory of one layer; its files are in ``diff`` below it."""
        return f"{self.root}/layers/{chain_id.partition(':')[2]}"

    def container(self, container_id: str) -> str:
        """The lxcpath entry of one container: upper, work, rootfs, config, log, state.json."""
        return f"{self.root}/containers/{container_id}"

    @property
    def containers(self) -> str:
        return f"{self.root}/containers"

    @property
    def volumes(self) -> str:
        return f"{self.root}/volumes"

    def volume(self, name: str) -> str:
        return f"{self.root}/volumes/{name}"

    def volume_marker(self, name: str) -> str:
        """A file that is there while the volume is filled with an image's content (no volume's name begins so)."""
        return f"{self.root}/volumes/.filling-{name}"

    def volume_holders(self, name: str) -> str:
        """Which supervisors have a volume's own file system mounted; see ``runtime/filesystems.py``."""
        return f"{self.run}/volumes/{name}"

    def container_run(self, container_id: str) -> str:
        """The volatile directory of one container: its supervisor's socket and lock."""
        return f"{self.run}/containers/{container_id}"


def _tag(root: str) -> str:
    from lxcwrap.model.digest import sha256  # not needed with the default root, which is the fast path

    return sha256(root.encode())[:8]
