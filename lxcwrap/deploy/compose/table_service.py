"""The table of keys: a service.

A field with a flag becomes that flag of ``lxcwrap create`` as it stands; the others have code in ``service.py`` and
its neighbours.
"""

from __future__ import annotations

import re
import signal

from lxcwrap.deploy.compose import shorts
from lxcwrap.deploy.compose.kinds import Driven, Field, Many, Map, Noted, Object, Pairs, Refused, Short, Words
from lxcwrap.deploy.compose.node import Node
from lxcwrap.deploy.compose.scalars import Choice, Decimal, Kind, Microseconds, Mode, Size, Text, Time, Truth, Whole
from lxcwrap.deploy.compose.table_deploy import BUILD, DEPLOY
from lxcwrap.errors import UsageError
from lxcwrap.model import run_flags
from lxcwrap.model.image import Platform
from lxcwrap.model.names import check_hostname
from lxcwrap.runtime import policy

_TEXTS: Kind = Many(Text())
_PATHS: Kind = Many(Text(), single=True)
_REAL_TIME = re.compile(r"RTMIN\+[0-9]{1,2}")
_CAPABILITIES: Kind = Many(Text(policy.capability_name))
_SERVICE = "a container that shares another's would have to go with it from host to host"


def _address(text: str) -> str:
    return run_flags.ip(text, "the value")


def _word(text: str) -> str:
    return run_flags.resolver_word(text, "the value")


def _platform(text: str) -> object:
    try:
        return Platform.parse(text)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _security(text: str) -> None:
    found = policy.Options((text,))
    if found.seccomp not in ("", "unconfined") and not found.seccomp.startswith("/"):
        raise UsageError(f"{found.seccomp!r:.60} is not an absolute path", hint="it is a file on the host")


def _signal(text: str) -> None:
    name = text.upper().removeprefix("SIG")
    known = name.isdecimal() and 0 < int(name) < 65
    if not known and f"SIG{name}" not in signal.Signals.__members__ and not _REAL_TIME.fullmatch(name):
        raise UsageError(f"{text!r:.40} is not a signal", hint="write SIGTERM, TERM or 15")


def _extra_host(name: str, value: str) -> str:
    return run_flags.extra_host(f"{name}:{value}")


def _port_key(node: Node) -> str:
    return f"{node.get('host_ip', default='')}:{node.get('published', default='')}:{node.get('target')}/" + str(
        node.get("protocol", default="tcp")
    )


def _target(node: Node) -> str:
    return str(node.get("target", default="") or node.get("source", default=""))


def _path(node: Node) -> str:
    return f"{node.mark.folder}:{node.get('path')}"


PORT = Short(
    Object(
        {
            "target": Field(Whole(1, 65535), "The container's port."),
            "published": Field(Text(), "The host's port; none: any that is free."),
            "host_ip": Field(Text(), "The host's address that it is published on."),
            "protocol": Field(Choice(("tcp", "udp", "sctp")), "tcp, udp or sctp."),
            "mode": Field(Choice(("host", "ingress")), "Both publish on the hosts that have a container."),
            "name": Field(Text(), "A note."),
            "app_protocol": Field(Text(), "A note."),
        },
        needs=("target",),
    ),
    shorts.ports,
)

_MOUNT_BIND = Object(
    {
        "propagation": Field(Text(), "private, rprivate, slave or rslave."),
        "create_host_path": Field(Truth(), "Make a missing directory on the host. Default true."),
        "recursive": Field(
            Choice(("enabled", "disabled", "writable", "readonly")), "How mounts below the directory come along."
        ),
        "selinux": Field(Choice(("z", "Z")), "Nothing: containers have no SELinux labels."),
    }
)
_MOUNT_VOLUME = Object(
    {
        "nocopy": Field(Truth(), "Do not fill a new volume with the image's files."),
        "subpath": Field(Text(), "A directory of the volume."),
        "labels": Field(Pairs(lines=True), "Labels of a volume that is made for this."),
    }
)
_MOUNT_TMPFS = Object({"size": Field(Size(), "Its size."), "mode": Field(Mode(), "Its mode, octal.")})
_MOUNT_IMAGE = Object({"subpath": Field(Text(), "A directory of the image.")})

VOLUME = Short(
    Object(
        {
            "type": Field(Choice(("bind", "volume", "tmpfs", "image", "cluster", "npipe")), "What it is."),
            "source": Field(Text(), "A path on the host, a volume's name, or an image."),
            "target": Field(Text(), "Where it is in the container."),
            "read_only": Field(Truth(), "It cannot be written."),
            "consistency": Field(Text(), "Nothing: it is for Docker Desktop."),
            "bind": Field(_MOUNT_BIND, "For a directory of the host."),
            "volume": Field(_MOUNT_VOLUME, "For a volume."),
            "tmpfs": Field(_MOUNT_TMPFS, "For memory."),
            "image": Field(_MOUNT_IMAGE, "For an image."),
        },
        needs=("type", "target"),
    ),
    shorts.volume,
)

