"""From a container's configuration to liblxc's ``(key, value)`` items.  Pure: facts about the host come in.

Source: lxc.container.conf(5).
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from lxcwrap.errors import Unsupported, UsageError
from lxcwrap.model.container import ContainerConfig, Device, Mount, MountKind, Resources, Security, Ulimit
from lxcwrap.model.names import check_text
from lxcwrap.runtime import apparmor, policy
from lxcwrap.runtime import limits as rare

Items = list[tuple[str, str]]

PERIOD = 100_000  # microseconds: the kernel's default cpu bandwidth period
ULIMITS = frozenset(
    "as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack".split()
)
CONTAINER_OWNED = ("/dev", "/proc", "/sys")  # mounted by liblxc over whatever the rootfs has there


@dataclass(frozen=True)
class Host:
    """What this kernel has (``runtime/host.py`` finds out)."""

    machine: str  # as uname -m says
    unified: bool  # only cgroup2
    controllers: frozenset[str]
    swap_limit: bool
    apparmor: bool
    capabilities: int  # how many the kernel knows
    hierarchies: tuple[str, ...] = ()  # those of cgroup v1, by their options: pids, cpu,cpuacct, name=systemd; '' is v2


def mount_entry(source: str, target: str, kind: str, options: str) -> tuple[str, str]:
    """An ``lxc.mount.entry`` (fstab(5) form: blanks as octal escapes)."""
    return ("lxc.mount.entry", f"{_escape(source)} {_escape(target.lstrip('/'))} {kind} {options} 0 0")


def _escape(text: str) -> str:
    check_text(text, "mount path")
    return text.replace("\\", "\\134").replace(" ", "\\040").replace("#", "\\043")


def base(directory: str, hostname: str, id_base: int | None) -> Items:
    """What every container has.  ``directory`` is its place; its rootfs is mounted at ``rootfs`` in it."""
    items = [
        ("lxc.rootfs.path", f"dir:{directory}/rootfs"),
        ("lxc.rootfs.mount", f"{directory}/rootfs"),
        ("lxc.uts.name", hostname),
        ("lxc.log.file", f"{directory}/lxc.log"),
        ("lxc.log.level", "ERROR"),
        ("lxc.pty.max", "1024"),
        ("lxc.tty.max", "0"),
        ("lxc.monitor.signal.pdeath", "SIGKILL"),
        ("lxc.autodev", "1"),
    ]
    if id_base is not None:
        items += [("lxc.idmap", f"u 0 {id_base} 65536"), ("lxc.idmap", f"g 0 {id_base} 65536")]
    return items


def kernel_filesystems(
    security: Security,
    directory: str,
    *,
    system: bool,
    own_network: bool,
    id_base: int | None,
    groups: Items | None = None,
) -> Items:
    """/proc, /sys, /sys/fs/cgroup, /dev/mqueue, with what Docker masks or makes read-only.

    ``groups``: how the control groups are mounted, where liblxc would leave the directory above them writable.
    """
    options = policy.Options(security.security_opt)
    open_paths = security.privileged or options.unmasked
    if system or security.privileged:
        automatic = "proc:rw sys:rw cgroup:rw" if security.privileged else "proc:rw sys:mixed cgroup:rw"
    else:
        automatic = "proc:rw sys:ro" if groups else "proc:rw sys:ro cgroup:ro"
    items: Items = [("lxc.mount.auto", word) for word in automatic.split()]
    if id_base is not None and not own_network:
        # a user namespace may mount sysfs only with a network namespace of its own
        items[1] = mount_entry("/sys", "sys", "none", "rbind,ro,create=dir")
    if groups and not (system or security.privileged):
        items += groups
    items.append(mount_entry("mqueue", "dev/mqueue", "mqueue", "rw,nosuid,nodev,noexec,create=dir,optional"))
    return items if open_paths or system else items + _guarded_paths(f"{directory}/rootfs")


def control_groups(hierarchies: tuple[str, ...], folder: str) -> Items:
    """The hierarchies of cgroup v1 on a ``folder`` of the host's that has their directories, all read-only.

    liblxc passes on to a file system only what has a value, and the kernel does not look at a controller's.
    """
    flags = "ro,nosuid,nodev,noexec"
    items = [mount_entry(folder, "sys/fs/cgroup", "none", f"bind,{flags}")]
    for options in hierarchies:
        words = [word if "=" in word else f"{word}=" for word in options.split(",") if word]
        kind = "cgroup" if options else "cgroup2"
        items.append(mount_entry("cgroup", f"sys/fs/cgroup/{hierarchy_name(options)}", kind, ",".join([flags, *words])))
    return items


def hierarchy_name(options: str) -> str:
    """The directory that a hierarchy is mounted at, by custom."""
    return options.removeprefix("name=") or "unified"


def _guarded_paths(rootfs: str) -> Items:
    """Masked and read-only paths; in the container's first moments its own /proc is at ``<rootfs>/proc``."""
    items = [
        mount_entry(f"{rootfs}{path}", path, "none", "bind,ro,nosuid,nodev,noexec,optional")
        for path in policy.READ_ONLY
        if os.path.exists(path)
    ]
    for path in policy.MASKED:
        if os.path.isdir(path):
            items.append(mount_entry("tmpfs", path, "tmpfs", "ro,size=0k,nr_inodes=2,optional"))
        elif os.path.exists(path):
            items.append(mount_entry("/dev/null", path, "none", "bind,ro,optional"))  # it is the host's own node
    return items


