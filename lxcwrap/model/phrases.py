"""What listings say about containers, in Docker's words.  Pure, and quick to import: ``ps`` uses it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lxcwrap.model.units import show_duration

Published = Sequence[tuple[str, int, int, str]]  # host address, host port, container port, protocol


def ago(moment: float, now: float) -> str:
    """``3 hours ago``.  Seconds since the epoch."""
    return f"{show_duration(max(now - moment, 0))} ago"


def status(
    status: str, now: float, *, started: float = 0, finished: float = 0, exit_code: int = 0, health: str = ""
) -> str:
    """``Up 3 minutes (healthy)``, ``Exited (0) 2 hours ago``: the STATUS column."""
    if status in ("running", "paused"):
        text = f"Up {show_duration(max(now - started, 0))}"
        if status == "paused":
            return f"{text} (Paused)"
        return text + {"": "", "none": "", "starting": " (health: starting)"}.get(health, f" ({health})")
    if status == "created":
        return "Created"
    if status == "restarting":
        return f"Restarting ({exit_code}) {ago(finished, now)}"
    if status == "dead":
        return "Dead"
    return f"Exited ({exit_code}) {ago(finished, now)}" if finished else f"Exited ({exit_code})"


def ports(published: Published, exposed: Iterable[str]) -> str:
    """``0.0.0.0:8080->80/tcp, 443/tcp``; runs of ports that follow each other are drawn together."""
    taken = {(port, protocol) for _, _, port, protocol in published}
    groups: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for address, host_port, port, protocol in published:
        groups.setdefault((address, protocol), []).append((port, host_port))
    for item in exposed:
        number, _, protocol = item.partition("/")
        if number.isdigit() and (int(number), protocol or "tcp") not in taken:
            groups.setdefault(("", protocol or "tcp"), []).append((int(number), 0))
    shown: list[tuple[int, str, str]] = []
    for (address, protocol), pairs in groups.items():
        for first, last in _runs(sorted(pairs)):
            shown.append((first[0], protocol, _range(address, protocol, first, last)))
    return ", ".join(text for _, _, text in sorted(shown))


def _runs(pairs: list[tuple[int, int]]) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """(first, last) of each run in which both ports grow by one (or the host's is 0 throughout)."""
    found: list[tuple[tuple[int, int], tuple[int, int]]] = []
    for pair in pairs:
        if found:
            first, last = found[-1]
            if pair in ((last[0] + 1, last[1] + 1), (last[0] + 1, 0)) and bool(pair[1]) == bool(last[1]):
                found[-1] = (first, pair)
                continue
        found.append((pair, pair))
    return found


def _range(address: str, protocol: str, first: tuple[int, int], last: tuple[int, int]) -> str:
    inner, outer = (str(a) if a == b else f"{a}-{b}" for a, b in zip(first, last, strict=True))
    if not first[1]:
        return f"{inner}/{protocol}"
    host = f"[{address}]" if ":" in address else address or "0.0.0.0"
    return f"{host}:{outer}->{inner}/{protocol}"


def quoted_command(argv: Iterable[str], limit: int = 0) -> str:
    """``"sleep 60"`` in quotes, cut to ``limit`` characters when that is not 0; ``sh -c 'a b'`` as Docker shows it."""
    words = [f"'{word}'" if number and " " in word else word for number, word in enumerate(argv)]
    command = " ".join(words)
    if limit and len(command) > limit:
        command = command[: limit - 1] + "…"
    return '"' + command.replace("\\", "\\\\").replace('"', '\\"') + '"'


def local_time(moment: float) -> str:
    """As Go prints a time: ``2026-01-02 15:04:05 +0100 CET``."""
    import time

    return time.strftime("%Y-%m-%d %H:%M:%S %z %Z", time.localtime(moment))


def rfc3339(moment: float) -> str:
    """UTC with nine decimals, as documents have it; Go's zero time for 0."""
    import time

    if not moment:
        return "0001-01-01T00:00:00Z"
    whole = int(moment)
    return (
        time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))
        + f".{min(round((moment - whole) * 1e9), 999_999_999):09d}Z"
    )
