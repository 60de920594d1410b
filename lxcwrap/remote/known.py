"""Which host keys are known: OpenSSH's known_hosts files, the user's, the machine's and our own.

Source: sshd(8), SSH_KNOWN_HOSTS FILE FORMAT.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from lxcwrap.kernel import files, lock
from lxcwrap.remote import hosts


@dataclass(frozen=True)
class KnownKey:
    """One line.  ``revoked``: the key is never to be believed, whoever shows it."""

    names: tuple[str, ...]
    kind: str  # ssh-ed25519, ecdsa-sha2-nistp256, ssh-rsa
    blob: bytes  # the public key as SSH sends it
    revoked: bool = False


def own_file() -> str:
    """Where ``host add`` writes."""
    return os.path.join(hosts.user_folder(), "known_hosts")


def read(paths: Iterable[str] = ()) -> tuple[KnownKey, ...]:
    """The keys of all files (``paths``, or the usual ones); what is missing or unreadable holds none."""
    found: list[KnownKey] = []
    for path in tuple(paths) or (own_file(), f"{hosts.user_home()}/.ssh/known_hosts", "/etc/ssh/ssh_known_hosts"):
        try:
            with open(path, encoding="utf-8", errors="replace") as stream:
                found += parse(stream)
        except OSError:
            continue
    return tuple(found)


def parse(lines: Iterable[str]) -> list[KnownKey]:
    """Lines that are none of a key are left out, as ssh does; so are authorities of certificates."""
    found = []
    for line in lines:
        words = line.split()
        revoked = bool(words) and words[0] == "@revoked"
        if revoked:
            words = words[1:]
        if len(words) < 3 or words[0].startswith(("#", "@")):
            continue
        try:
            blob = base64.b64decode(words[2], validate=True)
        except binascii.Error:
            continue
        found.append(KnownKey(tuple(words[0].split(",")), words[1], blob, revoked))
    return found


def name_of(address: str, port: int) -> str:
    """How a host is named there: with its port when that is not 22."""
    return address.lower() if port == 22 else f"[{address.lower()}]:{port}"


def of(keys: Iterable[KnownKey], name: str) -> list[KnownKey]:
    """The keys that the host may show."""
    return [key for key in keys if not key.revoked and _matches(key.names, name)]


def is_revoked(keys: Iterable[KnownKey], blob: bytes) -> bool:
    return any(key.revoked and hmac.compare_digest(key.blob, blob) for key in keys)


def _matches(names: tuple[str, ...], name: str) -> bool:
    matched = False
    for pattern in names:
        if pattern.startswith("|1|"):
            matched = matched or _is_hash_of(pattern, name)
        elif pattern.startswith("!"):
            if fnmatchcase(name, _glob(pattern[1:])):
                return False
        else:
            matched = matched or fnmatchcase(name, _glob(pattern))
    return matched


def _glob(pattern: str) -> str:
    """Only ``*`` and ``?`` mean something: brackets are about ports."""
    return pattern.lower().replace("[", "[[]")


def _is_hash_of(pattern: str, name: str) -> bool:
    try:
        salt, digest = (base64.b64decode(part, validate=True) for part in pattern[3:].split("|"))
    except (ValueError, binascii.Error):
        return False
    return hmac.compare_digest(hmac.new(salt, name.encode(), hashlib.sha1).digest(), digest)


def fingerprint(blob: bytes) -> str:
    """As ssh-keygen -l prints it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def enrol(name: str, kind: str, blob: bytes) -> None:
    """Know the host by this key from now on, in the place of others that our own file has for it."""
    os.makedirs(hosts.user_folder(), mode=0o700, exist_ok=True)
    with lock.held(f"{own_file()}.lock"):
        kept = [line for line in _lines() if not any(_matches(key.names, name) for key in parse([line]))]
        kept.append(f"{name} {kind} {base64.b64encode(blob).decode()}\n")
        files.write_atomically(own_file(), "".join(kept).encode(), 0o600)


def forget(name: str) -> None:
    """Take the host's keys out of our own file."""
    if not os.path.exists(own_file()):
        return
    with lock.held(f"{own_file()}.lock"):
        kept = [line for line in _lines() if not any(_matches(key.names, name) for key in parse([line]))]
        files.write_atomically(own_file(), "".join(kept).encode(), 0o600)


def _lines() -> list[str]:
    try:
        with open(own_file(), encoding="utf-8", errors="replace") as stream:
            return [line if line.endswith("\n") else f"{line}\n" for line in stream]
    except FileNotFoundError:
        return []
