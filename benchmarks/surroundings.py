"""What the peers change on the host, put back afterwards: iptables and their bridges."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

FAMILIES = (("ip", "iptables"), ("ip6", "ip6tables"))
TABLES = ("nat", "filter", "mangle", "raw")


@contextmanager
def preserved() -> Iterator[None]:
    """Network links and iptables rules are afterwards what they were before."""
    saved = {family: subprocess.run([f"{tool}-save"], capture_output=True).stdout for family, tool in FAMILIES}
    links = set(os.listdir("/sys/class/net"))
    try:
        yield
    finally:
        for link in set(os.listdir("/sys/class/net")) - links:
            if link.startswith(("docker", "cni-podman", "podman", "br-")):
                subprocess.run(["ip", "link", "delete", link])
        for family, tool in FAMILIES:
            _restore(family, tool, saved[family])


def _restore(family: str, tool: str, saved: bytes) -> None:
    """Put the rules back; a table of which nothing was saved is emptied and removed."""
    for table in TABLES:
        if f"*{table}".encode() not in saved:
            for words in (("-F",), ("-X",)):
                subprocess.run([tool, "-t", table, *words], capture_output=True)
            subprocess.run(["nft", "delete", "table", family, table], capture_output=True)
    subprocess.run([f"{tool}-restore"], input=saved, check=True)
