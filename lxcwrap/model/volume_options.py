"""The options of ``volume create``: a directory of the host, memory or a file system in a volume's place.  Pure.

They are Docker's three of the local driver: ``type``, ``device`` and ``o``, which are mount(8)'s.  Each may be given by
itself or all in one word, separated by commas, as Podman's users write them.
"""

from __future__ import annotations

from collections.abc import Iterable

from lxcwrap.errors import Unsupported, UsageError
from lxcwrap.model.names import check_text
from lxcwrap.model.run_flags import PROPAGATION, SHARED, unshared

Options = tuple[tuple[str, str], ...]

_NAMES = ("type", "o", "device")
_ELSEWHERE = {
    "size": "volumes are directories without quotas; type=tmpfs,o=size=64m limits one in memory",
    "uid": "write o=uid=1000",
    "gid": "write o=gid=1000",
    "nocopy": "write it where the volume is mounted: -v NAME:/dir:nocopy",
}
_BIND = ("bind", "rbind")
_OF_BINDS = (*_BIND, *PROPAGATION, "ro", "rw", "nosuid", "suid", "nodev", "dev", "noexec", "exec")


def parse(words: Iterable[str]) -> Options:
    """The options, sorted by name; () for a plain volume.  Raises UsageError, Unsafe or Unsupported."""
    found: dict[str, str] = {}
    for word in words:
        for name, value in _parts(word):
            check_text(value, f"volume option {name}")
            if name in _ELSEWHERE:
                raise Unsupported(f"volume option {name!r} is not supported", hint=_ELSEWHERE[name])
            if name not in _NAMES:
                raise Unsupported(
                    f"volume option {name!r:.40} is not known to the local driver", hint="there are type, o and device"
                )
            found[name] = value
    return _checked({name: value for name, value in found.items() if value})


def _parts(word: str) -> list[tuple[str, str]]:
    """``type=none,o=bind,ro,device=/a``: what is none of the three belongs to the one before it."""
    parts: list[list[str]] = []
    for piece in word.split(","):
        if parts and piece.partition("=")[0] not in _NAMES:
            parts[-1].append(piece)
        else:
            parts.append([piece])
    pairs = []
    for part in parts:
        name, _, value = ",".join(part).partition("=")
        pairs.append((name, value))
    return pairs


def _checked(found: dict[str, str]) -> Options:
    if not found:
        return ()
    given = words_of(found.get("o", ""))
    if any(word in _BIND for word in given):
        found.setdefault("type", "none")
    if "type" not in found:
        raise UsageError("volume options without a type", hint="add type=none,o=bind or type=tmpfs", exit_code=1)
    if found["type"] == "tmpfs":
        found.setdefault("device", "tmpfs")
    if "device" not in found:
        raise UsageError(f"volume option type={found['type']!r:.40} wants a device", hint="add device=…", exit_code=1)
    for word in given:
        if word in SHARED:
            raise UsageError(f"volume option {unshared(word)}", exit_code=1)
        if word == "loop" or word.startswith("loop="):
            raise UsageError("volume option o=loop is not supported", hint="give device=$(losetup --show -f FILE)")
    if is_bind(tuple(found.items())):
        _check_bind(found["device"], given)
    elif found["type"] in ("none", "bind"):
        raise UsageError(f"volume option type={found['type']} wants o=bind", exit_code=1)
    return tuple(sorted(found.items()))


def _check_bind(device: str, given: tuple[str, ...]) -> None:
    if not device.startswith("/"):
        raise UsageError(f"volume option device={device!r:.80} is not an absolute path on the host", exit_code=1)
    for word in given:
        if word not in _OF_BINDS:
            raise UsageError(f"volume option o={word!r:.40} does not go with a bind", exit_code=1)


def words_of(text: str) -> tuple[str, ...]:
    """The words of ``o``."""
    return tuple(filter(None, text.split(",")))


def is_bind(options: Options) -> bool:
    """Whether it is a directory of the host, rather than a file system of its own."""
    return any(word in _BIND for word in words_of(dict(options).get("o", "")))


def shown(options: Options) -> Options:
    """The options as they may be seen by anybody: without a password."""
    return tuple((name, ",".join(map(_hidden, value.split(","))) if name == "o" else value) for name, value in options)


def _hidden(word: str) -> str:
    name, equals, _ = word.partition("=")
    return f"{name}=***" if equals and name in ("password", "pass", "password2") else word
