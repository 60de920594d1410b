"""``inspect`` of a container: Docker's document from the row, the runtime's state and the leases.

Source: Docker Engine API v1.48, ContainerInspectResponse.  Limits and flags are in inspect_host.
"""

from __future__ import annotations

import ipaddress
import json
from sqlite3 import Row
from typing import Any

from lxcwrap.actions import inspect_host
from lxcwrap.model.container import Attachment, Mount, MountKind
from lxcwrap.model.godata import NIL, GoMap, NilMap, NilSlice, map_, slice_, struct
from lxcwrap.model.health import HealthCheck
from lxcwrap.model.network import NetworkDefinition, endpoint_id
from lxcwrap.model.phrases import rfc3339
from lxcwrap.runtime import logfile
from lxcwrap.runtime import state as states
from lxcwrap.runtime.state import State
from lxcwrap.store import containers, layers
from lxcwrap.store.containers import Container
from lxcwrap.store.database import Store

NO_ADDRESS = {
    "EndpointID": "",
    "Gateway": "",
    "GlobalIPv6Address": "",
    "GlobalIPv6PrefixLen": 0,
    "IPAddress": "",
    "IPPrefixLen": 0,
    "IPv6Gateway": "",
    "MacAddress": "",
}


def document(store: Store, text: str, *, size: bool = False) -> dict[str, Any]:
    """The document of the container named by ``text``.  Raises NotFound or Conflict."""
    container = containers.resolve(store, text)
    config = container.config
    state = states.read(store.paths, container.id)
    place = store.paths.container(container.id)
    argv = config.argv or ("",)
    return {
        "Id": container.id,
        "Created": rfc3339(container.created),
        "Path": argv[0],
        "Args": list(argv[1:]),
        "State": _state(state, place),
        "Image": container.image_id or "",
        "ResolvConfPath": f"{place}/resolv.conf",
        "HostnamePath": f"{place}/hostname",
        "HostsPath": f"{place}/hosts",
        "LogPath": f"{place}/{logfile.NAME}" if config.log.driver == "local" else "",
        "Name": f"/{container.name}",
        "RestartCount": state.restart_count,
        "Driver": container.driver,
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": inspect_host.apparmor(config),
        "ExecIDs": NilSlice(),
        "HostConfig": inspect_host.host_config(config, container.id_base),
        "GraphDriver": graph_driver(store, container.driver, container.chain_id, place),
        **(_sizes(store, container) if size else {}),
        "Mounts": [_mount(store, mount) for mount in config.mounts if mount.kind is not MountKind.TMPFS],
        "Config": _config(container),
        "NetworkSettings": _network(store, container, running=state.status in ("running", "paused")),
    }


def _state(state: State, place: str) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "Status": state.status,
        "Running": state.status in ("running", "paused", "restarting"),
        "Paused": state.status == "paused",
        "Restarting": state.status == "restarting",
        "OOMKilled": state.oom_killed,
        "Dead": state.status == "dead",
        "Pid": state.pid or 0,
        "ExitCode": state.exit_code or 0,
        "Error": state.error,
        "StartedAt": rfc3339(state.started_at),
        "FinishedAt": rfc3339(state.finished_at),
    }
    plain["Health"] = {"Status": state.health, **states.health_results(place)} if state.health else None
    return struct(plain, "Health")


def _sizes(store: Store, container: Container) -> dict[str, int]:
    from lxcwrap.actions import sizes
    from lxcwrap.store import overview

    known = next(each for each in overview.containers(store) if each.id == container.id)
    written = sizes.writable(store, known)
    return {"SizeRw": written, "SizeRootFs": written + sizes.image(store, known)}


def graph_driver(store: Store, driver: str, chain_id: str | None, place: str = "") -> dict[str, Any]:
    """Where the files are: of an image, or with ``place`` of a container."""
    lowers = [f"{store.paths.layer(layer.chain_id)}/diff" for layer in reversed(layers.stack(store, chain_id))]
    found = GoMap()
    if place and lowers:
        found["LowerDir"] = ":".join(lowers)
    elif lowers:
        found |= {"UpperDir": lowers[0]} | ({"LowerDir": ":".join(lowers[1:])} if lowers[1:] else {})
    if place:
        found |= {"MergedDir": f"{place}/rootfs", "UpperDir": f"{place}/upper", "WorkDir": f"{place}/work"}
    return {"Data": GoMap(found), "Name": driver}


def _mount(store: Store, mount: Mount) -> dict[str, Any]:
    plain: dict[str, Any] = {"Type": mount.kind.value}
    if mount.kind is MountKind.VOLUME:
        plain |= {"Name": mount.source, "Source": store.paths.volume(mount.source)}
    elif mount.kind is MountKind.IMAGE:
        plain |= {"Name": mount.image, "Source": mount.source}
    else:
        plain["Source"] = mount.source
    plain["Destination"] = mount.target
    if mount.kind is MountKind.VOLUME:
        plain["Driver"] = "local"
    modes = [*mount.options, *(["ro"] if mount.read_only else [])]
    propagation = next((word for word in mount.options if word.endswith(("shared", "slave", "private"))), "")
    default = "rprivate" if mount.kind is MountKind.BIND else ""
    return plain | {"Mode": ",".join(modes), "RW": not mount.read_only, "Propagation": propagation or default}


