"""nftables: whole rulesets through libnftables, elements of maps straight over netlink.

Source: libnftables(3), nft(8), linux/netfilter/nf_tables.h, linux/netfilter/nfnetlink.h.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable

from lxcwrap.kernel import netlink

_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_SUBSYSTEM = 10  # NFNL_SUBSYS_NFTABLES
_INET = 1  # NFPROTO_INET
_GETTABLE, _NEWSETELEM, _DELSETELEM = 1, 12, 14
_TABLE_NAME, _TABLE_USERDATA = 1, 6
_LIST_TABLE, _LIST_SET, _LIST_ELEMENTS = 1, 2, 3
_ELEMENT, _ELEMENT_KEY, _ELEMENT_DATA, _VALUE = 1, 1, 2, 1
_SHARED_LIBRARY = "libnftables.so.1"

Element = tuple[bytes, bytes]  # key and value, each part padded to four bytes


class Rejected(Exception):
    """libnftables or the kernel refused a ruleset; the text is its own."""


def run(ruleset: str) -> str:
    """Apply commands in nft's syntax as one transaction: all of them or none.  Returns what they print.

    Raises Rejected, and OSError when libnftables is not installed.
    """
    import ctypes  # not needed for elements, which are changed far more often

    library = ctypes.CDLL(_SHARED_LIBRARY)
    library.nft_ctx_new.restype = ctypes.c_void_p
    library.nft_ctx_get_error_buffer.restype = library.nft_ctx_get_output_buffer.restype = ctypes.c_char_p
    context = ctypes.c_void_p(library.nft_ctx_new(0))
    try:
        library.nft_ctx_buffer_error(context)
        library.nft_ctx_buffer_output(context)
        if library.nft_run_cmd_from_buffer(context, ruleset.encode()):
            raise Rejected(os.fsdecode(library.nft_ctx_get_error_buffer(context) or b"").strip())
        return os.fsdecode(library.nft_ctx_get_output_buffer(context) or b"")
    finally:
        library.nft_ctx_free(context)


def table_comment(name: str) -> bytes | None:
    """The user data of an inet table, in which its comment is; None when there is no such table."""
    wanted = _generic() + netlink.attribute(_TABLE_NAME, name.encode() + b"\0")
    with netlink.Socket(netlink.NETLINK_NETFILTER) as channel:
        try:
            answers = channel.ask(_SUBSYSTEM << 8 | _GETTABLE, 0, wanted)
        except FileNotFoundError:
            return None
    return netlink.attributes(answers[0][1][4:]).get(_TABLE_USERDATA, b"")


def change_elements(table: str, removed: dict[str, list[Element]], added: dict[str, list[Element]]) -> None:
    """Take elements out of maps of an inet table and put others in, by map, as one transaction.

    Raises OSError: ENOENT for a table, map or element that is not there, EEXIST for a key that has another value.
    """
    lists = [(_DELSETELEM, 0, name, elements) for name, elements in removed.items()]
    lists += [(_NEWSETELEM, netlink.F_CREATE, name, elements) for name, elements in added.items()]
    messages = [
        netlink.message(_SUBSYSTEM << 8 | kind, flags | netlink.F_ACK, _listed(table, name, part))
        for kind, flags, name, elements in lists
        for part in _parts(elements)
    ]
    begin = netlink.message(_BATCH_BEGIN, 0, struct.pack("!BBH", 0, 0, _SUBSYSTEM))
    end = netlink.message(_BATCH_END, 0, struct.pack("!BBH", 0, 0, _SUBSYSTEM))
    with netlink.Socket(netlink.NETLINK_NETFILTER) as channel:
        channel.ask_all(begin + b"".join(messages) + end, len(messages))


def _generic() -> bytes:
    """nfgenmsg: family, version, resource."""
    return struct.pack("!BBH", _INET, 0, 0)


def _parts(elements: list[Element]) -> Iterable[list[Element]]:
    """An attribute's size is 16 bits: a few hundred elements fit."""
    return (elements[at : at + 256] for at in range(0, len(elements), 256))


def _listed(table: str, name: str, elements: list[Element]) -> bytes:
    content = _generic() + netlink.attribute(_LIST_TABLE, table.encode() + b"\0")
    content += netlink.attribute(_LIST_SET, name.encode() + b"\0")
    packed = []
    for key, value in elements:
        parts = [netlink.nested(_ELEMENT_KEY, netlink.attribute(_VALUE, key))]
        if value:
            parts.append(netlink.nested(_ELEMENT_DATA, netlink.attribute(_VALUE, value)))
        packed.append(netlink.nested(_ELEMENT, *parts))
    return content + netlink.nested(_LIST_ELEMENTS, *packed)
