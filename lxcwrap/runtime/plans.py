"""Plans: what a supervisor is told.  Everything is decided here, before it starts."""

from __future__ import annotations

import os
import stat
import sys
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

from lxcwrap.errors import NotFound, RuntimeFailure
from lxcwrap.kernel import files
from lxcwrap.model.container import ContainerConfig, Device, LogConfig, Mount, RestartPolicy
from lxcwrap.runtime import apparmor, config, host, namespaces, policy, seccomp

if TYPE_CHECKING:
    from lxcwrap.runtime.step import Step

_PROFILES = "/run/lxcwrap/seccomp"
_FOLDERS = "/run/lxcwrap/cgroups"
INITS = ("/usr/bin/tini-static", "/usr/bin/catatonit", "/usr/libexec/podman/catatonit")
INIT_TARGET = "/dev/.lxcwrap/init"
SHELLS = ("/usr/bin/busybox", "/bin/busybox")  # busybox-static
SHELL_TARGET = "/dev/.lxcwrap/busybox"
# liblxc's init is a session leader without a controlling terminal; who opens one gets it
_TAKE_TERMINAL = 'exec "$0" "$@" <>/dev/console >&0 2>&0'


class Network(NamedTuple):
    """What the runtime needs of a NetworkPlan.  ``own``: a network namespace of the container's own."""

    items: tuple[tuple[str, str], ...] = (("lxc.net.0.type", "empty"),)
    hosts: str = ""
    resolv_conf: str = ""
    own: bool = True
    inside: dict[str, Any] | None = None


def profile_path(wanted: ContainerConfig, facts: config.Host) -> str:
    """The seccomp profile's file, written when it is missing; '' when the container is not confined.

    Raises RuntimeFailure when a profile that the user named cannot be read.
    """
    options = policy.Options(wanted.security.security_opt)
    if options.seccomp == "unconfined" or (wanted.security.privileged and not options.seccomp):
        return ""
    if options.seccomp:
        if not os.path.isfile(options.seccomp):
            raise RuntimeFailure(f"seccomp profile {options.seccomp}: no such file")
        return os.path.abspath(options.seccomp)
    kept = policy.capabilities(wanted.security, system=wanted.system, known=facts.capabilities)
    content = seccomp.profile(frozenset(kept), facts.machine).encode()
    path = f"{_PROFILES}/{zlib.crc32(content):08x}"
    try:
        with open(path, "rb") as stream:
            if stream.read() == content:
                return path
    except FileNotFoundError:
        os.makedirs(_PROFILES, 0o755, exist_ok=True)
    files.write_atomically(path, content)
    return path


def items(
    wanted: ContainerConfig,
    directory: str,
    hostname: str,
    id_base: int | None,
    network: list[tuple[str, str]],
    own: bool,
) -> list[tuple[str, str]]:
    """All liblxc items of a container; ``own``: it has a network namespace of its own."""
    facts = host.facts()
    security = wanted.security
    found = config.base(directory, hostname, id_base)
    found += config.kernel_filesystems(
        security,
        directory,
        system=wanted.system,
        own_network=own,
        id_base=id_base,
        groups=_control_groups(facts),
    )
    if wanted.namespaces.ipc in namespaces.OWN:
        found += config.shared_memory(wanted.resources.shm_size)
    elif wanted.namespaces.ipc == "host":
        found.append(config.mount_entry("/dev/shm", "dev/shm", "none", "bind,nosuid,nodev,noexec,create=dir"))
    else:
        found.append(config.mount_entry(f"{directory}/shm", "dev/shm", "none", "bind,nosuid,nodev,noexec,create=dir"))
    if wanted.namespaces.uts:
        found = [item for item in found if item[0] != "lxc.uts.name"]
    found += config.confinement(security, facts, system=wanted.system)
    if facts.apparmor:
        apparmor.ensure(apparmor.name_for(security, system=wanted.system), system=wanted.system)
    profile = profile_path(wanted, facts)
    if profile:
        found.append(("lxc.seccomp.profile", profile))
    found += config.devices(security, facts, device_numbers(security.devices))
    found += [
        config.device_node(f"{directory}/devices/{number}", device) for number, device in enumerate(security.devices)
    ]
    found += config.limits(wanted.resources, facts)
    found += _sysctls(config.sysctls(security, own_network=own), directory)
    if own:
        found += config.network_freedoms(security)
    found += config.late_mounts(wanted.mounts, directory)
    if wanted.system:
        found += [("lxc.signal.halt", "SIGRTMIN+3"), ("lxc.signal.reboot", "SIGINT")]
    return found + (network or [("lxc.net.0.type", "empty")])


