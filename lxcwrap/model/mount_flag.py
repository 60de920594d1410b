"""The value of ``--mount``: comma-separated ``key=value`` pairs in CSV form, as Docker's users write them.  Pure."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field

from lxcwrap.errors import UsageError
from lxcwrap.model.container import Mount, MountKind
from lxcwrap.model.names import check_name
from lxcwrap.model.run_flags import PROPAGATION, absolute
from lxcwrap.model.units import parse_bytes

_ALIASES = {"src": "source", "dst": "target", "destination": "target", "ro": "readonly"}
_ANY = ("type", "source", "target", "readonly", "consistency")
_KEYS = {
    MountKind.BIND: (*_ANY, "bind-propagation", "bind-nonrecursive", "bind-recursive"),
    MountKind.VOLUME: (*_ANY, "volume-nocopy", "volume-subpath", "volume-driver"),
    MountKind.TMPFS: (*_ANY, "tmpfs-size", "tmpfs-mode"),
}
_ELSEWHERE = {
    "volume-opt": "make the volume first: lxcwrap volume create",
    "volume-label": "make the volume first: lxcwrap volume create --label",
    "image-subpath": "images are not mounted; run or cp takes files from one",
}
_TRUE, _FALSE = ("", "1", "t", "true"), ("0", "f", "false")


@dataclass
class _Fields:
    """What was written, by key; ``text`` for messages."""

    text: str
    values: dict[str, str] = field(default_factory=dict)

    def error(self, what: str, hint: str = "") -> UsageError:
        return UsageError(f"invalid mount {self.text!r:.160}: {what}", hint=hint)

    def switch(self, key: str) -> bool:
        """A key alone, or with a boolean."""
        value = self.values.get(key, "false").lower()
        if value not in _TRUE + _FALSE:
            raise self.error(f"{key}={value!r:.40} is neither true nor false")
        return value in _TRUE


def mount(text: str) -> Mount:
    """``type=bind|volume|tmpfs,source=…,target=…[,option…]``; the type is volume when none is named.

    Raises UsageError.
    """
    fields = _read(text)
    kind = _kind(fields)
    for key in fields.values:
        if key in _ELSEWHERE:
            raise fields.error(f"{key} is not supported", hint=_ELSEWHERE[key])
        if key not in _KEYS[kind]:
            taken = any(key in keys for keys in _KEYS.values())
            raise fields.error(
                f"{key!r:.40} does not go with type={kind.value}" if taken else f"unknown key {key!r:.40}"
            )
    if not fields.values.get("target"):
        raise fields.error("it has no target", hint="add target=/dir")
    target = absolute(fields.values["target"], f"invalid mount {text!r:.120}: the target")
    return {MountKind.BIND: _bind, MountKind.VOLUME: _volume, MountKind.TMPFS: _tmpfs}[kind](fields, target)


def _read(text: str) -> _Fields:
    fields = _Fields(text)
    try:
        pairs = next(csv.reader([text], strict=True), [])
    except csv.Error as error:
        raise fields.error(str(error)) from None
    for pair in pairs:
        key, separator, value = pair.partition("=")
        key = _ALIASES.get(key.lower(), key.lower())
        if not separator and key not in ("readonly", "bind-nonrecursive", "volume-nocopy"):
            raise fields.error(f"{pair!r:.60} has no value", hint="write key=value, separated by commas")
        fields.values[key] = value
    return fields


def _kind(fields: _Fields) -> MountKind:
    name = fields.values.get("type", "volume").lower()
    for kind in _KEYS:
        if kind.value == name:
            return kind
    known = ", ".join(kind.value for kind in _KEYS)
    raise fields.error(f"type {name!r:.40} is not supported", hint=f"choose {known}")


def _bind(fields: _Fields, target: str) -> Mount:
    source = fields.values.get("source", "")
    if not source.startswith("/"):
        raise fields.error("the source of a bind is an absolute path on the host", hint="add source=/dir")
    propagation = fields.values.get("bind-propagation", "")
    if propagation and propagation not in PROPAGATION:
        raise fields.error(f"bind-propagation {propagation!r:.40}: choose {', '.join(PROPAGATION)}")
    recursive = fields.values.get("bind-recursive", "enabled")
    if recursive not in ("enabled", "disabled"):
        raise fields.error(f"bind-recursive {recursive!r:.40}: choose enabled or disabled")
    alone = recursive == "disabled" or fields.switch("bind-nonrecursive")
    options = (*(["bind"] if alone else []), *([propagation] if propagation else []))
    return Mount(MountKind.BIND, target, source, fields.switch("readonly"), options)


def _volume(fields: _Fields, target: str) -> Mount:
    name = fields.values.get("source", "")
    if name:
        check_name(name, "volume")
    driver = fields.values.get("volume-driver", "local")
    if driver != "local":
        raise fields.error(f"volume-driver {driver!r:.40}: the only driver is local")
    subpath = fields.values.get("volume-subpath", "")
    if subpath.startswith("/") or ".." in subpath.split("/"):
        raise fields.error(f"volume-subpath {subpath!r:.80} leads out of the volume")
    if subpath and not name:
        raise fields.error("volume-subpath needs the name of a volume", hint="add source=NAME")
    no_copy = fields.switch("volume-nocopy")
    return Mount(
        MountKind.VOLUME, target, name, fields.switch("readonly"), no_copy=no_copy, subpath=subpath, anonymous=not name
    )


def _tmpfs(fields: _Fields, target: str) -> Mount:
    if "source" in fields.values:
        raise fields.error("a tmpfs has no source")
    options = []
    if "tmpfs-size" in fields.values:
        options.append(f"size={parse_bytes(fields.values['tmpfs-size'], 'tmpfs-size')}")
    mode = fields.values.get("tmpfs-mode", "1777")
    if not mode.isdigit() or set(mode) - set("01234567") or len(mode) > 5:
        raise fields.error(f"tmpfs-mode {mode!r:.20} is not an octal mode", hint="write it like 1770")
    options.append(f"mode={mode}")
    if fields.switch("readonly"):
        options.append("ro")
    return Mount(MountKind.TMPFS, target, options=tuple(options))
