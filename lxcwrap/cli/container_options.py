"""The options that ``run`` and ``create`` share, and what they make of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import click

from lxcwrap.cli.refused import all_of, refused
from lxcwrap.errors import UsageError
from lxcwrap.model import run_flags
from lxcwrap.model.container import (
    ContainerConfig,
    LogConfig,
    Mount,
    Namespaces,
    NetworkConfig,
    Resources,
    RestartKind,
    Security,
    UserNamespace,
)

F = TypeVar("F", bound=Callable[..., Any])


def _many(*names: str, metavar: str, help: str) -> Callable[[F], F]:
    return click.option(*names, multiple=True, metavar=metavar, help=help)


def _text(*names: str, metavar: str, help: str) -> Callable[[F], F]:
    return click.option(*names, default="", metavar=metavar, help=help, show_default=False)


def _flag(*names: str, help: str) -> Callable[[F], F]:
    return click.option(*names, is_flag=True, help=help)


def _number(*names: str, metavar: str, help: str) -> Callable[[F], F]:
    return click.option(*names, type=int, default=0, metavar=metavar, help=help)


container_options = all_of(
    _many("--add-host", metavar="NAME:IP", help="A line in /etc/hosts."),
    _many("-a", "--attach", metavar="STREAM", help="Attach to stdin, stdout or stderr only."),
    _number("--blkio-weight", metavar="N", help="Block I/O weight, 10 to 1000."),
    _many("--blkio-weight-device", metavar="DEV:N", help="Block I/O weight for one device."),
    _many("--cap-add", metavar="CAP", help="Give a capability, or ALL."),
    _many("--cap-drop", metavar="CAP", help="Take a capability away, or ALL."),
    _text("--cgroup-parent", metavar="PATH", help="Control group to be in: /services, or NAME.slice."),
    _text("--cgroupns", metavar="MODE", help="private or host."),
    _text("--cidfile", metavar="FILE", help="Write the container's ID to a file."),
    click.option("--cpu-period", type=int, default=0, metavar="US", help="Length of a cpu period in microseconds."),
    click.option("--cpu-quota", type=int, default=0, metavar="US", help="Cpu time in each period in microseconds."),
    _number("--cpu-rt-period", metavar="US", help="Real-time period in microseconds (cgroup v1)."),
    _number("--cpu-rt-runtime", metavar="US", help="Real-time cpu time in each period (cgroup v1)."),
    click.option("-c", "--cpu-shares", type=int, default=0, metavar="N", help="Relative cpu weight (1024 is usual)."),
    _text("--cpus", metavar="N", help="Number of cpus, such as 1.5."),
    _text("--cpuset-cpus", metavar="LIST", help="Cpus to run on: 0-2,4."),
    _text("--cpuset-mems", metavar="LIST", help="Memory nodes to use."),
    _many("--device", metavar="DEV[:DEV[:rwm]]", help="Make a host device available."),
    _many("--device-cgroup-rule", metavar="RULE", help="Allow devices by number: 'c 189:* rmw'."),
    _many("--device-read-bps", metavar="DEV:SIZE", help="Bytes per second read from a device."),
    _many("--device-read-iops", metavar="DEV:N", help="Reads per second from a device."),
    _many("--device-write-bps", metavar="DEV:SIZE", help="Bytes per second written to a device."),
    _many("--device-write-iops", metavar="DEV:N", help="Writes per second to a device."),
    _many("--dns", metavar="IP", help="Name server."),
    _many("--dns-option", metavar="OPTION", help="Option for resolv.conf."),
    _many("--dns-search", metavar="DOMAIN", help="Search domain."),
    _text("--domainname", metavar="NAME", help="Domain name."),
    click.option("--entrypoint", default=None, metavar="COMMAND", help="Instead of the image's entrypoint."),
    _many("-e", "--env", metavar="NAME[=VALUE]", help="Environment variable; without a value, the caller's."),
    _many("--env-file", metavar="FILE", help="Environment variables from a file."),
    _many("--expose", metavar="PORT", help="Port that -P publishes."),
    _many("--group-add", metavar="GROUP", help="Supplementary group."),
    _text("--health-cmd", metavar="COMMAND", help="Check by this command; a JSON list of words needs no shell."),
    _text("--health-interval", metavar="TIME", help="Time between checks [default: 30s]."),
    _text("--health-on-failure", metavar="WHAT", help="none, kill, restart or stop the container that is unhealthy."),
    _text("--health-retries", metavar="N", help="Failures in a row that make it unhealthy [default: 3]."),
    _text("--health-start-interval", metavar="TIME", help="Time between checks in the start period [default: 5s]."),
    _text("--health-start-period", metavar="TIME", help="Time after the start in which failures do not count."),
    _text("--health-timeout", metavar="TIME", help="Time that a check may take [default: 30s]."),
    _text("-h", "--hostname", metavar="NAME", help="Host name [default: the short ID]."),
    _flag("--init", help="Run a small init that reaps processes and passes signals on."),
    _flag("-i", "--interactive", help="Keep stdin open."),
    _text("--ipc", metavar="MODE", help="private, shareable, host or container:NAME."),
    _many("-l", "--label", metavar="NAME[=VALUE]", help="Label."),
    _many("--label-file", metavar="FILE", help="Labels from a file."),
    _text("--log-driver", metavar="NAME", help="local, journald or none."),
    _many(
        "--log-opt",
        metavar="NAME=VALUE",
        help="max-size=20m, max-file=5; for journald tag=, labels=, env=.",
    ),
    _text("--mac-address", metavar="MAC", help="MAC address."),
    _text("-m", "--memory", metavar="SIZE", help="Memory limit: 512m, 2g."),
    _text("--memory-reservation", metavar="SIZE", help="Memory soft limit."),
    _text("--memory-swap", metavar="SIZE", help="Memory and swap together; -1: unlimited swap."),
    _many("--mount", metavar="KEY=VALUE,...", help="A mount: type=bind|volume|tmpfs|image, source=, target= and more."),
    click.option(
        "--memory-swappiness", type=int, default=-1, metavar="N", help="0 to 100: how readily to swap (cgroup v1)."
    ),
    _text("--name", metavar="NAME", help="Name [default: a made-up one]."),
    _text("--ip", metavar="IP", help="IPv4 address on the network."),
    _text("--ip6", metavar="IP", help="IPv6 address on the network."),
    _many("--network", "--net", metavar="NET", help="A network's name, bridge, none, host or container:NAME."),
    _many("--network-alias", "--net-alias", metavar="NAME", help="A further name on the network."),
    _flag("--no-healthcheck", help="Without the image's health check."),
    _flag("--oom-kill-disable", help="Let processes wait for memory instead of killing one (cgroup v1)."),
    _number("--oom-score-adj", metavar="N", help="-1000 to 1000: whom the kernel kills first without memory."),
    _text("--pid", metavar="MODE", help="host or container:NAME."),
    click.option("--pids-limit", type=int, default=0, metavar="N", help="Number of processes; -1: unlimited."),
    _text("--platform", metavar="OS/ARCH", help="Platform to pull."),
    _flag("--privileged", help="All capabilities and devices, no seccomp, root is the host's root."),
    _many("-p", "--publish", metavar="[IP:][PORT:]PORT", help="Publish a port on the host."),
    _flag("-P", "--publish-all", help="Publish all exposed ports on free ones of the host."),
    click.option("--pull", default="missing", metavar="WHEN", help="always, missing or never."),
    _flag("-q", "--quiet", help="Do not show the progress of a pull."),
    _flag("--read-only", help="Mount the root file system read-only."),
    _text("--restart", metavar="POLICY", help="no, on-failure[:N], always or unless-stopped."),
    _flag("--rm", help="Remove the container when it ends."),
    _many("--security-opt", metavar="OPT", help="no-new-privileges, seccomp=, apparmor=, systempaths=unconfined."),
    _text("--shm-size", metavar="SIZE", help="Size of /dev/shm [default: 64m]."),
    _text("--stop-signal", metavar="SIGNAL", help="Signal that asks the container to end."),
    click.option("--stop-timeout", type=int, default=10, metavar="SECONDS", help="Time it gets before it is killed."),
    _many("--sysctl", metavar="NAME=VALUE", help="Kernel parameter of the container's namespaces."),
    _flag("--system", help="Boot a full init system, such as systemd."),
    _many("--tmpfs", metavar="DIR[:OPTIONS]", help="Mount a tmpfs."),
    _flag("-t", "--tty", help="Give the container a terminal."),
    _many("--ulimit", metavar="NAME=SOFT[:HARD]", help="Resource limit of processes."),
    _text("-u", "--user", metavar="USER[:GROUP]", help="Whom to run as."),
    _text("--userns", metavar="MODE", help="private or host [default: private where the kernel can]."),
    _text("--uts", metavar="MODE", help="host: the host's name."),
    _many("-v", "--volume", metavar="[SOURCE:]DIR[:ro]", help="Bind a host directory or a named volume."),
    _many("--volumes-from", metavar="CONTAINER[:ro]", help="The volumes and bound directories of another container."),
    _text("-w", "--workdir", metavar="DIR", help="Working directory."),
    refused("--disable-content-trust", reason="images are checked by digest, not by signature", value=False),
    refused("--gpus", reason="pass the devices with --device"),
    refused("--isolation", reason="it is for Windows"),
    refused("--kernel-memory", reason="kernels do not have it any more"),
    refused("--link", "--link-local-ip", reason="use the containers' addresses or --add-host"),
    refused("--runtime", reason="the only runtime is liblxc"),
    refused("--storage-opt", reason="containers share the state's file system, on which lxcwrap sets no quotas"),
    refused("--use-api-socket", reason="there is no daemon and no socket", value=False),
    refused("--volume-driver", reason="the only driver is local"),
)


def asked(options: dict[str, Any], image: str, command: tuple[str, ...], *, detached: bool) -> ContainerConfig:
    """The user's wishes; empty where nothing was said.  Raises UsageError."""
    interactive = options["interactive"]
    config = ContainerConfig(
        image=image,
        entrypoint=(options["entrypoint"],) if options["entrypoint"] else (),
        command=command,
        env=environment(options["env"], options["env_file"]),
        working_dir=options["workdir"],
        user=options["user"],
        groups=options["group_add"],
        hostname=options["hostname"],
        domainname=options["domainname"],
        labels=_labels(options),
        exposed=tuple(port for text in options["expose"] for port in run_flags.exposed(text)),
        stop_signal=_signal(options["stop_signal"]),
        stop_timeout=options["stop_timeout"],
        tty=options["tty"],
        interactive=interactive,
        attach=_streams(options["attach"]),
        init=options["init"],
        system=options["system"],
        auto_remove=options["rm"],
        detached=detached,
        cidfile=options["cidfile"],
        mounts=mounts(options),
        health=run_flags.health(options),
        health_on_failure=run_flags.on_failure(options["health_on_failure"]),
        resources=resources(options),
        security=_security(options),
        network=_network(options),
        namespaces=_namespaces(options),
        restart=run_flags.restart(options["restart"]),
        log=_log(options),
    )
    _exclude(config)
    return config


