"""``security``: what protects a container and what does not, in words.

Of a container that runs the kernel's own files tell, of another one its configuration.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import NamedTuple

from lxcwrap.actions.dangers import MIGHTY, dangers
from lxcwrap.model import volume_options
from lxcwrap.model.container import ContainerConfig, Mount, MountKind
from lxcwrap.runtime import host, namespaces, policy
from lxcwrap.runtime import state as states
from lxcwrap.store import containers, volumes
from lxcwrap.store.containers import ID_RANGE, Container
from lxcwrap.store.database import Store


class Finding(NamedTuple):
    """One thing; ``protects`` tells whether it does."""

    topic: str
    protects: bool
    text: str


class Report(NamedTuple):
    """``source``: ``kernel`` or ``configuration``."""

    name: str
    id: str
    status: str
    source: str
    findings: tuple[Finding, ...]


class Facts(NamedTuple):
    """What the findings are made from."""

    id_base: int | None
    ids: int
    capabilities: tuple[str, ...]
    filtered: bool
    profile: str
    no_new_privileges: bool
    uncovered: tuple[str, ...]  # kernel paths that are neither masked nor read-only, and by default are
    read_only: bool
    shared: frozenset[str]  # kinds of namespaces that are the host's
    writable: frozenset[str]  # mount points that can be written to; of those that the user asked for


def report(store: Store, text: str) -> Report:
    """Raises NotFound or Conflict."""
    container = containers.resolve(store, text)
    container = replace(container, config=_with_binds(store, container.config))
    state = states.read(store.paths, container.id)
    if state.pid:
        try:
            return _report(container, state.status, "kernel", _from_kernel(container, state.pid))
        except (FileNotFoundError, ProcessLookupError):  # it ended meanwhile
            state = states.read(store.paths, container.id)
    return _report(container, state.status, "configuration", _from_configuration(container))


def _with_binds(store: Store, config: ContainerConfig) -> ContainerConfig:
    """The configuration with volumes that are directories of the host as what they are."""

    def told(mount: Mount) -> Mount:
        volume = volumes.find(store, mount.source) if mount.kind is MountKind.VOLUME else None
        if not volume or not volume_options.is_bind(volume.options):
            return mount
        device = dict(volume.options)["device"]
        return replace(mount, kind=MountKind.BIND, source=device)

    return replace(config, mounts=tuple(map(told, config.mounts)))


def _report(container: Container, status: str, source: str, facts: Facts) -> Report:
    return Report(container.name, container.id, status, source, findings(container.config, facts))


def _from_kernel(container: Container, pid: int) -> Facts:
    status = dict(line.split(":", 1) for line in _read(f"/proc/{pid}/status").splitlines() if ":" in line)
    first, outside, count = map(int, _read(f"/proc/{pid}/uid_map").splitlines()[0].split())
    own = not (first == outside == 0 and count > 1 << 31)
    bounding = int(status["CapBnd"], 16)
    mounted = _mounted(_read(f"/proc/{pid}/mountinfo"))
    covered = _covered(mounted)
    return Facts(
        id_base=outside if own else None,
        ids=count,
        capabilities=tuple(name for number, name in enumerate(policy.ALL_CAPABILITIES) if bounding >> number & 1),
        filtered=status.get("Seccomp", "0").strip() == "2",
        profile=_profile(pid),
        no_new_privileges=status.get("NoNewPrivs", "0").strip() == "1",
        uncovered=tuple(path for path in _guarded() if path not in covered),
        read_only="ro" in mounted.get("/", frozenset()),
        shared=frozenset(kind for kind in ("net", "pid", "ipc", "uts", "cgroup") if _is_hosts(pid, kind)),
        writable=frozenset(point for point, options in mounted.items() if "rw" in options),
    )


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as stream:
        return stream.read()


def _profile(pid: int) -> str:
    for name in ("apparmor/current", "current"):
        try:
            label = _read(f"/proc/{pid}/attr/{name}").strip().strip("\0")
        except OSError:  # no security module
            continue
        return "" if label in ("", "unconfined", "kernel") else label
    return ""


def _is_hosts(pid: int, kind: str) -> bool:
    return os.readlink(f"/proc/{pid}/ns/{kind}") == os.readlink(f"/proc/self/ns/{kind}")


def _mounted(mountinfo: str) -> dict[str, frozenset[str]]:
    """The options of what is mounted at each point; the last one counts (proc_pid_mountinfo(5))."""
    found = {}
    for line in mountinfo.splitlines():
        fields, _, rest = line.partition(" - ")
        point, options = fields.split()[4:6]
        words = set(options.split(","))
        if "ro" in rest.split(" ")[2].split(","):
            words = words - {"rw"} | {"ro"}
        plain = point.replace("\\040", " ").replace("\\043", "#").replace("\\134", "\\")
        found[plain] = frozenset(words)
    return found


def _covered(mounted: dict[str, frozenset[str]]) -> list[str]:
    """Of what is to be masked or read-only on this kernel, what is."""
    sealed = "ro" in mounted.get("/sys", frozenset())
    return [
        path
        for path in _guarded()
        if (path in mounted and (path in policy.MASKED or "ro" in mounted[path])) or (path == "/sys" and sealed)
    ]


def _guarded() -> list[str]:
    return [path for path in (*policy.MASKED, *policy.READ_ONLY, "/sys") if os.path.exists(path)]


def _from_configuration(container: Container) -> Facts:
    config, facts = container.config, host.facts()
    security = config.security
    options = policy.Options(security.security_opt)
    wanted = config.namespaces
    kinds = (("pid", wanted.pid), ("ipc", wanted.ipc), ("uts", wanted.uts), ("cgroup", wanted.cgroup))
    shared = {kind for kind, value in (*kinds, ("net", config.network.mode)) if value == "host"}
    open_paths = security.privileged or options.unmasked or config.system
    profile = options.apparmor or ("unconfined" if security.privileged else "lxcwrap's") if facts.apparmor else ""
    return Facts(
        id_base=container.id_base,
        ids=ID_RANGE,
        capabilities=policy.capabilities(security, system=config.system, known=facts.capabilities),
        filtered=not (options.seccomp == "unconfined" or (security.privileged and not options.seccomp)),
        profile="" if profile == "unconfined" else profile,
        no_new_privileges=options.no_new_privileges,
        uncovered=tuple(_guarded() if open_paths else ()),
        read_only=security.read_only,
        shared=frozenset(shared),
        writable=frozenset(mount.target for mount in config.mounts if not mount.read_only),
    )


def findings(config: ContainerConfig, facts: Facts) -> tuple[Finding, ...]:
    """What the facts mean."""
    found = [Finding("Danger", False, text) for text in dangers(config, facts)]
    found += [_privileged()] if config.security.privileged else []
    found += [_users(facts), _capabilities(facts), _seccomp(config, facts), _apparmor(facts), _kernel_paths(facts)]
    found += [_devices(config), _privileges(facts), _root(facts), _network(config, facts), _namespaces(config, facts)]
    return (*found, *_mounts(config, facts), *_limits(config))


def _privileged() -> Finding:
    return Finding("Privileged", False, "run with --privileged, which gives up nearly all protection")


def _users(facts: Facts) -> Finding:
    topic = "User namespace"
    if facts.id_base is None:
        return Finding(topic, False, "none: root in the container is root on the host")
    last = facts.id_base + facts.ids - 1
    return Finding(
        topic, True, f"root in the container is the host's id {facts.id_base} (ids {facts.id_base} to {last})"
    )


def _capabilities(facts: Facts) -> Finding:
    kept = facts.capabilities
    mighty = [name for name in kept if name in MIGHTY]
    if len(kept) >= _most():
        where = "all of them, within its user namespace" if facts.id_base is not None else "all of them"
        return Finding("Capabilities", False, where)
    text = f"{len(kept)} of {host.facts().capabilities}: {', '.join(kept)}" if kept else "none at all"
    if mighty and facts.id_base is None:
        return Finding("Capabilities", False, f"{text}; {', '.join(mighty)} can be turned against the host")
    return Finding("Capabilities", True, text)


def _most() -> int:
    """How many capabilities anybody here has: a restricted host lacks some."""
    line = next(line for line in _read("/proc/self/status").splitlines() if line.startswith("CapBnd:"))
    return int(line.split()[1], 16).bit_count()


def _seccomp(config: ContainerConfig, facts: Facts) -> Finding:
    own = policy.Options(config.security.security_opt).seccomp
    if facts.filtered and own not in ("", "unconfined"):
        return Finding("System calls", True, f"a seccomp filter as {own} says; nobody here knows how good that is")
    if facts.filtered:
        return Finding("System calls", True, "a seccomp filter refuses those that are not on its list")
    return Finding("System calls", False, "no seccomp filter: every system call of the kernel is within reach")


def _apparmor(facts: Facts) -> Finding:
    if facts.profile:
        return Finding("AppArmor", True, f"confined by the profile {facts.profile}")
    why = "not confined" if host.facts().apparmor else "this kernel does not have it"
    return Finding("AppArmor", False, why)


def _kernel_paths(facts: Facts) -> Finding:
    topic = "Kernel files"
    bare = facts.uncovered
    if not bare:
        return Finding(
            topic, True, "those in /proc and /sys that tell of the host or change it are masked or read-only"
        )
    return Finding(topic, False, f"neither masked nor read-only: {', '.join(bare)}")


def _devices(config: ContainerConfig) -> Finding:
    security = config.security
    if security.privileged:
        return Finding("Devices", False, "every device of the host")
    added = [f"{device.source} ({device.permissions})" for device in security.devices]
    added += [f"rule '{rule}'" for rule in security.device_rules]
    if added:
        return Finding("Devices", False, f"besides the usual six: {', '.join(added)}")
    return Finding("Devices", True, "null, zero, full, random, urandom, tty and the container's own terminals only")


def _privileges(facts: Facts) -> Finding:
    if facts.no_new_privileges:
        return Finding("New privileges", True, "setuid programs give none")
    return Finding("New privileges", False, "setuid programs work (--security-opt no-new-privileges stops them)")


def _root(facts: Facts) -> Finding:
    if facts.read_only:
        return Finding("Root file system", True, "read-only")
    return Finding("Root file system", False, "the container can change its own files (--read-only stops that)")


def _network(config: ContainerConfig, facts: Facts) -> Finding:
    mode = config.network.mode
    if "net" in facts.shared:
        return Finding("Network", False, "the host's own, with everything that listens on its loopback")
    if mode == "none":
        return Finding("Network", True, "none but the container's loopback")
    if mode.startswith("container:"):
        return Finding("Network", False, f"shared with container {mode.partition(':')[2][:12]}")
    count = len(config.network.ports)
    ports = f"; {count} published port{'s' * (count != 1)}" if count else ""
    return Finding("Network", True, f"a namespace of its own on {mode}{ports}")


def _namespaces(config: ContainerConfig, facts: Facts) -> Finding:
    names = {"pid": "processes", "ipc": "shared memory", "uts": "host name", "cgroup": "control groups"}
    wanted = config.namespaces
    hosts = [names[kind] for kind in names if kind in facts.shared]
    others = [
        f"{what} of container {value.partition(':')[2][:12]}"
        for what, value in (("processes", wanted.pid), ("shared memory", wanted.ipc))
        if value not in (*namespaces.OWN, "host")
    ]
    if hosts or others:
        text = "; ".join([*([f"the host's {', '.join(hosts)}"] if hosts else []), *others])
        return Finding("Other namespaces", False, f"sees {text}")
    return Finding("Other namespaces", True, "processes, shared memory, host name and control groups are its own")


def _mounts(config: ContainerConfig, facts: Facts) -> list[Finding]:
    binds = [mount for mount in config.mounts if mount.kind is MountKind.BIND]
    writable = [f"{mount.source} at {mount.target}" for mount in binds if mount.target in facts.writable]
    rest = [f"{mount.source} at {mount.target}" for mount in binds if mount.target not in facts.writable]
    found = []
    if writable:
        found.append(Finding("Host's files", False, f"can be written to: {', '.join(writable)}"))
    if rest:
        found.append(Finding("Host's files", False, f"can be read: {', '.join(rest)}"))
    return found or [Finding("Host's files", True, "no directory of the host is mounted")]


def _limits(config: ContainerConfig) -> list[Finding]:
    resources = config.resources
    found = []
    for value, topic, flag in (
        (resources.memory, "memory", "--memory"),
        (max(resources.pids_limit, 0), "processes", "--pids-limit"),
        (resources.nano_cpus or max(resources.cpu_quota, 0), "processor time", "--cpus"),
    ):
        text = f"{topic} limited" if value else f"no limit on {topic}: it can take the host's ({flag})"
        found.append(Finding("Limits", bool(value), text))
    return found
