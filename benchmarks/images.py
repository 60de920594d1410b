"""An image to another host over loopback SSH: ``image copy`` beside a saved archive and beside a registry.

The other host is this machine with states of its own.  Writes IMAGES.rst.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from cases import BASE
from main import base_archive
from peers import Docker, Lxcwrap, Peer, remove
from registry import Registry
from report import machine, milliseconds, section
from sshd import Sshd
from surroundings import preserved

NEEDED = ("dockerd", "docker-registry", "debootstrap", "iptables", "sshd", "ssh")
APP = "bench/app:latest"
CHANGED = "last layer of 1 MB changed"
WHOLE = "all of it"
LIMITS = {CHANGED: 0.25}  # of what docker save | ssh docker load takes
MOST = 1_200_000  # bytes for a changed layer

HEAD = """\
Images to another host
======================

A Debian minbase image with a layer of 1 MB on it, to a host that has the base and to one that has nothing, over SSH to
this machine, where the other host has states of its own.  The ways take turns in a new order every round; medians.
Written by::

    sudo benchmarks/run images --rounds {rounds}

{machine}

"""

FOOT = """\
Bytes are what the loopback device carried meanwhile, with SSH's own, and for a registry both ways.  lxcwrap compresses
the base once, in the first round, and keeps that.
"""


class FarDocker(Docker):
    """A second daemon, which runs nothing."""

    name = "dockerd-far"
    options = ("--bridge", "none", "--iptables=false", "--ip6tables=false")


class FarLxcwrap(Lxcwrap):
    name = "lxcwrap-far"


class Setting(NamedTuple):
    """Who sends, who receives, and what is between them."""

    docker: Docker
    far_docker: Docker
    lxcwrap: Lxcwrap
    far_lxcwrap: Lxcwrap
    registry: Registry
    ssh: Sshd

    @property
    def peers(self) -> tuple[Peer, ...]:
        return self.docker, self.far_docker, self.lxcwrap, self.far_lxcwrap

    @property
    def pushed(self) -> str:
        return f"{self.registry.host}/{APP}"


def image_copy(setting: Setting) -> None:
    setting.lxcwrap.run("image", "copy", "-q", APP, setting.ssh.target)


def save_and_load(setting: Setting) -> None:
    save = subprocess.Popen([*setting.docker.program(), "save", APP], stdout=subprocess.PIPE)
    words = [*setting.ssh.argv, *setting.far_docker.program(), "load"]
    loaded = subprocess.run(words, stdin=save.stdout, capture_output=True)
    if save.wait() or loaded.returncode:
        raise SystemExit(f"benchmarks: {' '.join(words)}: {loaded.stderr.decode()}")


def _through_registry(setting: Setting, near: Peer, far: Peer) -> None:
    near.run("tag", APP, setting.pushed)
    near.run("push", setting.pushed)
    subprocess.run([*setting.ssh.argv, *far.program(), "pull", setting.pushed], check=True, capture_output=True)


def docker_registry(setting: Setting) -> None:
    _through_registry(setting, setting.docker, setting.far_docker)


def lxcwrap_registry(setting: Setting) -> None:
    _through_registry(setting, setting.lxcwrap, setting.far_lxcwrap)


WAYS: dict[str, Callable[[Setting], None]] = {
    "lxcwrap image copy": image_copy,
    "docker save | ssh docker load": save_and_load,
    "docker push, ssh docker pull": docker_registry,
    "lxcwrap push, ssh lxcwrap pull": lxcwrap_registry,
}

Samples = dict[str, dict[str, list[tuple[float, int]]]]  # by case and way: seconds and bytes


def main() -> None:
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    options = _options()
    missing = [program for program in NEEDED if not shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin")]
    if os.geteuid() or missing:
        sys.exit(f"benchmarks: {'not installed: ' + ', '.join(missing) if missing else 'needs root'}")
    place = Path(options.scratch)
    archive = base_archive(Path(options.cache))
    results: dict[str, Any] = {"load": os.getloadavg()[0]}
    with ExitStack() as undo:
        remove(place)
        undo.callback(remove, place)
        undo.enter_context(preserved())
        setting = _set_up(place, undo)
        results["versions"] = {peer.name: peer.version() for peer in (setting.lxcwrap, setting.docker)}
        results["samples"] = _measure(setting, archive, place / "context", options.rounds)
    output = Path(options.output)
    output.with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n")
    output.write_text(_render(results, options.rounds))
    print(f"wrote {output}")


def _options() -> argparse.Namespace:
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(prog="benchmarks/run images")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--output", default=str(here / "IMAGES.rst"))
    parser.add_argument("--scratch", default="/var/tmp/lxcwrap-bench")
    parser.add_argument("--cache", default="/var/cache/lxcwrap-bench")
    return parser.parse_args()


def _set_up(place: Path, undo: ExitStack) -> Setting:
    registry = Registry(place / "registry")
    registry.start()
    undo.callback(registry.stop)
    far_lxcwrap = FarLxcwrap(place)
    ssh = Sshd(place / "ssh", {"LXCWRAP_ROOT": str(far_lxcwrap.place)}, far_lxcwrap.program()[0])
    ssh.start()
    undo.callback(ssh.stop)
    setting = Setting(Docker(place), FarDocker(place), Lxcwrap(place), far_lxcwrap, registry, ssh)
    for peer in setting.peers:
        peer.start()
        undo.callback(peer.stop)
    setting.lxcwrap.environment |= ssh.environment
    setting.lxcwrap.environment.pop("SUDO_UID", None)
    return setting


def _measure(setting: Setting, archive: Path, context: Path, rounds: int) -> Samples:
    samples: Samples = {case: defaultdict(list) for case in (WHOLE, CHANGED)}
    context.mkdir()
    (context / "Dockerfile").write_text(f"FROM {BASE}\nCOPY last /last\n")
    (context / "last").touch()
    for near in (setting.docker, setting.lxcwrap):
        near.run("import", str(archive), BASE)
    for number in range(rounds):
        for case in (WHOLE, CHANGED):
            if case == CHANGED:  # registry and hosts have the base, in the form of each
                for near in (setting.docker, setting.lxcwrap):
                    near.run("build", "-q", "-t", APP, str(context))
                docker_registry(setting)
                lxcwrap_registry(setting)
            for name in random.sample(list(WAYS), len(WAYS)):
                near, far = _ends(setting, name)
                (context / "last").write_bytes(os.urandom(1 << 20))
                near.run("build", "-q", "-t", APP, str(context))
                if case == WHOLE:
                    setting.registry.clear()
                    far.forget_images()
                samples[case][name].append(_one(setting, WAYS[name]))
        print(number + 1, *(f"{name}: {row[-1]}" for name, row in samples[CHANGED].items()), flush=True)
    return samples


def _ends(setting: Setting, name: str) -> tuple[Peer, Peer]:
    if "docker" in name:
        return setting.docker, setting.far_docker
    return setting.lxcwrap, setting.far_lxcwrap


def _one(setting: Setting, way: Callable[[Setting], None]) -> tuple[float, int]:
    before, begun = _carried(), time.perf_counter()
    way(setting)
    return time.perf_counter() - begun, _carried() - before


def _carried() -> int:
    """Bytes that the loopback device has carried."""
    return int(Path("/sys/class/net/lo/statistics/tx_bytes").read_text())


def _render(results: dict[str, Any], rounds: int) -> str:
    rows = [["what", "way", "time", "bytes", "wanted"]]
    for case, ways in results["samples"].items():
        times = {name: median(seconds for seconds, _ in row) for name, row in ways.items()}
        sizes = {name: median(count for _, count in row) for name, row in ways.items()}
        for name in WAYS:
            wanted = ""
            if case in LIMITS and name == "lxcwrap image copy":
                ratio = times[name] / times["docker save | ssh docker load"]
                met = ratio <= LIMITS[case] and sizes[name] <= MOST
                wanted = f"{'met' if met else 'missed'}: {ratio:.2f} of save | load (at most {LIMITS[case]}), 1.2 MB"
            rows.append([case, name, milliseconds(times[name]), f"{sizes[name] / 1e6:.2f} MB", wanted])
    head = HEAD.format(rounds=rounds, machine=machine(results))
    return "\n".join([head.rstrip("\n") + "\n", section("Table", rows), FOOT])


if __name__ == "__main__":
    main()
