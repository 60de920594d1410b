"""What a container on the host's network listens on.

Source: proc(5), /proc/net/tcp.
"""

from __future__ import annotations

import os
import re
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

from lxcwrap.kernel import cgroup

_LISTENS = {"tcp": "0A", "udp": "07"}  # LISTEN; a datagram socket that is connected to nobody


class Listening(NamedTuple):
    protocol: str
    address: str
    port: int


def listening(pid: int, container_id: str) -> list[Listening]:
    """The listening sockets of the processes of the container whose init is ``pid``.  A process may end meanwhile."""
    mine = {number for member in cgroup.processes(cgroup.find(pid, container_id)) for number in _sockets(member)}
    found = {
        item: None
        for name in ("tcp", "tcp6", "udp", "udp6")
        for inode, item in _table(f"/proc/{pid}/net/{name}", name[:3])
        if inode in mine
    }
    return sorted(found, key=lambda item: (item.port, item.protocol, item.address))


def _sockets(pid: int) -> Iterator[str]:
    try:
        names = os.listdir(f"/proc/{pid}/fd")
    except (FileNotFoundError, ProcessLookupError):
        return
    for name in names:
        try:
            match = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(f"/proc/{pid}/fd/{name}"))
        except (FileNotFoundError, ProcessLookupError):
            continue
        if match:
            yield match[1]


def _table(path: str, protocol: str) -> Iterator[tuple[str, Listening]]:
    """(inode, socket) of the lines of such a file that are of listening sockets."""
    if not os.path.exists(path):
        return
    with open(path) as stream:
        next(stream)
        for line in stream:
            words = line.split()
            address, _, port = words[1].partition(":")
            if words[3] == _LISTENS[protocol] and words[2].endswith(":0000"):
                yield words[9], Listening(protocol, address_of(address), int(port, 16))


def address_of(text: str) -> str:
    """The address of hexadecimal words in the machine's order."""
    words = [int(text[at : at + 8], 16) for at in range(0, len(text), 8)]
    packed = b"".join(struct.pack("=I", word) for word in words)
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)
