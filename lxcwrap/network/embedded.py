"""A resolver of a container's own, in its network namespace, where the one of a network would not do.

That one knows the names of its own network alone, and asks whom the host asks.  A container on several networks, one
with ``--dns``, and one on a network whose gateway is another machine has its own dnsmasq on 127.0.0.11, as Docker's
is, that reads the names of all its networks.  runtime.inside starts it before the container's first process.
"""

from __future__ import annotations

from lxcwrap.model.container import NetworkConfig
from lxcwrap.model.network import NetworkDefinition
from lxcwrap.model.paths import Paths
from lxcwrap.network import default, names, resolv

ADDRESS = "127.0.0.11"


def is_needed(config: NetworkConfig, definitions: tuple[NetworkDefinition, ...]) -> bool:
    own = [one for one in definitions if one.name != default.NAME]
    return bool(own) and (len(own) > 1 or bool(config.dns) or any(one.driver != "bridge" for one in own))


def pid_file(paths: Paths, container_id: str) -> str:
    return f"{paths.run}/resolvers/{container_id}/pid"


def command(
    paths: Paths, container_id: str, definitions: tuple[NetworkDefinition, ...], servers: tuple[str, ...]
) -> list[str]:
    """Its arguments.  Raises Unsupported without dnsmasq."""
    hosts = [f"{names.place(paths, one.id)}/hosts" for one in definitions if one.name != default.NAME]
    return [
        names.program(), "--conf-file=/dev/null", f"--pid-file={pid_file(paths, container_id)}", "--no-hosts",
        *(f"--addn-hosts={place}" for place in hosts), "--bind-interfaces", f"--listen-address={ADDRESS}",
        "--domain-needed", "--user=nobody", "--no-resolv", "--strict-order",
        *(f"--server={server}" for server in servers),
    ]  # fmt: skip


def servers(
    config: NetworkConfig, configured: tuple[str, ...], definitions: tuple[NetworkDefinition, ...]
) -> tuple[str, ...]:
    """Who is asked for all other names, as seen from inside the container: first what the user named."""
    if config.dns:
        return config.dns
    ways_out = [one for one in definitions if not one.internal]
    if not ways_out:
        return ()
    by_host = [one.gateway for one in ways_out if one.name != default.NAME and one.driver == "bridge"]
    return tuple(by_host[:1]) or configured or resolv.servers(resolv.host_text()) or resolv.FALLBACK


def stop(paths: Paths, container_id: str) -> None:
    names.forget_resolver(pid_file(paths, container_id))
