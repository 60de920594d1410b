"""The last touch to a filled root directory: the definition's files, and nothing of the host or of the moment."""

from __future__ import annotations

import fnmatch
import os
import shutil
from collections.abc import Iterator

from lxcwrap.kernel import beneath
from lxcwrap.model.template import Template

_DAY = 86400  # shadow(5) counts days


def finish(target: str, template: Template, created: int) -> None:
    """Apply ``files``, ``modes``, ``remove`` and ``empty``; no password is newer than ``created``."""
    root = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for pattern in template.remove:
            for path in _matches(root, pattern):
                _remove(path)
        for pattern in template.empty:
            for path in _matches(root, pattern):
                _empty(path)
        for path, content in template.files:
            _write(root, path, content)
        for path, mode in template.modes:
            for place in _matches(root, path):
                os.chmod(place, int(mode, 8))
        for path in _matches(root, "/etc/shadow"):
            _date_passwords(path, created // _DAY)
    finally:
        os.close(root)


def _parent(root: int, path: str) -> str | None:
    """The real directory that holds ``path``, whatever links lead there, beneath the root."""
    try:
        descriptor = beneath.open_beneath(root, os.path.dirname(path), os.O_PATH | os.O_DIRECTORY)
    except FileNotFoundError:
        return None
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def _matches(root: int, pattern: str) -> Iterator[str]:
    parent = _parent(root, pattern)
    if parent:
        for name in sorted(os.listdir(parent)):
            if fnmatch.fnmatchcase(name, os.path.basename(pattern)):
                yield f"{parent}/{name}"


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def _empty(path: str) -> None:
    if os.path.islink(path):
        return
    if os.path.isdir(path):
        for name in os.listdir(path):
            _remove(f"{path}/{name}")
    else:
        os.truncate(path, 0)


def _write(root: int, path: str, content: str) -> None:
    os.close(beneath.make_directories(root, os.path.dirname(path)))
    place = f"{_parent(root, path)}/{os.path.basename(path)}"
    if os.path.lexists(place):
        os.unlink(place)
    with open(place, "w") as stream:
        stream.write(content)
    os.chmod(place, 0o644)


def _date_passwords(path: str, day: int) -> None:
    """The third field of shadow(5) is the day of the last change: the day of the build, if nobody sets it."""
    with open(path) as stream:
        fields = [line.split(":") for line in stream]
    for line in fields:
        if len(line) > 2 and line[2].isdigit():
            line[2] = str(min(int(line[2]), day))
    with open(path, "w") as stream:
        stream.writelines(":".join(line) for line in fields)


def newest(target: str) -> float:
    """The newest modification time of a regular file: a date for what says none of its own."""
    times = [0.0]
    for folder, _, names in os.walk(target):
        for name in names:
            times.append(os.lstat(f"{folder}/{name}").st_mtime)
    return max(times)
