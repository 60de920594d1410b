"""The limits that few containers have: block I/O, real time, swappiness, the out-of-memory killer, the cgroup's parent.

Source: kernel Documentation: cgroup-v1/blkio-controller.rst, cgroup-v1/memory.rst, sched-rt-group.rst, cgroup-v2.rst.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from lxcwrap.errors import NotFound, Unsupported, UsageError
from lxcwrap.model.container import DeviceLimit, Resources

if TYPE_CHECKING:
    from lxcwrap.runtime.config import Host

CGROUP = "/sys/fs/cgroup"
Item = tuple[str, str]
_PREFIX = {False: "lxc.cgroup.", True: "lxc.cgroup2."}

# attribute, flag, file of v1, key in v2's io.max
_RATES = (
    ("device_read_bps", "--device-read-bps", "blkio.throttle.read_bps_device", "rbps"),
    ("device_read_iops", "--device-read-iops", "blkio.throttle.read_iops_device", "riops"),
    ("device_write_bps", "--device-write-bps", "blkio.throttle.write_bps_device", "wbps"),
    ("device_write_iops", "--device-write-iops", "blkio.throttle.write_iops_device", "wiops"),
)


def check(resources: Resources) -> None:
    """Refuse numbers out of the kernel's bounds.  Raises UsageError."""
    weights = [("--blkio-weight", resources.blkio_weight)] if resources.blkio_weight else []
    weights += [("--blkio-weight-device", limit.value) for limit in resources.blkio_weight_device]
    for flag, weight in weights:
        if not 10 <= weight <= 1000:
            raise UsageError(f"{flag} {weight}: a weight is between 10 and 1000")
    for flag, value, least, most in (
        ("--memory-swappiness", resources.memory_swappiness + 1, 1, 101),
        ("--oom-score-adj", resources.oom_score_adj, -1000, 1000),
    ):
        if value and not least <= value <= most:
            shift = 1 if flag == "--memory-swappiness" else 0
            raise UsageError(f"{flag} {value - shift}: it is between {least - shift} and {most - shift}")
    if 0 < resources.memory < resources.memory_reservation:
        raise UsageError("--memory-reservation is larger than --memory")
    if resources.cpu_rt_runtime > (resources.cpu_rt_period or 1_000_000):
        raise UsageError("--cpu-rt-runtime is larger than --cpu-rt-period")


def items(resources: Resources, host: Host) -> list[tuple[str, Item]]:
    """(flag, liblxc's item) of each.  Raises Unsupported naming the flag that this host cannot keep, or NotFound."""
    found = _block_io_v2(resources, host) if host.unified else _block_io_v1(resources, host)
    found += _only_v1(resources, host)
    if resources.oom_score_adj:
        found.append(("--oom-score-adj", ("lxc.proc.oom_score_adj", str(resources.oom_score_adj))))
    return found


def _need(host: Host, controller: str, flag: str) -> None:
    if controller not in host.controllers:
        raise Unsupported(f"{flag}: this kernel's cgroups have no {controller} controller")


def number(path: str, flag: str) -> str:
    """``major:minor`` of a block device.  Raises NotFound."""
    try:
        found = os.stat(path)
    except OSError:
        raise NotFound(f"{flag} {path}: no such device on this host", exit_code=125) from None
    if not stat.S_ISBLK(found.st_mode):
        raise NotFound(f"{flag} {path}: not a block device", exit_code=125)
    return f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"


def _block_io_v1(resources: Resources, host: Host) -> list[tuple[str, Item]]:
    found: list[tuple[str, Item]] = []
    for attribute, flag, name, _ in _RATES:
        limits: tuple[DeviceLimit, ...] = getattr(resources, attribute)
        for limit in limits:
            _need(host, "blkio", flag)
            found.append((flag, ("lxc.cgroup." + name, f"{number(limit.path, flag)} {limit.value}")))
    if resources.blkio_weight:
        _need(host, "blkio", "--blkio-weight")
        found.append(("--blkio-weight", ("lxc.cgroup.blkio.bfq.weight", str(resources.blkio_weight))))
    for limit in resources.blkio_weight_device:
        flag = "--blkio-weight-device"
        _need(host, "blkio", flag)
        found.append((flag, ("lxc.cgroup.blkio.bfq.weight_device", f"{number(limit.path, flag)} {limit.value}")))
    return found


def _block_io_v2(resources: Resources, host: Host) -> list[tuple[str, Item]]:
    found: list[tuple[str, Item]] = []
    for attribute, flag, _, key in _RATES:
        limits: tuple[DeviceLimit, ...] = getattr(resources, attribute)
        for limit in limits:
            _need(host, "io", flag)
            found.append((flag, ("lxc.cgroup2.io.max", f"{number(limit.path, flag)} {key}={limit.value}")))
    if resources.blkio_weight:
        _need(host, "io", "--blkio-weight")
        found.append(("--blkio-weight", ("lxc.cgroup2.io.weight", f"default {weight_v2(resources.blkio_weight)}")))
    for limit in resources.blkio_weight_device:
        flag = "--blkio-weight-device"
        _need(host, "io", flag)
        found.append((flag, ("lxc.cgroup2.io.weight", f"{number(limit.path, flag)} {weight_v2(limit.value)}")))
    return found


