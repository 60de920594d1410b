"""resolv.conf(5) for containers: the host's, less what only the host can reach."""

from __future__ import annotations

_HOST = "/etc/resolv.conf"
_SYSTEMD = "/run/systemd/resolve/resolv.conf"  # what systemd-resolved itself asks
FALLBACK = ("8.8.8.8", "8.8.4.4")  # as Docker: when the host's only resolver listens on its loopback


def host_text() -> str:
    """The host's resolver configuration; systemd-resolved's real one where /etc/resolv.conf names its stub."""
    text = _read(_HOST)
    if not servers(text) and any(server.startswith("127.") for server in _listed(text)):
        real = _read(_SYSTEMD)
        if servers(real):
            return real
    return text


def raw_text() -> str:
    """The host's own file: in its network namespace its loopback can be reached."""
    return _read(_HOST)


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""


def _listed(text: str) -> tuple[str, ...]:
    words = (line.split() for line in text.splitlines())
    return tuple(line[1] for line in words if len(line) > 1 and line[0] == "nameserver")


def servers(text: str) -> tuple[str, ...]:
    """The name servers that a container can reach too: no loopback, no link-local with a zone."""
    return tuple(s for s in _listed(text) if not s.startswith("127.") and s != "::1" and "%" not in s)


def _values(text: str, *keywords: str) -> tuple[str, ...]:
    """The words of the last line with one of the keywords, as the resolver reads them."""
    found: tuple[str, ...] = ()
    for line in text.splitlines():
        words = line.split()
        if words and words[0] in keywords:
            found = tuple(words[1:])
    return found


def _options(text: str) -> tuple[str, ...]:
    words = (line.split() for line in text.splitlines())
    return tuple(option for line in words if line and line[0] == "options" for option in line[1:])


def contents(host: str, dns: tuple[str, ...] = (), search: tuple[str, ...] = (), options: tuple[str, ...] = ()) -> str:
    """The container's file: what was asked for, else what ``host`` (the host's own file) says.

    A search of ``.`` alone means none.
    """
    lines = []
    found = dns or servers(host)
    if not found:
        found = FALLBACK
        lines.append("# The host's resolver listens on its loopback, which containers cannot reach.")
    lines += [f"nameserver {server}" for server in found]
    domains = search or _values(host, "search", "domain")
    if domains and domains != (".",):
        lines.append(f"search {' '.join(domains)}")
    chosen = options or _options(host)
    if chosen:
        lines.append(f"options {' '.join(chosen)}")
    return "\n".join(lines) + "\n"
