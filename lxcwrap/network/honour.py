"""The mode in which the host's firewall decides about published ports too (``firewall: honour`` in network.yaml).

What is forwarded to a container never passes the INPUT rules with which people close ports.  In this mode the first
packet of a new connection from outside is left as it came, and so runs through all of them.  What they let through
meets a chain of ours at the end of the hook, which notes who came to which port and drops the packet: a connection
that was dropped there is none yet for the kernel.  The client sends it again, and then it is forwarded.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from lxcwrap.network import rules
from lxcwrap.network.rules import Published
from lxcwrap.store.database import Store

_SETS = ("anywhere", "bound", "anywhere6", "bound6")  # beside the maps of these names
FIRST = "jump checked"  # at the start of the chain that publishes
_MOST = 262144  # clients that are remembered at once; without room for another it is not let in
_LAST = 2000000000  # after every filter, and before the kernel confirms the connection (2147483647)

_TEXT = """\
set anywhere{c} {{
        type inet_proto . inet_service
        [anywhere]
    }}
    set bound{c} {{
        type ipv4_addr . inet_proto . inet_service
        [bound]
    }}
    set anywhere6{c} {{
        type inet_proto . inet_service
        [anywhere6]
    }}
    set bound6{c} {{
        type ipv6_addr . inet_proto . inet_service
        [bound6]
    }}
    set admitted {{
        type iface_index . ipv4_addr . ipv4_addr . inet_proto . inet_service
        size {most}
        flags dynamic,timeout
        timeout {recheck}s
    }}
    set admitted6 {{
        type iface_index . ipv6_addr . ipv6_addr . inet_proto . inet_service
        size {most}
        flags dynamic,timeout
        timeout {recheck}s
    }}
    # Containers reach what is published as ever; all others have to pass the host's INPUT rules first.
    chain checked {{
        {inside}
        meta iif . ip saddr . ip daddr . meta l4proto . th dport @admitted return
        meta iif . ip6 saddr . ip6 daddr . meta l4proto . th dport @admitted6 return
        ip daddr . meta l4proto . th dport @bound{c} accept
        meta nfproto ipv4 meta l4proto . th dport @anywhere{c} accept
        ip6 daddr . meta l4proto . th dport @bound6{c} accept
        meta nfproto ipv6 meta l4proto . th dport @anywhere6{c} accept
    }}
    chain passed {{
        type filter hook input priority {last}; policy accept;
        ct state != new return
        iifname "lo" return
        fib daddr type != local return
        ip daddr . meta l4proto . th dport @bound{c} jump admit
        meta nfproto ipv4 meta l4proto . th dport @anywhere{c} jump admit
        ip6 daddr . meta l4proto . th dport @bound6{c} jump admit
        meta nfproto ipv6 meta l4proto . th dport @anywhere6{c} jump admit
    }}
    chain admit {{
        add @admitted {{ meta iif . ip saddr . ip daddr . meta l4proto . th dport }}
        add @admitted6 {{ meta iif . ip6 saddr . ip6 daddr . meta l4proto . th dport }}
        drop
    }}"""


def text(store: Store, recheck: int) -> str:
    """What the table has more; the elements of its sets are still to be filled in."""
    inside = [f'iifname "{bridge}" return' for bridge in ("lxcw*", "lxn*", *_named_bridges(store))]
    return _TEXT.format(c=rules.CHECKED, most=_MOST, recheck=recheck, last=_LAST, inside="\n        ".join(inside))


def filled(checks: str, published: Iterable[Published]) -> str:
    """The text with the ports that are published now."""
    found: dict[str, list[str]] = {name: [] for name in _SETS}
    for port in published:
        name = rules.map_of(port)
        address = f"{port.host_ip} . " if name.startswith(rules.BOUND) else ""
        found[name].append(f"{address}{port.protocol} . {port.host_port}")
    for name, items in found.items():
        checks = checks.replace(f"[{name}]", f"elements = {{ {', '.join(items)} }}" if items else "")
    return checks


def _named_bridges(store: Store) -> list[str]:
    """Bridges whose names their users chose."""
    rows = store.db.execute("SELECT config FROM networks ORDER BY name")
    bridges = [json.loads(row["config"]).get("bridge", "") for row in rows]
    return [bridge for bridge in bridges if bridge and not bridge.startswith(("lxcw", "lxn"))]