def reads_stdin(config: ContainerConfig) -> bool:
    """Whether the caller's stdin goes to the container."""
    return config.interactive and (not config.attach or "stdin" in config.attach)


def _exclude(config: ContainerConfig) -> None:
    if config.auto_remove and config.restart.kind is not RestartKind.NO:
        raise UsageError("--rm and --restart exclude each other")
    targets = [mount.target for mount in config.mounts]
    for target in targets:
        if targets.count(target) > 1:
            raise UsageError(f"duplicate mount point: {target}")
    if config.init and config.system:
        raise UsageError("--init and --system exclude each other")
    if config.namespaces.uts and config.hostname:
        raise UsageError("--hostname and --uts host exclude each other")
    if config.network.mode.startswith("container:"):
        if config.network.ports or config.network.publish_all:
            raise UsageError(
                "a container that shares another's network cannot publish ports", hint="publish on the other"
            )
        if config.hostname:
            raise UsageError("a container that shares another's network has the other's host name, too")


def mounts(options: dict[str, Any]) -> tuple[Mount, ...]:
    """What ``-v``, ``--tmpfs`` and ``--mount`` ask for.  Raises UsageError."""
    found = [run_flags.volume(_expanded(text)) for text in options["volume"]]
    found += map(run_flags.tmpfs, options["tmpfs"])
    if options["mount"]:
        from lxcwrap.model.mount_flag import mount

        found += map(mount, options["mount"])
    return tuple(found)