def _control_groups(facts: config.Host) -> list[tuple[str, str]] | None:
    """The mounts of cgroup v1, on a folder that is made once; None with v2, where liblxc's own will do."""
    if not facts.hierarchies:
        return None
    names = [config.hierarchy_name(options) for options in facts.hierarchies]
    folder = f"{_FOLDERS}/{zlib.crc32(' '.join(names).encode()):08x}"
    if not os.path.isdir(folder):
        _make_folder(folder, names)
    return config.control_groups(facts.hierarchies, folder)


def _make_folder(folder: str, names: list[str]) -> None:
    """An empty directory for each, and a link for each controller that shares one (``cpu`` to ``cpu,cpuacct``)."""
    import shutil
    import tempfile

    os.makedirs(_FOLDERS, 0o755, exist_ok=True)
    staged = tempfile.mkdtemp(dir=_FOLDERS)
    os.chmod(staged, 0o755)
    for name in names:
        os.mkdir(f"{staged}/{name}", 0o755)
        for controller in name.split(",") if "," in name else ():
            os.symlink(name, f"{staged}/{controller}")
    try:
        os.rename(staged, folder)
    except OSError:  # another command was quicker
        shutil.rmtree(staged)


def _sysctls(lines: str, directory: str) -> list[tuple[str, str]]:
    """liblxc's hook that sets them; the paths are ours and hold nothing that a shell would read."""
    if not lines:
        return []
    path = f"{directory}/sysctls"
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(lines)
    program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sysctls.py")
    return [("lxc.hook.start-host", f"{sys.executable} -I -S {program} {path} #")]


def own_devices(devices: tuple[Device, ...], id_base: int | None) -> list[dict[str, Any]]:
    """The nodes that the supervisor makes.

    In a user namespace the host's own belong to nobody; without one the container could change their owner and mode.
    """
    device_numbers(devices)  # says what is wrong with one
    nodes = []
    for device in devices:
        found = os.stat(device.source)
        uid, gid = (found.st_uid, found.st_gid) if id_base is None else (id_base, id_base)
        nodes.append({"mode": found.st_mode, "number": found.st_rdev, "uid": uid, "gid": gid})
    return nodes


def device_numbers(devices: tuple[Device, ...]) -> dict[str, str]:
    """``c major:minor`` of each device.  Raises NotFound."""
    numbers = {}
    for device in devices:
        try:
            found = os.stat(device.source)
        except OSError:
            raise NotFound(f"device {device.source}: no such device on this host", exit_code=125) from None
        if not (stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode)):
            raise NotFound(f"{device.source} is not a device", exit_code=125)
        kind = "c" if stat.S_ISCHR(found.st_mode) else "b"
        numbers[device.source] = f"{kind} {os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"
    return numbers


def mounts(wanted: tuple[Mount, ...], sources: dict[Mount, dict[str, Any]]) -> list[dict[str, Any]]:
    """What the supervisor mounts onto the rootfs: parents before children.

    ``sources``: what is known of each beyond its flags; see ``runtime/rootfs.py``.
    """
    ordered = sorted(wanted, key=lambda item: item.target.count("/"))
    return [_mount(each, sources) for each in ordered if not config.belongs_late(each.target)]


def late(wanted: tuple[Mount, ...], sources: dict[Mount, dict[str, Any]]) -> list[dict[str, Any]]:
    """What the supervisor makes ready for liblxc to mount, in the order of ``config.late_mounts``; then what goes
    onto that."""
    outermost, inner = config.late(wanted)
    found = [_mount(each, sources) for each in outermost]
    for each, number in inner:
        inside = each.target.removeprefix(outermost[number].target)
        found.append({**_mount(each, sources), "onto": number, "inside": inside, "copy_up": ""})
    return found


