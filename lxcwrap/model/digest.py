"""Digests, diff IDs and chain IDs: ``sha256:<64 hex>`` strings, checked where they enter.

Source: OCI image spec, descriptor.md (digests) and config.md (layer ChainID).
"""

from __future__ import annotations

import re
import sys
from importlib import import_module

from lxcwrap.errors import Corrupt

_SHA256 = re.compile(r"sha256:[0-9a-f]{64}")


def check(text: str, what: str = "digest") -> str:
    """``text`` itself if it is a SHA-256 digest; raises Corrupt otherwise."""
    if not isinstance(text, str) or not _SHA256.fullmatch(text):
        raise Corrupt(f"{what} {text!r:.100} is not sha256:<64 hex digits>")
    return text


def of(content: bytes) -> str:
    return "sha256:" + sha256(content)


def chain_ids(diff_ids: tuple[str, ...]) -> tuple[str, ...]:
    """The chain ID of each prefix of a stack of diff IDs, lowest layer first."""
    chain: list[str] = []
    for diff_id in diff_ids:
        chain.append(diff_id if not chain else of(f"{chain[-1]} {diff_id}".encode()))
    return tuple(chain)


def sha256(content: bytes) -> str:
    """As hashlib, whose import loads OpenSSL: that costs a short command 4 ms, the interpreter's own nothing."""
    name = "_sha2" if sys.version_info >= (3, 12) else "_sha256"
    try:
        module = import_module(name)
    except ImportError:  # an interpreter that was built without it
        module = import_module("hashlib")
    return str(module.sha256(content).hexdigest())