def weight_v2(weight: int) -> int:
    """Docker's 10 to 1000 as cgroup v2's 1 to 10000, as runc does it."""
    return 1 + (weight - 10) * 9999 // 990


def _only_v1(resources: Resources, host: Host) -> list[tuple[str, Item]]:
    wanted = [
        (resources.cpu_rt_period > 0, "--cpu-rt-period", "cpu.rt_period_us", resources.cpu_rt_period),
        (resources.cpu_rt_runtime > 0, "--cpu-rt-runtime", "cpu.rt_runtime_us", resources.cpu_rt_runtime),
        (resources.memory_swappiness >= 0, "--memory-swappiness", "memory.swappiness", resources.memory_swappiness),
        (resources.oom_kill_disable, "--oom-kill-disable", "memory.oom_control", 1),
    ]
    found: list[tuple[str, Item]] = []
    for given, flag, name, value in wanted:
        if not given:
            continue
        if host.unified:
            raise Unsupported(f"{flag}: cgroup v2, which this host has, does not know {name}")
        _need(host, name.partition(".")[0], flag)
        found.append((flag, ("lxc.cgroup." + name, str(value))))
    return found


def placement(resources: Resources) -> list[Item]:
    """``lxc.cgroup.dir`` for ``--cgroup-parent``."""
    return [("lxc.cgroup.dir", parent(resources.cgroup_parent))] if resources.cgroup_parent else []


def parent(text: str) -> str:
    """The folder of a ``--cgroup-parent``, below the hierarchy's root; a slice's own parents are in its name."""
    words = [word for word in text.split("/") if word]
    if not words or any(word in (".", "..") or word.startswith("cgroup.") for word in words):
        raise UsageError(f"--cgroup-parent {text!r:.120}: write a path such as /services, or NAME.slice")
    if len(words) == 1 and words[0].endswith(".slice"):
        bits = words[0].removesuffix(".slice").split("-")
        words = ["-".join(bits[: count + 1]) + ".slice" for count in range(len(bits))]
    return "/".join(words)


def prove(resources: Resources, host: Host) -> None:
    """Try the rare limits on a control group that goes again at once.  Raises Unsupported with the flag's name.

    The kernel knows best: a file may be missing, a disk's scheduler may keep no weights.
    """
    wanted = [(flag, item) for flag, item in items(resources, host) if item[0].startswith(_PREFIX[host.unified])]
    _prove_ulimits(resources)
    made: set[str] = set()
    try:
        for flag, (key, value) in wanted:
            name = key.removeprefix(_PREFIX[host.unified])
            controller = name.partition(".")[0]
            place = _probe(controller, host.unified)
            if place not in made:
                os.mkdir(place)
                made.add(place)
            _try(flag, f"{place}/{name}", value)
    finally:
        for place in made:
            os.rmdir(place)


def _prove_ulimits(resources: Resources) -> None:
    """Hard limits above the caller's need CAP_SYS_RESOURCE, which root in a restricted place may lack."""
    if not resources.ulimits:
        return
    import resource

    for limit in resources.ulimits:
        number = getattr(resource, f"RLIMIT_{limit.name.upper()}", None)
        if number is None:
            continue
        hard = resource.getrlimit(number)[1]
        above = hard != resource.RLIM_INFINITY and (limit.hard < 0 or limit.hard > hard)
        if above and not _may_raise():
            raise Unsupported(f"--ulimit {limit.name}: the hard limit here is {hard}, and nobody here may raise it")


def _may_raise() -> bool:
    with open("/proc/self/status", encoding="ascii", errors="replace") as stream:
        line = next(line for line in stream if line.startswith("CapEff:"))
    return bool(int(line.split()[1], 16) >> 24 & 1)


def _probe(controller: str, unified: bool) -> str:
    if not unified:
        return f"{CGROUP}/{controller}/lxcwrap.probe.{os.getpid()}"
    with open(f"{CGROUP}/cgroup.subtree_control", "r+", encoding="ascii") as enabled:
        if controller not in enabled.read().split():
            enabled.write(f"+{controller}")  # as liblxc does when the container starts
    return f"{CGROUP}/lxcwrap.probe.{os.getpid()}"


def _try(flag: str, path: str, value: str) -> None:
    name = os.path.basename(path)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise Unsupported(f"{flag}: this kernel's cgroups have no {name}") from None
    try:
        os.write(descriptor, value.encode())
    except OSError as error:
        raise Unsupported(f"{flag}: the kernel refuses {value!r} for {name}: {error.strerror}") from None
    finally:
        os.close(descriptor)