CONTENT_USE = Short(
    Object(
        {
            "source": Field(Text(), "Its name at the top level."),
            "target": Field(Text(), "Its file in the container."),
            "uid": Field(Whole(0, 2**32 - 2), "The file's owner."),
            "gid": Field(Whole(0, 2**32 - 2), "The file's group."),
            "mode": Field(Mode(), "The file's mode, octal. Default 0444."),
        },
        needs=("source",),
    ),
    shorts.named("source"),
)

_NETWORK = Object(
    {
        "aliases": Field(_TEXTS, "Further names on the network."),
        "ipv4_address": Field(Text(), "A fixed address."),
        "ipv6_address": Field(Text(), "A fixed IPv6 address."),
        "mac_address": Field(Text(), "A fixed MAC address."),
        "priority": Field(Whole(-(2**31)), "The network with the highest comes first."),
        "gw_priority": Field(Whole(-(2**31)), "As priority, and before it."),
        "link_local_ips": Field(Refused("addresses are of the network's subnet"), ""),
        "interface_name": Field(Refused("interfaces are called eth0, eth1 and so on"), ""),
        "driver_opts": Field(Refused("a container's side of a network has no options"), ""),
    }
)

_DEPENDENCY = Object(
    {
        "condition": Field(
            Choice(("service_started", "service_healthy", "service_completed_successfully")), "What is waited for."
        ),
        "restart": Field(Truth(), "Restart this service when the other is replaced."),
        "required": Field(Truth(), "Whether the other has to be there. Default true."),
    }
)

_HEALTH = Object(
    {
        "test": Field(Words(shell=True), "The command: a text for a shell, [CMD, …], [CMD-SHELL, …] or [NONE]."),
        "interval": Field(Time(), "Time between checks.", "--health-interval"),
        "timeout": Field(Time(), "Time that a check may take.", "--health-timeout"),
        "retries": Field(Whole(), "Failures in a row that make it unhealthy.", "--health-retries"),
        "start_period": Field(Time(), "Time in which failures do not count.", "--health-start-period"),
        "start_interval": Field(Time(), "Time between checks in it.", "--health-start-interval"),
        "disable": Field(Truth(), "Without the image's check."),
    }
)


def _device_limit(what: Kind) -> Kind:
    fields = {"path": Field(Text(), "The device."), "rate": Field(what, "The limit.")}
    return Many(Object(fields, needs=("path", "rate")))


_BLOCK_IO = Object(
    {
        "weight": Field(Whole(10, 1000), "Weight, 10 to 1000.", "--blkio-weight"),
        "weight_device": Field(
            Many(Object({"path": Field(Text(), "The device."), "weight": Field(Whole(10, 1000), "Its weight.")})),
            "Weight for one device.",
        ),
        "device_read_bps": Field(_device_limit(Size()), "Bytes per second read."),
        "device_read_iops": Field(_device_limit(Whole(1)), "Reads per second."),
        "device_write_bps": Field(_device_limit(Size()), "Bytes per second written."),
        "device_write_iops": Field(_device_limit(Whole(1)), "Writes per second."),
    }
)

_ULIMIT = Short(
    Object({"soft": Field(Whole(-1), "The soft limit."), "hard": Field(Whole(-1), "The hard limit.")}),
    lambda node, place: {"soft": node.text, "hard": node.text},
)

_DEVICE = Short(
    Object(
        {
            "source": Field(Text(), "The host's device."),
            "target": Field(Text(), "Its path in the container."),
            "permissions": Field(Text(), "r, w and m."),
        },
        needs=("source",),
    ),
    shorts.device,
)

_ENV_FILE = Short(
    Object(
        {
            "path": Field(Text(), "The file, here."),
            "required": Field(Truth(), "Whether it has to be there. Default true."),
            "format": Field(Choice(("raw",)), "raw: lines as they are, without quotes and variables."),
        },
        needs=("path",),
    ),
    shorts.named("path"),
)

_EXTENDS = Short(
    Object(
        {"service": Field(Text(), "The service to begin with."), "file": Field(Text(), "The file that has it.")},
        needs=("service",),
    ),
    shorts.named("service"),
)

