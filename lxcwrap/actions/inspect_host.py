"""The ``HostConfig`` of a container's document: what the user's flags asked of the host."""

from __future__ import annotations

from typing import Any

from lxcwrap.model.container import ContainerConfig, DeviceLimit, LogConfig, Mount, MountKind, Resources, UserNamespace
from lxcwrap.model.godata import NIL, GoMap, NilSlice, slice_, struct
from lxcwrap.runtime import apparmor as profiles
from lxcwrap.runtime import host, policy


def apparmor(config: ContainerConfig) -> str:
    """The profile that the container gets; '' on a kernel without AppArmor unless one was named."""
    name = profiles.name_for(config.security, system=config.system)
    named = config.security.privileged or policy.Options(config.security.security_opt).apparmor
    return name if named or host.facts().apparmor else ""


def host_config(config: ContainerConfig, id_base: int | None) -> dict[str, Any]:
    """``HostConfig`` as Docker writes it; ``id_base`` tells whether there is a user namespace."""
    security, network = config.security, config.network
    plain: dict[str, Any] = {
        "Binds": slice_(_bind(mount) for mount in config.mounts if _is_bind(mount)),
        "ContainerIDFile": config.cidfile,
        "LogConfig": {
            "Type": config.log.driver,
            "Config": _log_options(config.log),
        },
        "NetworkMode": network.left or network.mode,
        "PortBindings": _bindings(config),
        "RestartPolicy": {"Name": config.restart.kind.value, "MaximumRetryCount": config.restart.limit},
        "AutoRemove": config.auto_remove,
        "VolumeDriver": "",
        "VolumesFrom": NilSlice(),
        "ConsoleSize": [0, 0],
        "CapAdd": slice_(map(_capability, security.cap_add)),
        "CapDrop": slice_(map(_capability, security.cap_drop)),
        "CgroupnsMode": config.namespaces.cgroup or "private",
        "Dns": list(network.dns),
        "DnsOptions": list(network.dns_options),
        "DnsSearch": list(network.dns_search),
        "ExtraHosts": slice_(network.extra_hosts),
        "GroupAdd": slice_(config.groups),
        "IpcMode": config.namespaces.ipc or "private",
        "Cgroup": "",
        "Links": NilSlice(),
        "OomScoreAdj": config.resources.oom_score_adj,
        "PidMode": config.namespaces.pid,
        "Privileged": security.privileged,
        "PublishAllPorts": network.publish_all,
        "ReadonlyRootfs": security.read_only,
        "SecurityOpt": slice_(security.security_opt),
        "UTSMode": config.namespaces.uts,
        "UsernsMode": "host" if id_base is None or security.user_namespace is UserNamespace.HOST else "private",
        "ShmSize": config.resources.shm_size,
        "Runtime": "lxc",
        "Isolation": "",
    }
    temporary = [mount for mount in config.mounts if mount.kind is MountKind.TMPFS]
    rare = {
        "Init": config.init,
        "Sysctls": GoMap(security.sysctls),
        "Tmpfs": GoMap((mount.target, ",".join(mount.options)) for mount in temporary),
    }
    return struct(plain | _resources(config.resources) | _devices(config) | rare, *rare)


def _log_options(log: LogConfig) -> GoMap:
    if log.driver == "local":
        found = {"max-size": str(log.max_size), "max-file": str(log.max_file)}
        return GoMap(found if log.compress else {**found, "compress": "false"})
    found = {"tag": log.tag, "labels": ",".join(log.labels), "labels-regex": log.labels_regex}
    found |= {"env": ",".join(log.env), "env-regex": log.env_regex}
    return GoMap({name: value for name, value in found.items() if value})


def _capability(name: str) -> str:
    return "ALL" if name.upper() == "ALL" else f"CAP_{name.upper()}"


def _is_bind(mount: Mount) -> bool:
    return mount.kind in (MountKind.BIND, MountKind.VOLUME) and bool(mount.source) and not mount.anonymous


def _bind(mount: Mount) -> str:
    modes = ",".join([*mount.options, *(["ro"] if mount.read_only else [])])
    return f"{mount.source}:{mount.target}" + (f":{modes}" if modes else "")


def _bindings(config: ContainerConfig) -> GoMap:
    found = GoMap()
    for port in config.network.ports:
        name = f"{port.container_port}/{port.protocol}"
        last = f"-{port.host_last}" if port.host_last else ""
        bound = {"HostIp": port.host_ip, "HostPort": f"{port.host_port or ''}{last}"}
        found[name] = [*found.get(name, ()), bound]
    return found


def _resources(limits: Resources) -> dict[str, Any]:
    return {
        "CpuShares": limits.cpu_shares,
        "Memory": limits.memory,
        "NanoCpus": limits.nano_cpus,
        "CgroupParent": limits.cgroup_parent,
        "BlkioWeight": limits.blkio_weight,
        "BlkioWeightDevice": [{"Path": item.path, "Weight": item.value} for item in limits.blkio_weight_device],
        "BlkioDeviceReadBps": _rates(limits.device_read_bps),
        "BlkioDeviceWriteBps": _rates(limits.device_write_bps),
        "BlkioDeviceReadIOps": _rates(limits.device_read_iops),
        "BlkioDeviceWriteIOps": _rates(limits.device_write_iops),
        "CpuPeriod": limits.cpu_period,
        "CpuQuota": limits.cpu_quota,
        "CpuRealtimePeriod": limits.cpu_rt_period,
        "CpuRealtimeRuntime": limits.cpu_rt_runtime,
        "CpusetCpus": limits.cpuset_cpus,
        "CpusetMems": limits.cpuset_mems,
        "MemoryReservation": limits.memory_reservation,
        "MemorySwap": limits.memory_swap or 2 * limits.memory,
        "MemorySwappiness": NIL if limits.memory_swappiness < 0 else limits.memory_swappiness,
        "OomKillDisable": limits.oom_kill_disable,
        "PidsLimit": limits.pids_limit or NIL,
        "Ulimits": [{"Name": item.name, "Hard": item.hard, "Soft": item.soft} for item in limits.ulimits],
    }


def _rates(limits: tuple[DeviceLimit, ...]) -> list[dict[str, Any]]:
    return [{"Path": item.path, "Rate": item.value} for item in limits]


def _devices(config: ContainerConfig) -> dict[str, Any]:
    devices = [
        {"PathOnHost": item.source, "PathInContainer": item.target, "CgroupPermissions": item.permissions}
        for item in config.security.devices
    ]
    return {"Devices": devices, "DeviceCgroupRules": slice_(config.security.device_rules), "DeviceRequests": NilSlice()}