def _mount(mount: Mount, sources: dict[Mount, dict[str, Any]]) -> dict[str, Any]:
    plain = {
        "kind": mount.kind.value,
        "source": mount.source,
        "subpath": mount.subpath,
        "target": mount.target,
        "read_only": mount.read_only,
        "options": list(mount.options),
        "mapped": True,
    }
    if mount.writable_below:
        plain["writable_below"] = True
    return plain | sources.get(mount, {})


def own_files(directory: str, id_base: int | None, contents: dict[str, str]) -> list[dict[str, Any]]:
    """Write /etc/hosts and the like into the container's directory, to be mounted; '' contents are left out."""
    planned = []
    for target, content in contents.items():
        if not content:
            continue
        path = f"{directory}/{os.path.basename(target)}"
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(content)
        os.chmod(path, 0o644)
        os.chown(path, id_base or 0, id_base or 0)
        planned.append(
            {"kind": "bind", "source": path, "target": target, "read_only": False, "options": ["bind"], "mapped": False}
        )
    return planned


def log_plan(log: LogConfig) -> dict[str, Any] | None:
    """The arguments of ``logfile.LogFile``; None for what is kept elsewhere, or nowhere."""
    if log.driver != "local":
        return None
    return {"max_size": log.max_size, "max_file": log.max_file, "compress": log.compress}


def restart_plan(policy_: RestartPolicy) -> dict[str, Any]:
    return {"kind": policy_.kind.value, "limit": policy_.limit}


def health_plan(wanted: ContainerConfig) -> dict[str, Any] | None:
    """The health check, times in seconds, with Docker's defaults; None without one."""
    check = wanted.health
    if not check.test or check.test[0] == "NONE":
        return None
    argv = ["/bin/sh", "-c", *check.test[1:2]] if check.test[0] == "CMD-SHELL" else list(check.test[1:])
    return {
        "argv": argv,
        "interval": check.interval / 1e9 or 30.0,
        "timeout": check.timeout / 1e9 or 30.0,
        "start_period": check.start_period / 1e9,
        "start_interval": check.start_interval / 1e9 or 5.0,
        "retries": check.retries or 3,
        "on_failure": wanted.health_on_failure or "none",
    }


def for_step(step: Step) -> dict[str, Any]:
    """The plan of a build step."""
    wanted = ContainerConfig(
        image="", env=step.env, mounts=step.mounts, resources=step.resources, security=step.security
    )
    own = not any(value == "none" for key, value in step.network if key == "lxc.net.0.type")
    name = "-".join(step.directory.split("/")[-2:])  # the build's and the step's: control groups bear it
    contents = {"/etc/hosts": step.hosts, "/etc/resolv.conf": step.resolv_conf}
    return {
        "name": name,
        "directory": step.directory,
        "lxcpath": step.directory,
        "run": "",
        "driver": step.driver,
        "lowers": list(step.lowers),
        "id_base": step.id_base,
        "volatile": True,
        "argv": list(step.argv),
        "env": list(config.environment(wanted, step.hostname)),
        "working_dir": step.working_dir,
        "user": step.user,
        "groups": [],
        "tty": False,
        "interactive": False,
        "stdin_once": False,
        "bound": True,
        "log": None,
        "restart": {"kind": "no", "limit": 0},
        "after": None,
        "mounts": mounts(step.mounts, {}) + own_files(step.directory, step.id_base, contents),
        "read_only": wanted.security.read_only,
        "devices": own_devices(wanted.security.devices, step.id_base),
        "items": items(wanted, step.directory, step.hostname, step.id_base, list(step.network), own),
    }