_LXCWRAP = Object(
    {
        "drain": Field(Time(), "Time that open connections have on a container that is replaced. Default 30s."),
        "system": Field(Truth(), "The image boots a full init system.", "--system"),
        "health-on-failure": Field(
            Choice(("none", "kill", "restart", "stop")),
            "What happens to an unhealthy container.",
            "--health-on-failure",
        ),
    }
)

SERVICE = Object(
    {
        "image": Field(Text(), "The image; with build, the name that the built one gets."),
        "build": Field(BUILD, "How the image is built, on the operator's machine."),
        "command": Field(Words(), "Instead of the image's command."),
        "entrypoint": Field(Words(), "Instead of the image's entrypoint; the image's command goes with it."),
        "environment": Field(Pairs(), "Variables; without a value, the caller's."),
        "env_file": Field(Many(_ENV_FILE, _path, single=True), "Variables from files on the operator's machine."),
        "ports": Field(Many(PORT, _port_key), "Published ports."),
        "expose": Field(Many(Text(run_flags.exposed)), "Ports that are documented.", "--expose"),
        "volumes": Field(Many(VOLUME, _target), "Volumes, directories of the host, memory."),
        "tmpfs": Field(Many(Text(run_flags.tmpfs), single=True), "Directories in memory.", "--tmpfs"),
        "networks": Field(Map(_NETWORK, "network", listed=True), "Networks. Default: the application's own."),
        "network_mode": Field(Text(), "host, none or bridge, in place of networks."),
        "secrets": Field(Many(CONTENT_USE, _target), "Secrets, as files in /run/secrets."),
        "configs": Field(Many(CONTENT_USE, _target), "Configs, as files."),
        "depends_on": Field(Map(_DEPENDENCY, "service", listed=True), "Services that come first."),
        "links": Field(_TEXTS, "Services that come first; an alias goes into their networks: aliases."),
        "healthcheck": Field(_HEALTH, "How a container's health is checked."),
        "restart": Field(Text(run_flags.restart, truths=True), "no, always, unless-stopped or on-failure[:N]."),
        "deploy": Field(DEPLOY, "How many, where, and how they are replaced."),
        "scale": Field(Whole(0, 10_000), "As deploy.replicas."),
        "profiles": Field(_TEXTS, "Only there when one of these profiles is active."),
        "extends": Field(_EXTENDS, "Begin with another service, of this file or another."),
        "container_name": Field(
            Text(check_hostname), "A further name on its networks; containers are called APP-SERVICE-N."
        ),
        "hostname": Field(Text(check_hostname), "The host name.", "--hostname"),
        "domainname": Field(Text(), "The domain name.", "--domainname"),
        "user": Field(Text(), "Whom to run as.", "--user"),
        "group_add": Field(_TEXTS, "Supplementary groups.", "--group-add"),
        "working_dir": Field(Text(), "The working directory.", "--workdir"),
        "labels": Field(Pairs(lines=True), "Labels of the containers."),
        "label_file": Field(_PATHS, "Labels from files on the operator's machine."),
        "logging": Field(
            Driven(
                {
                    "driver": Field(Text(), "local (json-file is the same), journald or none.", "--log-driver"),
                    "options": Field(Pairs(), "max-size, max-file, tag and so on.", "--log-opt"),
                }
            ),
            "Where output goes.",
        ),
        "tty": Field(Truth(), "A terminal.", "--tty"),
        "stdin_open": Field(Truth(), "Keep stdin open.", "--interactive"),
        "init": Field(Truth(), "A small init that reaps processes.", "--init"),
        "privileged": Field(Truth(), "All capabilities and devices.", "--privileged"),
        "read_only": Field(Truth(), "The root file system cannot be written.", "--read-only"),
        "cap_add": Field(_CAPABILITIES, "Capabilities to give.", "--cap-add"),
        "cap_drop": Field(_CAPABILITIES, "Capabilities to take.", "--cap-drop"),
        "security_opt": Field(
            Many(Text(_security)),
            "no-new-privileges, seccomp=, apparmor=, systempaths=unconfined.",
            "--security-opt",
        ),
        "devices": Field(Many(_DEVICE), "Devices of the host."),
        "device_cgroup_rules": Field(Many(Text(run_flags.device_rule)), "Devices by number.", "--device-cgroup-rule"),
        "dns": Field(Many(Text(_address), single=True), "Name servers.", "--dns"),
        "dns_opt": Field(Many(Text(_word)), "Options for resolv.conf.", "--dns-option"),
        "dns_search": Field(Many(Text(_word), single=True), "Search domains.", "--dns-search"),
        "extra_hosts": Field(Pairs("=:", empty=False, check=_extra_host), "Lines in /etc/hosts.", "--add-host"),
        "ulimits": Field(Map(_ULIMIT, "limit"), "Resource limits of processes."),
        "sysctls": Field(Pairs(empty=False), "Kernel parameters of the container.", "--sysctl"),
        "shm_size": Field(Size(), "Size of /dev/shm.", "--shm-size"),
        "mem_limit": Field(Size(), "As deploy.resources.limits.memory."),
        "mem_reservation": Field(Size(), "As deploy.resources.reservations.memory, without a say in placement."),
        "memswap_limit": Field(Size(unlimited=True), "Memory and swap together; -1: any swap.", "--memory-swap"),
        "mem_swappiness": Field(Whole(0, 100), "How readily to swap (cgroup v1).", "--memory-swappiness"),
        "oom_kill_disable": Field(Truth(), "Wait for memory (cgroup v1).", "--oom-kill-disable"),
        "oom_score_adj": Field(Whole(-1000, 1000), "Whom the kernel kills first.", "--oom-score-adj"),
        "cpus": Field(Decimal(), "As deploy.resources.limits.cpus."),
        "cpu_shares": Field(Whole(), "Relative weight.", "--cpu-shares"),
        "cpu_period": Field(Whole(), "Length of a period in microseconds.", "--cpu-period"),
        "cpu_quota": Field(Whole(-1), "Cpu time in each period in microseconds.", "--cpu-quota"),
        "cpu_rt_period": Field(Microseconds(), "Real-time period (cgroup v1).", "--cpu-rt-period"),
        "cpu_rt_runtime": Field(Microseconds(), "Real-time cpu time in each period (cgroup v1).", "--cpu-rt-runtime"),
        "cpuset": Field(Text(), "Processors to run on.", "--cpuset-cpus"),
        "pids_limit": Field(Whole(-1), "As deploy.resources.limits.pids."),
        "blkio_config": Field(_BLOCK_IO, "Limits of block devices."),
        "cgroup": Field(Choice(("host", "private")), "The cgroup namespace.", "--cgroupns"),
        "cgroup_parent": Field(Text(), "The control group to be in.", "--cgroup-parent"),
        "ipc": Field(Text(), f"host, private or shareable. service: is refused: {_SERVICE}."),
        "pid": Field(Text(), "host. service: is refused, as for ipc."),
        "uts": Field(Choice(("host",)), "host: the host's name.", "--uts"),
        "userns_mode": Field(Choice(("host", "private")), "host: root is the host's root.", "--userns"),
        "mac_address": Field(Text(), "A MAC address on the first network."),
        "stop_signal": Field(Text(_signal), "The signal that asks it to end.", "--stop-signal"),
        "stop_grace_period": Field(Time(), "Time that it then has. Default 10s."),
        "platform": Field(Text(_platform), "OS/ARCH of the image.", "--platform"),
        "pull_policy": Field(
            Choice(("always", "missing", "if_not_present", "never", "build")),
            "When the image is pulled. Default: missing; build where there is one.",
        ),
        "x-lxcwrap": Field(_LXCWRAP, "What Compose has no word for."),
        "attach": Field(Noted("deployments attach to nothing"), "Nothing: deployments attach to nothing."),
        "develop": Field(Noted("it is for development"), "Nothing: it is for development."),
        "annotations": Field(Refused("containers have labels"), ""),
        "cpu_count": Field(Refused("it is for Windows; use cpus"), ""),
        "cpu_percent": Field(Refused("it is for Windows; use cpus"), ""),
        "credential_spec": Field(Refused("it is for Windows"), ""),
        "external_links": Field(Refused("put both on an external network"), ""),
        "gpus": Field(Refused("pass the devices with 'devices'"), ""),
        "isolation": Field(Refused("it is for Windows", unless=("default",)), ""),
        "models": Field(Refused("there is no model runner"), ""),
        "post_start": Field(Refused("use x-lxcwrap: hooks, or the image's entrypoint"), ""),
        "pre_start": Field(Refused("use x-lxcwrap: hooks, or the image's entrypoint"), ""),
        "pre_stop": Field(Refused("use x-lxcwrap: hooks, or stop_signal"), ""),
        "provider": Field(Refused("there are no providers"), ""),
        "pull_refresh_after": Field(Refused("images are pulled by always, missing or never"), ""),
        "runtime": Field(Refused("the only runtime is liblxc"), ""),
        "storage_opt": Field(Refused("containers share the state's file system, on which there are no quotas"), ""),
        "use_api_socket": Field(Refused("there is no daemon and no socket", unless=("false",)), ""),
        "volumes_from": Field(Refused("name the volume in both services"), ""),
    }
)
