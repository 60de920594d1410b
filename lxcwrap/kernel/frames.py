"""Ethernet frames as another machine would send them: the first packet of a TCP connection, or a UDP datagram.

Source: RFC 791, 793, 768, 8200.
"""

from __future__ import annotations

import socket
import struct

_TCP, _UDP = 6, 17
_SENDER = b"\x02\x4c\0\0\0\x02"
_SYN, _WINDOW = 0x02, 64240


def frame(mac: bytes, protocol: str, source: str, source_port: int, target: str, port: int) -> bytes:
    """``mac`` is the receiver's; ``protocol`` is tcp or udp; both addresses are of one family."""
    family = socket.AF_INET6 if ":" in target else socket.AF_INET
    ends = socket.inet_pton(family, source) + socket.inet_pton(family, target)
    number = _TCP if protocol == "tcp" else _UDP
    body = (_segment if protocol == "tcp" else _datagram)(ends, source_port, port)
    if family == socket.AF_INET6:
        return mac + _SENDER + b"\x86\xdd" + struct.pack("!IHBB", 6 << 28, len(body), number, 64) + ends + body
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), source_port, 0, 64, number, 0)
    head = head[:10] + struct.pack("!H", checksum(head + ends)) + ends
    return mac + _SENDER + b"\x08\0" + head + body


def _segment(ends: bytes, source_port: int, port: int) -> bytes:
    options = struct.pack("!BBH", 2, 4, 1460)
    head = struct.pack("!HHIIBBHHH", source_port, port, source_port << 8, 0, 6 << 4, _SYN, _WINDOW, 0, 0) + options
    return head[:16] + struct.pack("!H", checksum(_pseudo(ends, _TCP, len(head)) + head)) + head[18:]


def _datagram(ends: bytes, source_port: int, port: int) -> bytes:
    body = struct.pack("!HHHH", source_port, port, 12, 0) + b"test"
    return body[:6] + struct.pack("!H", checksum(_pseudo(ends, _UDP, len(body)) + body) or 0xFFFF) + body[8:]


def _pseudo(ends: bytes, number: int, size: int) -> bytes:
    return ends + (struct.pack("!BBH", 0, number, size) if len(ends) == 8 else struct.pack("!IxxxB", size, number))


def checksum(content: bytes) -> int:
    """The Internet checksum."""
    total: int = sum(struct.unpack(f"!{(len(content) + 1) // 2}H", content + b"\0" * (len(content) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
