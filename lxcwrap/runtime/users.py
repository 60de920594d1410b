"""Users and groups by the rootfs' own /etc/passwd and /etc/group.  Pure, and loaded into supervisors.

Source: passwd(5), group(5); the forms of ``--user`` are Docker's.
"""

from __future__ import annotations

_IDS = 2**31


class UnknownUser(Exception):
    """The rootfs has no such user or group; the message is one line."""


class Identity:
    """Whom a process runs as.  ``groups`` are supplementary."""

    def __init__(self, uid: int, gid: int, groups: tuple[int, ...], home: str) -> None:
        self.uid = uid
        self.gid = gid
        self.groups = groups
        self.home = home


def resolve(user: str, extra_groups: tuple[str, ...], passwd: str, group: str) -> Identity:
    """``user`` is ``''``, ``name``, ``uid``, each with ``:group`` or ``:gid``.  Raises UnknownUser."""
    who, _, of_group = user.partition(":")
    accounts, groups = _table(passwd, 7), _table(group, 4)
    account = _find(accounts, who or "0")
    uid = int(account[2]) if account else _number(who or "0", "user")
    if of_group:
        entry = _find(groups, of_group)
        gid = int(entry[2]) if entry else _number(of_group, "group")
    else:
        gid = int(account[3]) if account else 0
    supplementary = []
    if account and not of_group:
        supplementary += [int(entry[2]) for entry in groups if account[0] in entry[3].split(",")]
    for name in extra_groups:
        entry = _find(groups, name)
        supplementary.append(int(entry[2]) if entry else _number(name, "group"))
    home = account[5] if account and account[5] else "/"
    return Identity(uid, gid, tuple(dict.fromkeys([gid, *supplementary])), home)


def _table(text: str, width: int) -> list[list[str]]:
    """Well-formed lines only: numeric ids, at least as many fields as it takes."""
    rows = []
    for line in text.splitlines():
        row = line.split(":")
        if len(row) >= width - 1 and _is_id(row[2]) and (width != 7 or _is_id(row[3])):
            rows.append(row + [""] * (width - len(row)))
    return rows


def _find(rows: list[list[str]], name: str) -> list[str] | None:
    for row in rows:
        if row[0] == name:
            return row
    if _is_id(name):
        for row in rows:
            if int(row[2]) == int(name):
                return row
    return None


def _is_id(text: str) -> bool:
    """Whether it is a number that the kernel takes for an id: the image's files may say anything."""
    return text.isascii() and text.isdigit() and len(text) <= 10 and int(text) < _IDS


def _number(text: str, what: str) -> int:
    if _is_id(text):
        return int(text)
    place = "passwd" if what == "user" else "group"
    raise UnknownUser(f"unable to find {what} {text}: no matching entries in {place} file")