def _config(container: Container) -> dict[str, Any]:
    config = container.config
    volumes: dict[str, dict[str, Any]] = {
        mount.target: {} for mount in config.mounts if mount.kind is MountKind.VOLUME and mount.anonymous
    }
    plain: dict[str, Any] = {
        "Hostname": config.hostname or container.id[:12],
        "Domainname": config.domainname,
        "User": config.user,
        "AttachStdin": "stdin" in config.attach or (config.interactive and not config.detached),
        "AttachStdout": not config.detached,
        "AttachStderr": not config.detached,
        "Tty": config.tty,
        "OpenStdin": config.interactive,
        "StdinOnce": config.interactive and not config.detached,
        "Env": list(config.env),
        "Cmd": slice_(config.command),
        "Image": config.image,
        "Volumes": map_(volumes),
        "WorkingDir": config.working_dir if config.working_dir != "/" else "",
        "Entrypoint": slice_(config.entrypoint),
        "OnBuild": NilSlice(),
        "Labels": GoMap(config.labels),
        "StopSignal": config.stop_signal,
        "StopTimeout": config.stop_timeout,
    }
    ports = {*config.exposed, *(f"{port.container_port}/{port.protocol}" for port in config.network.ports)}
    plain["ExposedPorts"] = GoMap((port, {}) for port in sorted(ports))
    plain["Healthcheck"] = _health(config.health) if config.health.test else None
    return struct(plain, "ExposedPorts", "Healthcheck")


def _health(check: HealthCheck) -> dict[str, Any]:
    plain: dict[str, Any] = {"Test": list(check.test)}
    for key, value in (
        ("Interval", check.interval),
        ("Timeout", check.timeout),
        ("StartPeriod", check.start_period),
        ("StartInterval", check.start_interval),
        ("Retries", check.retries),
    ):
        if value:
            plain[key] = value
    return plain


def _network(store: Store, container: Container, *, running: bool) -> dict[str, Any]:
    mode = container.config.network.mode
    networks = GoMap(_endpoints(store, container, running)) if not mode.startswith("container:") else GoMap()
    if mode in ("host", "none") and not container.config.network.left:
        networks = GoMap({mode: _endpoint({})})
    first = networks.get("bridge") or _endpoint({})
    plain = {
        "Bridge": "",
        "SandboxID": container.id if running else "",
        "SandboxKey": f"/proc/{states.read(store.paths, container.id).pid}/ns/net" if running else "",
        "Ports": _ports(store, container) if running else GoMap(),
    }
    return plain | {key: first[key] for key in NO_ADDRESS} | {"Networks": networks}


def _ports(store: Store, container: Container) -> GoMap:
    """``80/tcp`` to where it is published; null where it is only exposed."""
    ports = GoMap((port if "/" in port else f"{port}/tcp", NilSlice()) for port in container.config.exposed)
    rows = store.db.execute(
        "SELECT * FROM published_ports WHERE container_id = ? ORDER BY container_port, host_port, host_ip",
        (container.id,),
    )
    for row in rows:
        name = f"{row['container_port']}/{row['protocol']}"
        bound = {"HostIp": row["host_ip"] or "0.0.0.0", "HostPort": str(row["host_port"])}
        ports[name] = [*(ports.get(name) or ()), bound]
    return ports


def _endpoints(store: Store, container: Container, running: bool) -> dict[str, dict[str, Any]]:
    """Each network that it is on: what was asked for, and while it runs the addresses."""
    rows = store.db.execute(
        """
        SELECT n.id, n.name, n.config, l.address, l.mac, l6.address AS address6 FROM networks n
        LEFT JOIN leases l ON l.network_id = n.id AND l.container_id = :container
        LEFT JOIN leases6 l6 ON l6.network_id = n.id AND l6.container_id = :container
        """,
        {"container": container.id},
    ).fetchall()
    known = {row["name"]: row for row in rows}
    found = {}
    for attachment in container.config.network.attachments:
        row = known.get(attachment.name)
        wanted = _wanted(container, attachment) | ({"NetworkID": row["id"]} if row else {})
        found[attachment.name] = _endpoint(wanted | (_addresses(container, row) if row and running else {}))
    return dict(sorted(found.items()))


def _wanted(container: Container, attachment: Attachment) -> dict[str, Any]:
    """What the user asked for on the network, and its names there."""
    asked = {"IPv4Address": attachment.ip, "IPv6Address": attachment.ip6}
    names = (container.name, *attachment.aliases, container.id[:12], container.config.hostname)
    return {
        "IPAMConfig": struct({key: value for key, value in asked.items() if value}) or NIL,
        "Aliases": slice_(attachment.aliases),
        "DNSNames": slice_(dict.fromkeys(filter(None, names)) if attachment.name != "bridge" else ()),
    }


def _addresses(container: Container, row: Row) -> dict[str, Any]:
    """While it runs."""
    if row["address"] is None:
        return {}
    definition = NetworkDefinition.from_json(json.loads(row["config"]))
    return {
        "EndpointID": endpoint_id(container.id, row["id"]),
        "MacAddress": row["mac"] if definition.driver != "ipvlan" else "",
        "Gateway": definition.gateway,
        "IPAddress": str(ipaddress.IPv4Address(row["address"])),
        "IPPrefixLen": definition.prefix,
        **(
            {"GlobalIPv6Address": row["address6"], "GlobalIPv6PrefixLen": definition.prefix6} if row["address6"] else {}
        ),
        **({"IPv6Gateway": definition.gateway6} if row["address6"] else {}),
    }


def _endpoint(known: dict[str, Any]) -> dict[str, Any]:
    empty: dict[str, Any] = {
        "IPAMConfig": NIL,
        "Links": NilSlice(),
        "Aliases": NilSlice(),
        "DriverOpts": NilMap(),
        "NetworkID": "",
        "DNSNames": NilSlice(),
    }
    return {**empty, **NO_ADDRESS, **known}
