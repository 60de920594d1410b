"""Short forms, taken apart into the long ones."""

from __future__ import annotations

import re
from typing import Any

from lxcwrap.deploy.compose.node import Node

Made = dict[str, Any]

_PORT_RANGE = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")
_PORT_LIMIT = 2000  # ports of one range
_DRIVE = re.compile(r"[A-Za-z]:(?:\\|/[^:]*:/)")
_SELINUX = ("z", "Z")
_CONSISTENCY = ("consistent", "cached", "delegated")
_PROPAGATION = ("private", "rprivate", "slave", "rslave", "shared", "rshared")


def named(key: str) -> Any:
    """The whole text is one key's value."""
    return lambda node, place: {key: node.text}


def ports(node: Node, place: str) -> list[Made]:
    """``[[HOST-IP:]HOST-PORT:]PORT[/PROTOCOL]``, each port also a range."""
    rest, slash, protocol = node.text.partition("/")
    before, _, inside = rest.rpartition(":")
    address, published = _address(before)
    targets = _range(node, "" if slash and not protocol else inside, place)
    sources: list[str] = [""] * len(targets)
    if published:
        found = _range(node, published, place)
        if len(targets) == 1 and len(found) > 1:
            sources = [published]
        elif len(found) != len(targets):
            raise node.error(f"{place}: the ranges of {node.text!r:.60} differ in length")
        else:
            sources = list(map(str, found))
    made = []
    for target, source in zip(targets, sources, strict=True):
        one = {"target": str(target), "published": source, "host_ip": address, "protocol": protocol}
        made.append({key: value for key, value in one.items() if value})
    return made


def _address(before: str) -> tuple[str, str]:
    """(host address, host port) of what stands before the container's port."""
    if before.startswith("["):
        address, _, published = before[1:].partition("]")
        return address, published.removeprefix(":")
    address, _, published = before.rpartition(":")
    return address, published


def _range(node: Node, text: str, place: str) -> list[int]:
    match = _PORT_RANGE.fullmatch(text)
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not 0 < first <= last <= 65535 or last - first >= _PORT_LIMIT:
        raise node.error(f"{place}: {node.text!r:.80} is not a port", "write 8080:80, 127.0.0.1:8080:80/tcp or 80")
    return list(range(first, last + 1))


def volume(node: Node, place: str) -> Made:
    """``[SOURCE:]TARGET[:OPTIONS]``."""
    if _DRIVE.match(node.text):
        raise node.error(f"{place}: {node.text!r:.80} is a path of Windows")
    parts = node.text.split(":")
    if len(parts) > 3 or not all(parts):
        raise node.error(
            f"{place}: {node.text!r:.120} is not a volume", "write ./dir:/dir, name:/dir or /dir, then :ro"
        )
    source = parts[0] if len(parts) > 1 else ""
    made: Made = {"type": "bind" if is_path(source) else "volume", "target": parts[-1 if len(parts) < 3 else 1]}
    if source:
        made["source"] = source
    for word in parts[2].split(",") if len(parts) == 3 else ():
        _volume_word(node, made, word, place)
    return made


def is_path(source: str) -> bool:
    return source.startswith(("/", ".", "~"))


def _volume_word(node: Node, made: Made, word: str, place: str) -> None:
    kind = made["type"]
    if word in ("ro", "rw"):
        made["read_only"] = "true" if word == "ro" else "false"
    elif word == "nocopy" and kind == "volume":
        made["volume"] = {"nocopy": "true"}
    elif word in _SELINUX:
        made.setdefault("bind", {})["selinux"] = word
    elif word in _CONSISTENCY:
        made["consistency"] = word
    elif word in _PROPAGATION and kind == "bind":
        made.setdefault("bind", {})["propagation"] = word
    elif word == "bind" and kind == "bind":
        made.setdefault("bind", {})["recursive"] = "disabled"
    elif word != "rbind" or kind != "bind":
        raise node.error(f"{place}: {word!r:.40} is no option of a {kind}", "ro, rw, nocopy, z, Z, rslave and the like")


def device(node: Node, place: str) -> Made:
    """``SOURCE[:TARGET[:PERMISSIONS]]``."""
    parts = node.text.split(":")
    if len(parts) > 3 or not all(parts):
        raise node.error(f"{place}: {node.text!r:.80} is not a device", "write /dev/fuse or /dev/sda:/dev/xvda:r")
    if len(parts) == 2 and not parts[1].startswith("/"):
        parts = [parts[0], parts[0], parts[1]]
    return dict(zip(("source", "target", "permissions"), parts, strict=False))


def hook(node: Node, place: str) -> Made:
    return {"command": node.text}