def shared_memory(size: int) -> Items:
    """``size`` bytes of /dev/shm."""
    return [mount_entry("shm", "dev/shm", "tmpfs", f"rw,nosuid,nodev,noexec,mode=1777,size={size},create=dir")]


def confinement(config: Security, host: Host, *, system: bool) -> Items:
    """Capabilities, no-new-privileges, AppArmor.  The seccomp profile is a file: see ``runtime/plans.py``."""
    options = policy.Options(config.security_opt)
    items: Items = []
    if not config.privileged:
        kept = policy.capabilities(config, system=system, known=host.capabilities)
        items.append(("lxc.cap.keep", " ".join(name.lower() for name in kept) or "none"))
    if options.no_new_privileges:
        items.append(("lxc.no_new_privs", "1"))
    if host.apparmor:
        items.append(("lxc.apparmor.profile", apparmor.name_for(config, system=system)))
    elif options.apparmor not in ("", "unconfined"):
        raise Unsupported(f"apparmor={options.apparmor}: this kernel has no AppArmor")
    return items


def devices(config: Security, host: Host, numbers: dict[str, str]) -> Items:
    """Device rules and nodes; ``numbers`` gives ``c 10:229`` for each source path."""
    prefix = "lxc.cgroup2.devices" if host.unified else "lxc.cgroup.devices"
    if config.privileged:
        return [(f"{prefix}.allow", "a")]
    items: Items = [(f"{prefix}.deny", "a")]
    rules = [*policy.MAKE_NODES, *policy.DEVICES]
    rules += [f"{numbers[device.source]} {device.permissions}" for device in config.devices]
    rules += config.device_rules
    return items + [(f"{prefix}.allow", rule) for rule in rules]


def device_node(source: str, device: Device) -> tuple[str, str]:
    """The device at its place; ``source`` is a node that the container's root may use."""
    return mount_entry(source, device.target, "none", "bind,create=file")


def limits(resources: Resources, host: Host) -> Items:
    """Memory, cpu, pids and rlimits.  Raises Unsupported naming the limit that the kernel cannot keep."""
    rare.check(resources)
    items = (_limits_v2 if host.unified else _limits_v1)(resources, host)
    items += [item for _, item in rare.items(resources, host)] + rare.placement(resources)
    return items + [_ulimit(limit) for limit in resources.ulimits]


def _ulimit(limit: Ulimit) -> tuple[str, str]:
    if limit.name not in ULIMITS:
        raise UsageError(f"ulimit {limit.name!r:.40} is not known", hint="one of " + ", ".join(sorted(ULIMITS)))
    soft, hard = ("unlimited" if value < 0 else str(value) for value in (limit.soft, limit.hard))
    return (f"lxc.prlimit.{limit.name}", f"{soft}:{hard}")


