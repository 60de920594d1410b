"""The value of ``--mount``: comma-separated ``key=value`` pairs in CSV form, as Docker's users write them.  Pure."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field

from lxcwrap.errors import UsageError
from lxcwrap.model.container import Mount, MountKind
from lxcwrap.model.names import check_name
from lxcwrap.model.run_flags import CONSISTENCY, PROPAGATION, SHARED, absolute, label, unshared
from lxcwrap.model.units import parse_bytes

_ALIASES = {"src": "source", "dst": "target", "destination": "target", "ro": "readonly", "readwrite": "rw"}
_SWITCHES = ("readonly", "rw", "bind-nonrecursive", "bind-create-src", "volume-nocopy")  # may stand without a value
_LISTS = ("volume-opt", "volume-label")  # may come several times
_SUBPATHS = {MountKind.VOLUME: "volume-subpath", MountKind.IMAGE: "image-subpath"}
_ANY = ("type", "source", "target", "readonly", "consistency")
_KEYS = {
    MountKind.BIND: (*_ANY, "bind-propagation", "bind-nonrecursive", "bind-recursive", "bind-create-src"),
    MountKind.VOLUME: (*_ANY, "volume-nocopy", "volume-subpath", "subpath", "volume-driver", *_LISTS),
    MountKind.TMPFS: (*_ANY, "tmpfs-size", "tmpfs-mode"),
    MountKind.IMAGE: (*_ANY, "image-subpath", "subpath", "rw"),
}
_ELSEWHERE = {
    "npipe": "named pipes are for Windows",
    "cluster": "cluster volumes need a Swarm",
    "devpts": "every container has its own",
    "ramfs": "use type=tmpfs",
    "glob": "mount the directory",
}
_RECURSIVE = ("enabled", "disabled", "writable", "readonly")
_TRUE, _FALSE = ("", "1", "t", "true"), ("0", "f", "false")


@dataclass
class _Fields:
    """What was written, by key; ``text`` for messages."""

    text: str
    values: dict[str, str] = field(default_factory=dict)
    lists: dict[str, list[str]] = field(default_factory=dict)  # of the keys that may come several times

    def error(self, what: str, hint: str = "") -> UsageError:
        return UsageError(f"invalid mount {self.text!r:.160}: {what}", hint=hint)

    def switch(self, key: str) -> bool:
        """A key alone, or with a boolean."""
        value = self.values.get(key, "false").lower()
        if value not in _TRUE + _FALSE:
            raise self.error(f"{key}={value!r:.40} is neither true nor false")
        return value in _TRUE


def mount(text: str) -> Mount:
    """``type=bind|volume|tmpfs|image,source=…,target=…[,option…]``; the type is volume when none is named.

    Raises UsageError.
    """
    fields = _read(text)
    kind = _kind(fields)
    for key in (*fields.values, *fields.lists):
        if key not in _KEYS[kind]:
            taken = any(key in keys for keys in _KEYS.values())
            raise fields.error(
                f"{key!r:.40} does not go with type={kind.value}" if taken else f"unknown key {key!r:.40}"
            )
    if fields.values.get("consistency", "default").lower() not in CONSISTENCY:
        raise fields.error(f"consistency: choose {', '.join(CONSISTENCY)}")
    if not fields.values.get("target"):
        raise fields.error("it has no target", hint="add target=/dir")
    target = absolute(fields.values["target"], f"invalid mount {text!r:.120}: the target")
    return {MountKind.BIND: _bind, MountKind.VOLUME: _volume, MountKind.TMPFS: _tmpfs, MountKind.IMAGE: _image}[kind](
        fields, target
    )


def _read(text: str) -> _Fields:
    fields = _Fields(text)
    try:
        pairs = next(csv.reader([text], strict=True), [])
    except csv.Error as error:
        raise fields.error(str(error)) from None
    for pair in pairs:
        key, separator, value = pair.partition("=")
        key = _ALIASES.get(key.lower(), key.lower())
        if not separator and key not in _SWITCHES:
            raise fields.error(f"{pair!r:.60} has no value", hint="write key=value, separated by commas")
        if key in _LISTS:
            fields.lists.setdefault(key, []).append(value)
        else:
            fields.values[key] = value
    return fields


def _kind(fields: _Fields) -> MountKind:
    name = fields.values.get("type", "volume").lower()
    for kind in _KEYS:
        if kind.value == name:
            return kind
    known = ", ".join(kind.value for kind in _KEYS)
    raise fields.error(f"type {name!r:.40} is not supported", hint=_ELSEWHERE.get(name, f"choose {known}"))


def _bind(fields: _Fields, target: str) -> Mount:
    source = fields.values.get("source", "")
    if not source.startswith("/"):
        raise fields.error("the source of a bind is an absolute path on the host", hint="add source=/dir")
    propagation = fields.values.get("bind-propagation", "").lower()
    if propagation in SHARED:
        raise fields.error(unshared(propagation), hint="rslave shows it the host's mounts")
    if propagation and propagation not in PROPAGATION:
        raise fields.error(f"bind-propagation {propagation!r:.40}: choose {', '.join(PROPAGATION)}")
    recursive, read_only = _recursive(fields, propagation), fields.switch("readonly")
    return Mount(
        MountKind.BIND,
        target,
        source,
        read_only,
        options=(*(["bind"] if recursive == "disabled" else []), *([propagation] if propagation else [])),
        create_source=fields.switch("bind-create-src"),
        writable_below=recursive == "writable",
    )


def _recursive(fields: _Fields, propagation: str) -> str:
    """How what is mounted below the source comes along."""
    recursive = fields.values.get("bind-recursive", "enabled").lower()
    if recursive not in _RECURSIVE:
        raise fields.error(f"bind-recursive {recursive!r:.40}: choose {', '.join(_RECURSIVE)}")
    if recursive in ("writable", "readonly") and not fields.switch("readonly"):
        raise fields.error(f"bind-recursive={recursive} wants readonly, too")
    if recursive == "readonly" and propagation not in ("", "rprivate"):
        raise fields.error("bind-recursive=readonly wants bind-propagation=rprivate, which it has by itself")
    if fields.switch("bind-nonrecursive"):
        if "bind-recursive" in fields.values and recursive != "disabled":
            raise fields.error(f"bind-nonrecursive and bind-recursive={recursive} exclude each other")
        return "disabled"
    return recursive


def _volume(fields: _Fields, target: str) -> Mount:
    name = fields.values.get("source", "")
    if name:
        check_name(name, "volume")
    driver = fields.values.get("volume-driver", "local")
    if driver != "local":
        raise fields.error(f"volume-driver {driver!r:.40}: the only driver is local")
    subpath = _subpath(fields, MountKind.VOLUME)
    if subpath and not name:
        raise fields.error("volume-subpath needs the name of a volume", hint="add source=NAME")
    return Mount(
        MountKind.VOLUME,
        target,
        name,
        fields.switch("readonly"),
        no_copy=fields.switch("volume-nocopy"),
        subpath=subpath,
        anonymous=not name,
        labels=tuple(dict(map(label, fields.lists.get("volume-label", ()))).items()),
        driver_options=_driver_options(fields),
    )


def _driver_options(fields: _Fields) -> tuple[tuple[str, str], ...]:
    if "volume-opt" not in fields.lists:
        return ()
    from lxcwrap.model.volume_options import parse

    return parse(fields.lists["volume-opt"])


def _subpath(fields: _Fields, kind: MountKind) -> str:
    """A path below a volume's or an image's root."""
    key = _SUBPATHS[kind]
    if key in fields.values and "subpath" in fields.values:
        raise fields.error(f"{key} and subpath are the same")
    subpath = fields.values.get(key, fields.values.get("subpath", ""))
    if subpath.startswith("/") and kind is MountKind.IMAGE:
        subpath = subpath.lstrip("/")  # Podman's users write it so
    if subpath.startswith("/") or ".." in subpath.split("/"):
        raise fields.error(f"{key} {subpath!r:.80} leads out of the {kind.value}")
    return subpath


def _image(fields: _Fields, target: str) -> Mount:
    reference = fields.values.get("source", "")
    if not reference:
        raise fields.error("it has no image", hint="add source=IMAGE")
    writable = fields.switch("rw")
    if writable and fields.switch("readonly"):
        raise fields.error("readonly and rw exclude each other")
    return Mount(MountKind.IMAGE, target, reference, not writable, subpath=_subpath(fields, MountKind.IMAGE))


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
