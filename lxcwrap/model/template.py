"""Definitions of base images: what a YAML file in ``templates/`` says, checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from lxcwrap.errors import UsageError

_NAME = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")
_RELEASE = re.compile(r"[a-zA-Z0-9]+(?:[._-][a-zA-Z0-9]+)*")
_MIRROR = re.compile(r"(?:https?|ftp|file)://[^\s\x00-\x1f\"'\\]+")

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Template:
    """One definition, for one release.  templates/debian.yaml explains the fields; '' and () are "not given"."""

    name: str
    method: str
    description: str = ""
    release: str = ""
    mirror: str = ""
    files: Pairs = ()
    modes: Pairs = ()
    remove: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()
    created: str = ""
    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    env: Pairs = ()
    labels: Pairs = ()
    user: str = ""
    working_dir: str = ""
    stop_signal: str = ""
    programs: tuple[str, ...] = ()
    suite: str = ""
    variant: str = ""
    components: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    script: str = ""
    keyring: str = ""
    keyring_package: str = ""
    flavour: str = ""
    repositories: Pairs = ()
    keys: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()


_LISTS = frozenset(
    ("remove", "empty", "command", "entrypoint", "programs", "components", "include", "keys", "packages")
)
_MAPS = frozenset(("files", "modes", "env", "labels", "repositories"))
_COMMON = frozenset(
    (
        *("description", "method", "release", "mirror", "files", "modes", "remove", "empty", "created"),
        *("command", "entrypoint", "env", "labels", "user", "working_dir", "stop_signal"),
    )
)
_METHODS: dict[str, frozenset[str]] = {
    "busybox": frozenset(("programs",)),
    "debootstrap": frozenset(("suite", "variant", "components", "include", "script", "keyring", "keyring_package")),
    "alpine": frozenset(("flavour",)),
    "dnf": frozenset(("repositories", "keys", "packages")),
}
_NEEDED: dict[str, tuple[str, ...]] = {
    "busybox": ("programs",),
    "debootstrap": ("release", "mirror", "keyring"),
    "alpine": ("release", "mirror", "flavour"),
    "dnf": ("release", "repositories", "keys", "packages"),
}


def check_name(name: str) -> str:
    """A template's name is a file's name and a repository's.  Raises UsageError."""
    if len(name) > 64 or not _NAME.fullmatch(name):
        raise UsageError(f"template name {name!r:.80} is not allowed", hint="see: lxcwrap template ls", exit_code=1)
    return name


def check_release(release: str) -> str:
    """A release is a word of a URL, an argument of a tool and a tag.  Raises UsageError."""
    if len(release) > 64 or not _RELEASE.fullmatch(release):
        raise UsageError(f"release {release!r:.80} is not a release's name", exit_code=1)
    return release


def check_mirror(mirror: str) -> str:
    """Raises UsageError."""
    if not _MIRROR.fullmatch(mirror):
        raise UsageError(f"mirror {mirror!r:.200} is not an http, https, ftp or file address", exit_code=1)
    return mirror.rstrip("/")


def parse(name: str, plain: Any, where: str, *, release: str = "", mirror: str = "") -> Template:
    """The definition ``plain`` (as YAML gives it) of the file ``where``, for ``release`` ('' for its own).

    Raises UsageError for keys that are not known and values of the wrong kind.
    """
    if not isinstance(plain, dict):
        raise _wrong(where, "the definition is not a mapping")
    merged = dict(plain)
    changes = merged.pop("releases", {})
    if not isinstance(changes, dict):
        raise _wrong(where, "releases is not a mapping")
    chosen = release or str(merged.get("release", ""))
    _check_keys(merged, where, "")
    for listed, change in changes.items():
        if not isinstance(listed, str) or not isinstance(change, dict):
            raise _wrong(where, f"releases: {listed!r} is not a quoted name with a mapping")
        _check_keys({"method": merged["method"], **change}, where, f"releases: {listed}: ")
        if listed == chosen:
            merged = _merged(merged, change)
    if release:
        merged["release"] = release
    if mirror:
        merged["mirror"] = mirror
    values = {key: _value(key, value, where) for key, value in merged.items()}
    return _checked(Template(name=name, **values), where)


def _check_keys(plain: Mapping[Any, Any], where: str, prefix: str) -> None:
    method = plain.get("method")
    if method not in _METHODS:
        raise _wrong(where, f"{prefix}method is {method!r}, not one of {', '.join(sorted(_METHODS))}")
    known = _COMMON | _METHODS[method] | ({"releases"} if not prefix else set())
    for key in plain:
        if key not in known:
            raise _wrong(where, f"{prefix}unknown key {key!r}{_nearest(str(key), known)}")


def _nearest(key: str, known: set[str] | frozenset[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(key, sorted(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _merged(plain: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    both = {key for key in change if isinstance(change[key], dict) and isinstance(plain.get(key), dict)}
    return {**plain, **change, **{key: {**plain[key], **change[key]} for key in both}}


def _value(key: str, value: Any, where: str) -> Any:
    if key in _MAPS:
        if not isinstance(value, dict) or not all(_is_text(k) and _is_text(v) for k, v in value.items()):
            raise _wrong(where, f"{key} is not a mapping of texts")
        return tuple(value.items())
    if key in _LISTS:
        if not isinstance(value, list) or not all(map(_is_text, value)):
            raise _wrong(where, f"{key} is not a list of texts")
        return tuple(value)
    if not _is_text(value):
        raise _wrong(where, f"{key} is not a text (numbers and dates need quotes)")
    return value


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _checked(template: Template, where: str) -> Template:
    for key in _NEEDED[template.method]:
        if not getattr(template, key):
            raise _wrong(where, f"{key} is missing")
    for path in (*template.remove, *template.empty, *(path for path, _ in template.files + template.modes)):
        if not path.startswith("/") or ".." in path.split("/"):
            raise _wrong(where, f"{path!r} is not an absolute path")
    for path, mode in template.modes:
        if not re.fullmatch(r"0?[0-7]{3,4}", mode):
            raise _wrong(where, f"modes: {path}: {mode!r} is not an octal mode")
    if template.release:
        check_release(template.release)
    if template.mirror:
        template = replace(template, mirror=check_mirror(template.mirror))
    return template


def filled(template: Template, arch: str, machine: str) -> Template:
    """With {release}, {mirror}, {arch} and {machine} replaced where they may stand."""
    words = {"{release}": template.release, "{arch}": arch, "{machine}": machine}
    mirror = _replaced(template.mirror, words)
    words["{mirror}"] = mirror

    def pairs(items: Pairs) -> Pairs:
        return tuple((key, _replaced(value, words)) for key, value in items)

    return replace(
        template,
        mirror=mirror,
        keyring=_replaced(template.keyring, words),
        files=pairs(template.files),
        env=pairs(template.env),
        labels=pairs(template.labels),
        repositories=pairs(template.repositories),
        keys=tuple(_replaced(key, words) for key in template.keys),
    )


def _replaced(text: str, words: Mapping[str, str]) -> str:
    for word, value in words.items():
        text = text.replace(word, value)
    return text


def _wrong(where: str, what: str) -> UsageError:
    return UsageError(f"{where}: {what}", exit_code=1)