def _need(host: Host, controller: str, flag: str) -> None:
    if controller not in host.controllers:
        raise Unsupported(f"{flag}: this kernel's cgroups have no {controller} controller")


def _swap(resources: Resources, host: Host) -> int | None:
    """Bytes of swap: None is the kernel's default, -1 unlimited."""
    total, memory = resources.memory_swap, resources.memory
    if not total and not memory:
        return None
    if total and not memory:
        raise UsageError("--memory-swap needs --memory")
    if total > 0 and total < memory:
        raise UsageError("--memory-swap is smaller than --memory", hint="it counts memory and swap together")
    if not host.swap_limit:
        if total > 0 and total != memory:
            raise Unsupported("--memory-swap: this kernel does not count swap by cgroup")
        return None
    return -1 if total < 0 else (total - memory if total else memory)


def _quota(resources: Resources) -> tuple[int, int]:
    """Microseconds of cpu time per period; 0: no limit."""
    if resources.nano_cpus:
        if resources.cpu_quota or resources.cpu_period:
            raise UsageError("--cpus goes without --cpu-period and --cpu-quota")
        return max(resources.nano_cpus * PERIOD // 10**9, 1000), PERIOD
    return resources.cpu_quota, resources.cpu_period or PERIOD


def _limits_v1(resources: Resources, host: Host) -> Items:
    items: Items = []
    if resources.memory:
        _need(host, "memory", "--memory")
        items.append(("lxc.cgroup.memory.limit_in_bytes", str(resources.memory)))
    swap = _swap(resources, host)
    if swap is not None:
        items.append(("lxc.cgroup.memory.memsw.limit_in_bytes", str(-1 if swap < 0 else resources.memory + swap)))
    if resources.memory_reservation:
        _need(host, "memory", "--memory-reservation")
        items.append(("lxc.cgroup.memory.soft_limit_in_bytes", str(resources.memory_reservation)))
    quota, period = _quota(resources)
    if quota:
        _need(host, "cpu", "--cpus")
        items += [("lxc.cgroup.cpu.cfs_period_us", str(period)), ("lxc.cgroup.cpu.cfs_quota_us", str(quota))]
    if resources.cpu_shares:
        _need(host, "cpu", "--cpu-shares")
        items.append(("lxc.cgroup.cpu.shares", str(resources.cpu_shares)))
    return items + _common_limits(resources, host, "lxc.cgroup")


def _limits_v2(resources: Resources, host: Host) -> Items:
    items: Items = []
    if resources.memory:
        _need(host, "memory", "--memory")
        items.append(("lxc.cgroup2.memory.max", str(resources.memory)))
    swap = _swap(resources, host)
    if swap is not None:
        items.append(("lxc.cgroup2.memory.swap.max", "max" if swap < 0 else str(swap)))
    if resources.memory_reservation:
        _need(host, "memory", "--memory-reservation")
        items.append(("lxc.cgroup2.memory.low", str(resources.memory_reservation)))
    quota, period = _quota(resources)
    if quota:
        _need(host, "cpu", "--cpus")
        items.append(("lxc.cgroup2.cpu.max", f"{quota} {period}"))
    if resources.cpu_shares:
        _need(host, "cpu", "--cpu-shares")
        shares = min(max(resources.cpu_shares, 2), 262144)
        items.append(("lxc.cgroup2.cpu.weight", str(1 + (shares - 2) * 9999 // 262142)))
    return items + _common_limits(resources, host, "lxc.cgroup2")


def _common_limits(resources: Resources, host: Host, prefix: str) -> Items:
    items: Items = []
    for value, key, flag in (
        (resources.cpuset_cpus, "cpuset.cpus", "--cpuset-cpus"),
        (resources.cpuset_mems, "cpuset.mems", "--cpuset-mems"),
    ):
        if value:
            _need(host, "cpuset", flag)
            items.append((f"{prefix}.{key}", value))
    if resources.pids_limit:
        _need(host, "pids", "--pids-limit")
        items.append((f"{prefix}.pids.max", "max" if resources.pids_limit < 0 else str(resources.pids_limit)))
    return items


def sysctls(security: Security, *, own_network: bool) -> str:
    """``name=value`` lines of namespaced sysctls only.  Raises UsageError for others."""
    lines = []
    for key, value in security.sysctls:
        if not key.startswith(policy.SAFE_SYSCTLS) or ".." in key or "/" in key:
            raise UsageError(f"sysctl {key!r:.80} is not namespaced: it would change the host")
        if key.startswith("net.") and not own_network:
            raise UsageError(f"sysctl {key!r:.80} goes only with a network namespace of the container's own")
        lines.append(f"{key}={check_text(value, 'sysctl')}\n")
    return "".join(lines)


_FREEDOMS = {  # sysctl and the values that are tried: a user namespace has fewer groups
    "net.ipv4.ip_unprivileged_port_start": ("0",),
    "net.ipv4.ping_group_range": ("0 2147483647", "0 65535"),
}


def network_freedoms(security: Security) -> Items:
    """What lets any user of a network namespace bind low ports and send pings, as in Docker's; ``--sysctl`` overrules.

    The hook runs in the container's namespaces while /proc is still the host's and can be written.
    """
    given = dict(security.sysctls)
    tries = [
        " || ".join(f"echo {value} >/proc/sys/{name.replace('.', '/')}" for value in values)
        for name, values in _FREEDOMS.items()
        if name not in given
    ]
    return [("lxc.hook.pre-mount", f"/bin/sh -c '{'; '.join(tries)}; :' 2>/dev/null #")] if tries else []


def late_mounts(mounts: tuple[Mount, ...], directory: str) -> Items:
    """Mounts below /dev, /proc and /sys, which liblxc mounts afresh: it has to make these itself, after.

    What is to be bound is ready at ``late/<number>`` in the container's ``directory`` (``runtime/rootfs.py``), with
    what is mounted on it: liblxc makes mount points by their paths, and would follow a volume's links.
    """
    items: Items = []
    outermost, _ = late(mounts)
    for mount in mounts:
        if belongs_late(mount.target) and mount.kind is MountKind.TMPFS and not _holder(mount, outermost):
            words = ",".join(("ro" if mount.read_only else "rw", *mount.options))
            items.append(mount_entry("tmpfs", mount.target, "tmpfs", f"nosuid,nodev,{words},create=dir"))
    for number, mount in enumerate(outermost):
        # the supervisor, which sees what it is, writes create=file for a file
        source = f"{directory}/late/{number}"
        items.append(mount_entry(source, mount.target, "none", "rbind,create=dir"))
    return items


def late(mounts: tuple[Mount, ...]) -> tuple[list[Mount], list[tuple[Mount, int]]]:
    """Binds and volumes for liblxc to mount, and what goes onto them with the number of the one that it goes onto."""
    found = sorted((mount for mount in mounts if belongs_late(mount.target)), key=lambda item: item.target.count("/"))
    outermost: list[Mount] = []
    for mount in found:
        if mount.kind is not MountKind.TMPFS and not _holder(mount, outermost):
            outermost.append(mount)
    inner = ((mount, _holder(mount, outermost)) for mount in found)
    return outermost, [(mount, outermost.index(holder)) for mount, holder in inner if holder]


def _holder(mount: Mount, others: list[Mount]) -> Mount | None:
    return next((other for other in others if mount.target.startswith(other.target + "/")), None)


def belongs_late(target: str) -> bool:
    return any(target == place or target.startswith(place + "/") for place in CONTAINER_OWNED)


def environment(config: ContainerConfig, hostname: str) -> tuple[str, ...]:
    """What Docker adds, then the container's own; HOME is added once the user is known."""
    given = {item.partition("=")[0] for item in config.env}
    added = [("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"), ("HOSTNAME", hostname)]
    if config.tty:
        added.append(("TERM", "xterm"))
    return tuple(f"{name}={value}" for name, value in added if name not in given) + config.env
