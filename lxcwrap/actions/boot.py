"""The host's start: a systemd unit, and which containers it starts and stops."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

from lxcwrap.actions import remove, start, stop
from lxcwrap.errors import LxcwrapError, Unsupported
from lxcwrap.kernel import files
from lxcwrap.model import systemd
from lxcwrap.model.container import RestartKind
from lxcwrap.model.paths import Paths
from lxcwrap.runtime import state
from lxcwrap.store import containers
from lxcwrap.store.containers import Container
from lxcwrap.store.database import Store

_UNITS = "/etc/systemd/system"


def program(paths: Paths) -> list[str]:
    """How a unit calls this lxcwrap."""
    own = os.path.abspath(sys.argv[0])
    found = own if os.path.basename(own) == "lxcwrap" and os.access(own, os.X_OK) else shutil.which("lxcwrap")
    words = [found] if found else [sys.executable, "-m", "lxcwrap.cli.main"]
    return [*words, "--root", paths.root]


def unit_name(paths: Paths) -> str:
    return f"lxcwrap{'-' + paths.tag if paths.tag else ''}.service"


def enable(store: Store) -> str:
    """Write the unit and have systemd start it at every boot, and stop it at every end; returns its path.

    Nothing is started now.  Raises Unsupported without systemd, or LxcwrapError when it refuses.
    """
    _need_systemd()
    path = f"{_UNITS}/{unit_name(store.paths)}"
    files.write_atomically(path, systemd.host_unit(program(store.paths), store.paths.root).encode())
    _mark_started(store.paths)
    _systemctl("daemon-reload")
    _systemctl("enable", "--now", unit_name(store.paths))
    return path


def disable(store: Store) -> str:
    """Take the unit away; containers that run go on.  Returns its path."""
    _need_systemd()
    path = f"{_UNITS}/{unit_name(store.paths)}"
    if os.path.exists(path):
        _systemctl("disable", unit_name(store.paths))
        os.unlink(path)
        _systemctl("daemon-reload")
    return path


def _need_systemd() -> None:
    if not os.path.isdir("/run/systemd/system"):  # sd_booted(3)
        raise Unsupported(
            "this host was not booted by systemd", hint="have its init run: lxcwrap system start, and: system stop"
        )


def _systemctl(*words: str) -> None:
    done = subprocess.run(["systemctl", *words], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise LxcwrapError(f"systemctl {' '.join(words)}: {done.stderr.strip() or 'failed'}")


def begin(store: Store) -> tuple[list[str], list[LxcwrapError]]:
    """Start, once in each boot, what ran when the host went down or is to run always; remove what was made with --rm.

    Returns the names of what was started, and what went wrong.
    """
    if os.path.exists(_marker(store.paths)):
        return [], []
    ran = _recorded(store.paths)
    started, wrong = [], []
    for container in reversed(containers.listing(store)):
        if state.read(store.paths, container.id).live:
            continue
        was_running = container.id in ran or state.was_live(store.paths, container.id)
        try:
            if container.config.auto_remove:
                if was_running:
                    remove.remove(store, container)
            elif was_running or container.config.restart.kind is RestartKind.ALWAYS:
                start.start(store, container)
                started.append(container.name)
        except LxcwrapError as error:
            error.message = f"{container.name}: {error.message}"
            wrong.append(error)
    _mark_started(store.paths)
    return started, wrong


def end(store: Store) -> list[LxcwrapError]:
    """Write down what runs, then stop it: all at the same time.  Returns what went wrong."""
    running = [one for one in containers.listing(store) if state.read(store.paths, one.id).live]
    files.write_atomically(_record(store.paths), json.dumps([one.id for one in running]).encode())
    try:
        os.unlink(_marker(store.paths))
    except FileNotFoundError:
        pass
    wrong: list[LxcwrapError] = []
    from concurrent.futures import ThreadPoolExecutor

    def stopped(container: Container) -> None:
        try:
            stop.stop(store, container)
        except LxcwrapError as error:
            wrong.append(error)

    with ThreadPoolExecutor(max(len(running), 1)) as pool:
        list(pool.map(stopped, running))
    return wrong


def _record(paths: Paths) -> str:
    return f"{paths.root}/running-at-shutdown.json"


def _recorded(paths: Paths) -> frozenset[str]:
    try:
        with open(_record(paths), encoding="utf-8") as stream:
            return frozenset(json.load(stream))
    except (FileNotFoundError, ValueError, TypeError):
        return frozenset()


def _marker(paths: Paths) -> str:
    """Volatile: gone after a reboot."""
    return f"{paths.run}/started"


def _mark_started(paths: Paths) -> None:
    os.makedirs(paths.run, 0o711, exist_ok=True)
    with open(_marker(paths), "w", encoding="ascii"):
        pass
    try:
        os.unlink(_record(paths))
    except FileNotFoundError:
        pass