def for_container(
    container_id: str,
    wanted: ContainerConfig,
    *,
    directory: str,
    run: str,
    driver: str,
    lowers: tuple[str, ...],
    id_base: int | None,
    hostname: str,
    network: Network,
    sources: dict[Mount, dict[str, Any]],
    after: list[str],
    joined: dict[str, int] | None = None,
) -> dict[str, Any]:
    """The plan of a container.  ``joined``: the inits of the containers whose namespaces it joins."""
    planned = mounts(wanted.mounts, sources)
    contents = {"/etc/hostname": hostname + "\n", "/etc/hosts": network.hosts, "/etc/resolv.conf": network.resolv_conf}
    taken = {mount.target for mount in wanted.mounts}
    planned += own_files(directory, id_base, {path: text for path, text in contents.items() if path not in taken})
    argv, tools = _with_tools(wanted)
    return {
        "name": container_id,
        "directory": directory,
        "lxcpath": run,
        "run": run,
        "driver": driver,
        "lowers": list(lowers),
        "id_base": id_base,
        "volatile": wanted.auto_remove,
        "argv": argv,
        "prefix": len(argv) - len(wanted.argv) - (2 if wanted.init else 0),  # what comes before the switch of users
        "env": list(config.environment(wanted, hostname)),
        "working_dir": wanted.working_dir,
        "user": wanted.user,
        "groups": list(wanted.groups),
        "system": wanted.system,
        "tty": wanted.tty or wanted.system,  # an init system writes to the console
        "interactive": wanted.interactive,
        "stdin_once": wanted.interactive and not wanted.detached,
        "bound": False,
        "log": log_plan(wanted.log),
        "restart": restart_plan(wanted.restart),
        "health": health_plan(wanted),
        "after": after,
        "mounts": planned,
        "late": late(wanted.mounts, sources),
        "command": list(wanted.argv),
        "read_only": wanted.security.read_only,
        "devices": own_devices(wanted.security.devices, id_base),
        "items": items(wanted, directory, hostname, id_base, _network_items(network, directory), network.own)
        + namespaces.items(wanted.namespaces, joined or {}, own_users=id_base is not None, own_network=network.own)
        + tools,
        "foreign_pids": bool(wanted.namespaces.pid),
        "shm": _shared_memory(wanted, joined or {}),
        "confinement": confinement(wanted),
        "inside": network.inside,
    }


def _network_items(network: Network, directory: str) -> list[tuple[str, str]]:
    if not network.inside:
        return list(network.items)
    from lxcwrap.runtime import inside

    return [*network.items, *inside.write(directory, network.inside)]


def _with_tools(wanted: ContainerConfig) -> tuple[list[str], list[tuple[str, str]]]:
    """The command behind the host's programs that go before it, and the items that bring those in."""
    argv, tools = list(wanted.argv), []
    if wanted.init:
        tools.append(_tool(_first_of(INITS), INIT_TARGET))
        argv = [INIT_TARGET, "--", *argv]
    shell = _first_of(SHELLS)
    if wanted.tty and not wanted.system and shell:
        tools.append(_tool(shell, SHELL_TARGET))
        argv = [SHELL_TARGET, "sh", "-c", _TAKE_TERMINAL, *argv]
    return argv, tools


def _shared_memory(wanted: ContainerConfig, joined: dict[str, int]) -> int:
    """The process whose /dev/shm the container has; 0: none but its own."""
    return joined.get(wanted.namespaces.ipc.partition(":")[2], 0)


def confinement(wanted: ContainerConfig) -> dict[str, Any]:
    """What an exec has to give up, as the container's init did."""
    facts = host.facts()
    kept = policy.capabilities(wanted.security, system=wanted.system, known=facts.capabilities)
    profile = profile_path(wanted, facts)
    bpf = ""
    if profile:
        from lxcwrap.runtime import seccomp_filter

        bpf = seccomp_filter.compiled(profile)
    names = policy.ALL_CAPABILITIES[: facts.capabilities]
    return {
        "dropped": [number for number, name in enumerate(names) if name not in kept],
        "bpf": bpf,
        "no_new_privs": policy.Options(wanted.security.security_opt).no_new_privileges,
    }


def _first_of(paths: tuple[str, ...]) -> str:
    return next((path for path in paths if os.path.exists(path)), "")


def _tool(source: str, target: str) -> tuple[str, str]:
    """A program of the host's in the container's /dev, where it leaves no trace in the image."""
    if not source:
        raise RuntimeFailure("--init: this host has no static tini or catatonit", hint="apt-get install tini")
    return config.mount_entry(source, target, "none", "bind,ro,create=file")
