"""Base images from their definitions: found, shown, built."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, BinaryIO

import lxcwrap
from lxcwrap.actions import images as image_actions
from lxcwrap.actions import remains
from lxcwrap.actions.bases import finish
from lxcwrap.actions.bases.making import Making
from lxcwrap.actions.disk import full_is_said
from lxcwrap.errors import LxcwrapError, NotFound, Unsupported, UsageError
from lxcwrap.model import reference as references
from lxcwrap.model import template as templates
from lxcwrap.model.image import History, ImageConfig, Platform, RunConfig
from lxcwrap.model.template import Template
from lxcwrap.store import images, layers, staging
from lxcwrap.store.database import Store

if TYPE_CHECKING:
    from lxcwrap.storage.driver import Driver

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64", "arm": "armv7l", "386": "i686"}
_QEMU = {"amd64": "x86_64", "arm64": "aarch64", "386": "i386"}


@dataclass(frozen=True)
class Found:
    """A definition's file; ``own`` is true for the user's, which win over the installed ones."""

    name: str
    path: str
    own: bool


def directories() -> tuple[tuple[str, bool], ...]:
    """Where definitions are, the user's first: (directory, whether it is the user's)."""
    own = os.path.join(os.environ.get("LXCWRAP_CONFIG_DIR") or "/etc/lxcwrap", "templates")
    package = os.path.dirname(os.path.abspath(lxcwrap.__file__))
    checkout = os.path.dirname(package)
    if os.path.exists(f"{checkout}/setup.cfg"):
        return ((own, True), (f"{checkout}/templates", False))
    above = os.path.abspath(f"{package}/../../../..")  # PREFIX/lib/pythonX.Y/site-packages/lxcwrap
    return ((own, True), *((f"{prefix}/share/lxcwrap/templates", False) for prefix in (above, sys.prefix)))


def listing() -> tuple[Found, ...]:
    """All definitions by name; of several of one name only the one that wins."""
    found: dict[str, Found] = {}
    for directory, own in directories():
        try:
            names = os.listdir(directory)
        except (FileNotFoundError, NotADirectoryError):
            continue
        for file in names:
            name, suffix = os.path.splitext(file)
            if suffix == ".yaml" and not name.startswith(".") and not os.path.isdir(f"{directory}/{file}"):
                found.setdefault(name, Found(name, f"{directory}/{file}", own))
    return tuple(found[name] for name in sorted(found))


def find(name: str) -> Found:
    """Raises UsageError or NotFound."""
    templates.check_name(name)
    known = listing()
    for found in known:
        if found.name == name:
            return found
    from difflib import get_close_matches

    near = get_close_matches(name, [found.name for found in known], n=1)
    raise NotFound(
        f"no such template: {name}", hint=f"did you mean {near[0]!r}?" if near else "see: lxcwrap template ls"
    )


def text(found: Found) -> str:
    """The definition as it was written.  Raises UsageError when it is no text."""
    with open(found.path, "rb") as stream:
        content = stream.read()
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{found.path}:{line}: not UTF-8 text", exit_code=1) from None


def load(found: Found, *, release: str = "", mirror: str = "") -> Template:
    """The definition for ``release`` ('' for its own).  Raises UsageError when the file is wrong."""
    import yaml

    try:
        plain: Any = yaml.safe_load(text(found))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{found.path}:{mark.line + 1}" if mark else found.path
        raise UsageError(f"{where}: {getattr(error, 'problem', None) or error}", exit_code=1) from None
    if release and not templates.parse(found.name, plain, found.path).release:
        raise UsageError(f"template {found.name} has no releases", exit_code=1)
    template = templates.parse(found.name, plain, found.path, release=release, mirror=mirror)
    if mirror and template.method == "busybox" and "mirror" not in plain:
        raise UsageError(f"template {found.name} fetches nothing from a mirror", exit_code=1)
    return template


@dataclass(frozen=True)
class Request:
    """What ``template build`` was asked for; '' is the definition's own."""

    name: str
    release: str = ""
    mirror: str = ""
    arch: str = ""
    tags: tuple[str, ...] = ()


def build(store: Store, driver: Driver, request: Request, say: Callable[[str], None]) -> tuple[str, tuple[str, ...]]:
    """Make the image; returns its ID and the names it got.  Nothing is left behind when it fails."""
    found = find(request.name)
    release = templates.check_release(request.release) if request.release else ""
    mirror = templates.check_mirror(request.mirror) if request.mirror else ""
    template = load(found, release=release, mirror=mirror)
    wanted = _platform(request.arch)
    names = tuple(references.parse(tag) for tag in request.tags) or _default_names(template, load(found))
    if any(name.digest for name in names):
        raise UsageError("a name of an image cannot have a digest", exit_code=1)
    remains.sweep(store)
    with full_is_said(store.paths), layers.keeping(store), staging.directory(store.paths, "template") as place:
        making = _making(template, place, wanted, say)
        image_id = _make(store, driver, making, wanted)
        for name in names:
            images.tag(store, name.canonical, image_id)
    return image_id, tuple(name.familiar for name in names)