def _signal(text: str) -> str:
    if text:
        from lxcwrap.actions.stop import signal_number

        try:
            signal_number(text)
        except UsageError as error:
            raise UsageError(f"--stop-signal: {error.message}") from None
    return text


def _streams(names: tuple[str, ...]) -> tuple[str, ...]:
    lowered = tuple(name.lower() for name in names)
    for name in lowered:
        if name not in ("stdin", "stdout", "stderr"):
            raise UsageError(f"--attach {name!r:.40}: choose stdin, stdout or stderr")
    return lowered


def _expanded(text: str) -> str:
    """A relative host path is relative to where the user is."""
    source, separator, rest = text.partition(":")
    if separator and (source.startswith(("./", "../")) or source in (".", "..")):
        source = os.path.abspath(source)
    return source + separator + rest


def environment(given: tuple[str, ...], paths: tuple[str, ...]) -> tuple[str, ...]:
    """``-e`` and ``--env-file`` together; ``NAME`` alone takes the caller's value."""
    from lxcwrap.actions.create import merge_environment

    surroundings = dict(os.environ)
    items: list[str] = []
    for path in paths:
        items += run_flags.environment_file(_read(path, "--env-file"), path, surroundings)
    for text in given:
        items += run_flags.environment(text, surroundings)
    return merge_environment((), tuple(items))


