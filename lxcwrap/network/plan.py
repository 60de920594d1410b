"""What a container gets of the network when it starts: liblxc items, hosts and resolv.conf."""

from __future__ import annotations

from lxcwrap.errors import Conflict, UsageError
from lxcwrap.kernel import veth
from lxcwrap.model.container import NetworkConfig
from lxcwrap.model.names import check_text
from lxcwrap.model.network import NetworkDefinition, NetworkPlan, NetworkSettings, check_address
from lxcwrap.network import addresses, default, resolv, settings
from lxcwrap.store.containers import Container
from lxcwrap.store.database import Store

LOCAL = """\
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
ff00::0\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
"""
EMPTY = (("lxc.net.0.type", "empty"), ("lxc.net.0.flags", "up"))  # nothing but the loopback device, which works
_HOST = (("lxc.net.0.type", "none"),)  # the host's namespace


def plan(store: Store, container: Container) -> NetworkPlan:
    """Leases an address where the mode has one.  Raises NotFound for a network that does not exist, or Conflict."""
    config = container.config.network
    if config.mode == "none":
        return NetworkPlan(EMPTY, hosts=LOCAL + extra_lines(config, ""), resolv_conf=_resolv(store, config))
    if config.mode == "host":
        return NetworkPlan(
            _HOST, hosts=_host_file() + extra_lines(config, "127.0.0.1"), resolv_conf=_resolv(store, config)
        )
    if config.mode.startswith("container:"):
        return _joined(store, config.mode.partition(":")[2])
    if config.mode not in ("bridge", "default") or config.more:
        from lxcwrap.network import several

        return several.plan(store, container)
    definition = default.ensure(store)
    address, mac = addresses.lease(store, definition, container.id, config.mac_address)
    name = pair_name(container.id)
    veth.drop(name)
    items = veth_items(definition, name, address, mac)
    if config.ports or config.publish_all:
        items += (hairpin_item(name),)
    return NetworkPlan(
        config_items=items,
        address=address,
        gateway=definition.gateway,
        mac=mac,
        hosts=LOCAL + own_line(container, address) + extra_lines(config, definition.gateway),
        resolv_conf=_resolv(store, config),
    )


def pair_name(container_id: str) -> str:
    """The host's end of a container's pair: says whose it is (15 characters at most)."""
    return f"lxv{container_id[:12]}"


def veth_items(definition: NetworkDefinition, name: str, address: str, mac: str) -> tuple[tuple[str, str], ...]:
    """liblxc's items for a pair whose host end is ``name`` on the bridge."""
    return (
        ("lxc.net.0.type", "veth"),
        ("lxc.net.0.veth.pair", name),
        ("lxc.net.0.link", definition.bridge),
        ("lxc.net.0.name", "eth0"),
        ("lxc.net.0.flags", "up"),
        ("lxc.net.0.mtu", str(definition.mtu)),
        ("lxc.net.0.hwaddr", mac),
        ("lxc.net.0.ipv4.address", f"{address}/{definition.prefix}"),
        ("lxc.net.0.ipv4.gateway", definition.gateway),
    )


def hairpin_item(name: str) -> tuple[str, str]:
    """What lets a container reach its own published ports by the host's address.

    With br_netfilter loaded (Docker loads it) the bridge itself applies the DNAT, and sends nothing back to the port
    that it came from unless told to.  Source: lxc.container.conf(5), bridge(8).
    """
    return ("lxc.net.0.script.up", f"/bin/sh -c 'echo 1 >{hairpin_file(name)} || :'")


def hairpin_file(name: str) -> str:
    return f"/sys/class/net/{name}/brport/hairpin_mode"


def _joined(store: Store, target: str) -> NetworkPlan:
    """Another container's namespace, with that container's files."""
    place = store.paths.container(target)
    try:
        with open(f"{place}/hosts") as hosts, open(f"{place}/resolv.conf") as resolv_conf:
            return NetworkPlan((), hosts=hosts.read(), resolv_conf=resolv_conf.read(), join=target)
    except FileNotFoundError:
        raise Conflict(f"container {target[:12]}, whose network is to be joined, is not running") from None


def own_line(container: Container, address: str) -> str:
    """The container's own name, for its /etc/hosts."""
    name = container.config.hostname or container.id[:12]
    domain = container.config.domainname
    return f"{address}\t{name}.{domain} {name}\n" if domain else f"{address}\t{name}\n"


def _host_file() -> str:
    try:
        with open("/etc/hosts", encoding="utf-8", errors="replace") as stream:
            return stream.read().rstrip("\n") + "\n"
    except OSError:
        return LOCAL


def extra_lines(config: NetworkConfig, gateway: str) -> str:
    """The --add-host lines.  Raises UsageError for host-gateway where there is none."""
    lines = []
    for item in config.extra_hosts:
        name, address = split_host(item)
        if address == "host-gateway":
            if not gateway:
                raise UsageError(f"--add-host {item}: there is no host-gateway without a network")
            address = gateway
        lines.append(f"{address}\t{name}\n")
    return "".join(lines)


def split_host(item: str) -> tuple[str, str]:
    """``name:address`` or ``name=address``; the address may be ``host-gateway``.  Raises UsageError."""
    check_text(item, "--add-host")
    at = min((item.find(mark) for mark in ":=" if mark in item), default=-1)
    name, address = item[:at], item[at + 1 :].strip("[]")
    if at < 1 or not address or " " in name:
        raise UsageError(f"--add-host {item!r:.100} is not name:address")
    return name, address if address == "host-gateway" else check_address(address, f"--add-host {name}")


def _resolv(store: Store, config: NetworkConfig) -> str:
    return resolv_conf(settings.read(store), config)


def resolv_conf(configured: NetworkSettings, config: NetworkConfig | None = None) -> str:
    """By the container's own settings, then network.yaml's, then the host's."""
    config = config or NetworkConfig()
    if config.mode == "host" and not (config.dns or config.dns_search or config.dns_options):
        return resolv.raw_text()
    return resolv.contents(
        resolv.host_text(),
        config.dns or configured.dns,
        config.dns_search or configured.dns_search,
        config.dns_options or configured.dns_options,
    )
