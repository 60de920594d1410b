"""What ``info`` warns of, in a network namespace of the test's own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]

_SCRIPT = """
import subprocess, sys
from lxcwrap.actions.information import _dropping
subprocess.run(["nft", "-f", "-"], input=sys.argv[1].encode(), check=True)
print(*_dropping("lxcwrap"), sep="\\n")
"""
_RULES = """
table inet lxcwrap {
    chain forward { type filter hook forward priority 0; policy drop; }
}
table ip filter {
    chain INPUT { type filter hook input priority 0; policy drop; }
    chain FORWARD { type filter hook forward priority 0; policy %s; }
    chain user { }
}
"""


def dropping(policy: str) -> list[str]:
    """The chains that would be warned of."""
    argv = ["unshare", "--net", sys.executable, "-c", _SCRIPT, _RULES % policy]
    done = subprocess.run(argv, capture_output=True, check=True, cwd=CHECKOUT)
    return done.stdout.decode().split("\n")[:-1]


def test_another_firewall_that_drops_forwarded_packets(needs: Callable[..., None]) -> None:
    needs("nft", "unshare")
    assert dropping("drop") == ["The nftables chain filter FORWARD"]
    assert dropping("accept") == [""]