def _labels(options: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    lines = [line.lstrip() for path in options["label_file"] for line in run_flags.lines(_read(path, "--label-file"))]
    lines = [line for line in lines if line and not line.startswith("#")]
    return tuple(dict(run_flags.label(text) for text in (*lines, *options["label"])).items())


def _read(path: str, flag: str) -> str:
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read()
    except OSError as error:
        raise UsageError(f"{flag} {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{flag} {path}: not UTF-8 text") from None


def resources(options: dict[str, Any]) -> Resources:
    """The limits among the options.  Raises UsageError."""
    _check_processors(options)
    found = Resources(
        memory=run_flags.size(options["memory"] or "0", "--memory", 6 * 1024 * 1024),
        memory_swap=run_flags.size(options["memory_swap"] or "0", "--memory-swap"),
        memory_reservation=run_flags.size(options["memory_reservation"] or "0", "--memory-reservation"),
        nano_cpus=run_flags.nano_cpus(options["cpus"] or "0"),
        cpu_shares=options["cpu_shares"],
        cpu_period=options["cpu_period"],
        cpu_quota=options["cpu_quota"],
        cpuset_cpus=options["cpuset_cpus"],
        cpuset_mems=options["cpuset_mems"],
        pids_limit=options["pids_limit"],
        ulimits=tuple(map(run_flags.ulimit, options["ulimit"])),
        **_rare_limits(options),
    )
    if options["shm_size"]:
        size = run_flags.size(options["shm_size"], "--shm-size")
        if size <= 0:
            raise UsageError(f"--shm-size {options['shm_size']}: it must be greater than 0")
        found = replace(found, shm_size=size)
    return found


def _rare_limits(options: dict[str, Any]) -> dict[str, Any]:
    plain = ("blkio_weight", "cpu_rt_period", "cpu_rt_runtime", "memory_swappiness", "oom_kill_disable",
             "oom_score_adj", "cgroup_parent")  # fmt: skip
    found: dict[str, Any] = {name: options[name] for name in plain}
    for name in ("blkio_weight_device", "device_read_iops", "device_write_iops"):
        found[name] = tuple(run_flags.device_limit(text, _flag_of(name)) for text in options[name])
    for name in ("device_read_bps", "device_write_bps"):
        found[name] = tuple(run_flags.device_limit(text, _flag_of(name), sized=True) for text in options[name])
    return found


def _flag_of(name: str) -> str:
    return "--" + name.replace("_", "-")


def _check_processors(options: dict[str, Any]) -> None:
    """Processors that this host does not have are refused before anything is made."""
    count = os.cpu_count() or 1
    if run_flags.nano_cpus(options["cpus"] or "0") > count * 10**9:
        raise UsageError(f"--cpus {options['cpus']}: this host has {count} processors")
    for name in ("cpu_shares", "cpu_period", "cpu_quota"):
        run_flags.cpu_number(options[name], f"--{name.replace('_', '-')}")
    run_flags.known_numbers(options["cpuset_cpus"], "--cpuset-cpus", _online("cpu"))
    run_flags.known_numbers(options["cpuset_mems"], "--cpuset-mems", _online("node"))


def _online(kind: str) -> str:
    try:
        with open(f"/sys/devices/system/{kind}/online", encoding="ascii") as stream:
            return stream.read().strip()
    except OSError:  # a kernel without memory nodes has one of them
        return "0"


def _security(options: dict[str, Any]) -> Security:
    from lxcwrap.runtime import policy

    policy.Options(options["security_opt"])  # what is not known is refused here
    if options["userns"] not in ("", "private", "host"):
        raise UsageError(f"--userns {options['userns']!r:.40}: choose private or host")
    return Security(
        privileged=options["privileged"],
        cap_add=tuple(map(policy.capability_name, options["cap_add"])),
        cap_drop=tuple(map(policy.capability_name, options["cap_drop"])),
        security_opt=options["security_opt"],
        user_namespace=UserNamespace(options["userns"]),
        devices=tuple(map(run_flags.device, options["device"])),
        device_rules=tuple(map(run_flags.device_rule, options["device_cgroup_rule"])),
        sysctls=tuple(run_flags.pair(text, "sysctl") for text in options["sysctl"]),
        read_only=options["read_only"],
    )


def _namespaces(options: dict[str, Any]) -> Namespaces:
    return Namespaces(
        ipc=run_flags.namespace(options["ipc"], "--ipc", ("private", "shareable", "host"), joins=True),
        pid=run_flags.namespace(options["pid"], "--pid", ("host",), joins=True),
        uts=run_flags.namespace(options["uts"], "--uts", ("host",)),
        cgroup=run_flags.namespace(options["cgroupns"], "--cgroupns", ("private", "host")),
    )


def _network(options: dict[str, Any]) -> NetworkConfig:
    first, more = run_flags.networks(
        options["network"], options["ip"], options["mac_address"], options["network_alias"], options["ip6"]
    )
    return NetworkConfig(
        mode=first.name,
        ports=tuple(port for text in options["publish"] for port in run_flags.ports(text)),
        publish_all=options["publish_all"],
        dns=tuple(run_flags.ip(text, "--dns") for text in options["dns"]),
        dns_search=tuple(run_flags.resolver_word(text, "--dns-search") for text in options["dns_search"]),
        dns_options=tuple(run_flags.resolver_word(text, "--dns-option") for text in options["dns_option"]),
        extra_hosts=tuple(map(run_flags.extra_host, options["add_host"])),
        mac_address=first.mac,
        ip=first.ip,
        aliases=first.aliases,
        more=more,
        ip6=first.ip6,
    )


def _log(options: dict[str, Any]) -> LogConfig:
    if not options["log_driver"] and not options["log_opt"]:
        return LogConfig()
    from lxcwrap.model.log_flags import log_config

    return log_config(options["log_driver"], options["log_opt"])