def _platform(arch: str) -> Platform:
    """Raises Unsupported for what this host's kernel can neither run nor emulate."""
    host = Platform.host()
    if not arch or arch == host.architecture:
        return host
    if not arch.isalnum():
        raise UsageError(f"architecture {arch!r:.40} is not a name such as amd64 or arm64", exit_code=1)
    emulated = os.path.exists(f"/proc/sys/fs/binfmt_misc/qemu-{_QEMU.get(arch, arch)}")
    if not emulated and (host.architecture, arch) != ("amd64", "386"):
        raise Unsupported(f"this {host.architecture} host cannot run {arch} programs", hint="install qemu-user-static")
    return Platform("linux", arch)


def _default_names(template: Template, own: Template) -> tuple[references.Reference, ...]:
    """``name:release`` where there are releases; ``name:latest`` for the definition's own."""
    tags = [template.release] if template.release else []
    if template.release == own.release:
        tags.append("latest")
    return tuple(references.parse(f"{template.name}:{tag}") for tag in tags)


def _making(template: Template, place: str, wanted: Platform, say: Callable[[str], None]) -> Making:
    machine = platform.machine() if wanted == Platform.host() else _MACHINES.get(wanted.architecture, "")
    filled = templates.filled(template, wanted.architecture, machine or wanted.architecture)
    target, beside = f"{place}/root", f"{place}/beside"
    for directory in (target, beside):
        os.mkdir(directory)
        os.chmod(directory, 0o755)
    return Making(filled, target, beside, wanted.architecture, machine or wanted.architecture, say)


def _make(store: Store, driver: Driver, making: Making, wanted: Platform) -> str:
    method = import_module(f"lxcwrap.actions.bases.{making.template.method}")
    found: float | None = method.fill(making)
    created = _created(making, found)
    making.say("Cleaning up")
    finish.finish(making.target, making.template, created)
    os.utime(making.target, (created, created))
    making.say("Storing the layer")
    with open(f"{making.staging}/layer.tar", "w+b") as tar:
        _write_tar(making.target, tar, created)
        tar.seek(0)
        layer = layers_of(store, driver, tar)
    config = ImageConfig(
        platform=wanted,
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(created)),
        config=_run_config(making.template),
        diff_ids=(layer,),
        history=(_history(making.template, created),),
    )
    return image_actions.create_image(store, None, config)


def layers_of(store: Store, driver: Driver, tar: BinaryIO) -> str:
    """Store the tar as a layer with nothing below it; returns its diff ID."""
    from lxcwrap.storage import layers as stored

    return stored.add_stream(store, driver, tar, None).diff_id


def _write_tar(directory: str, out: BinaryIO, created: int) -> None:
    from lxcwrap.archive import write

    write.write_tree(directory, out, latest=created)


def _created(making: Making, found: float | None) -> int:
    """SOURCE_DATE_EPOCH, the definition's date, that of what went in, or that of the newest file."""
    given = os.environ.get("SOURCE_DATE_EPOCH", "")
    if given:
        if not given.isdecimal() or len(given) > 11:
            raise LxcwrapError(f"SOURCE_DATE_EPOCH is {given!r:.40}, not a number of seconds")
        return int(given)
    if making.template.created:
        return _parse_time(making.template)
    return int(found if found is not None else finish.newest(making.target))


def _parse_time(template: Template) -> int:
    import calendar

    try:
        return calendar.timegm(time.strptime(template.created, "%Y-%m-%dT%H:%M:%SZ"))
    except ValueError:
        raise UsageError(
            f"template {template.name}: created: {template.created!r:.40} is not like 2024-05-01T00:00:00Z", exit_code=1
        ) from None


def _run_config(template: Template) -> RunConfig:
    env = dict(template.env)
    env.setdefault("PATH", _PATH)
    return RunConfig(
        entrypoint=template.entrypoint,
        command=template.command,
        env=tuple(f"{name}={value}" for name, value in env.items()),
        working_dir=template.working_dir,
        user=template.user,
        labels=tuple(sorted(template.labels)),
        stop_signal=template.stop_signal,
    )


def _history(template: Template, created: int) -> History:
    release = f" --release {template.release}" if template.release else ""
    return History(
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(created)),
        created_by=f"lxcwrap template build {template.name}{release}",
    )


def described(found: Found) -> Template:
    """As ``load``, but a definition that is wrong says so in its description: for lists."""
    try:
        return load(found)
    except UsageError as error:
        return replace(Template(found.name, "?"), description=f"unusable: {error.message}")
