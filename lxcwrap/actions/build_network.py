"""The network of build steps: made once per build, when the first command needs it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from lxcwrap.build.run import StepNetwork
from lxcwrap.errors import UsageError
from lxcwrap.model.paths import Paths
from lxcwrap.store.database import Store

MODES = ("default", "bridge", "none", "host")

_LOCAL = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
_EMPTY = (("lxc.net.0.type", "empty"), ("lxc.net.0.flags", "up"))
_HOST = (("lxc.net.0.type", "none"),)


def shared(paths: Paths, mode: str, extra_hosts: tuple[str, ...]) -> Callable[[], StepNetwork]:
    """A function that gives every step of the build its network; ``extra_hosts`` are ``name:address``.

    Raises UsageError for an unknown mode.
    """
    if mode not in MODES:
        raise UsageError(f"--network {mode!r:.60} is not known to build", hint=f"use {', '.join(MODES)}", exit_code=1)
    lock = threading.Lock()
    made: list[StepNetwork] = []

    def network() -> StepNetwork:
        with lock:
            if not made:
                made.append(_make(paths, mode, extra_hosts))
            return made[0]

    return network


def _make(paths: Paths, mode: str, extra_hosts: tuple[str, ...]) -> StepNetwork:
    if mode == "none":
        return StepNetwork(_EMPTY, _LOCAL + _lines(extra_hosts, ""))
    if mode == "host":
        return StepNetwork(_HOST, _read("/etc/hosts") + _lines(extra_hosts, ""), _read("/etc/resolv.conf"))
    from lxcwrap.network.build import step_network  # a build that finds everything in the cache needs no network

    store = Store(paths)
    try:
        plan = step_network(store)
    finally:
        store.close()
    return StepNetwork(plan.config_items, plan.hosts + _lines(extra_hosts, plan.gateway), plan.resolv_conf)


def _lines(extra_hosts: tuple[str, ...], gateway: str) -> str:
    """For /etc/hosts.  Raises UsageError for host-gateway where there is none."""
    lines = []
    for item in extra_hosts:
        name, _, address = item.partition(":")
        if address == "host-gateway" and not gateway:
            raise UsageError(f"--add-host {item}: there is no host-gateway without the bridge network", exit_code=1)
        lines.append(f"{gateway if address == 'host-gateway' else address}\t{name}\n")
    return "".join(lines)


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""
