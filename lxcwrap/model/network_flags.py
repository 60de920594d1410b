"""What ``network create`` asks for, as Docker's users write it, made one definition.  Pure.

Each function raises UsageError for what does not parse or does not fit together, Unsupported for an unknown option.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

from lxcwrap.errors import Unsupported, UsageError
from lxcwrap.model.names import check_name, check_text
from lxcwrap.model.network import OWN_SUBNET6, NetworkDefinition, check_subnet

DRIVERS = ("bridge", "macvlan", "ipvlan")
MODES = {"macvlan": ("bridge", "private", "vepa", "passthru"), "ipvlan": ("l2", "l3", "l3s")}
_BRIDGE = "com.docker.network.bridge."
_MTU = ("com.docker.network.driver.mtu", "mtu")
_LEAST_MTU6 = 1280
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

Pairs = tuple[tuple[str, str], ...]


def definition(
    name: str,
    driver: str = "bridge",
    *,
    subnets: tuple[str, ...] = (),
    gateways: tuple[str, ...] = (),
    ranges: tuple[str, ...] = (),
    reserved: Pairs = (),
    internal: bool = False,
    ipv6: bool = False,
    labels: Pairs = (),
    options: Pairs = (),
) -> NetworkDefinition:
    """With '' and 0 for what is chosen when the network is made."""
    if driver not in DRIVERS:
        raise Unsupported(f"network driver {driver!r:.40} is not supported", hint=f"known: {', '.join(DRIVERS)}")
    for key, value in (*labels, *options):
        check_text(f"{key}={value}", "label or option", newlines=True)
    subnet, subnet6 = _by_family(subnets, "--subnet")
    gateway, gateway6 = _by_family(gateways, "--gateway")
    ip_range, ip_range6 = _by_family(ranges, "--ip-range")
    if subnet6 and not ipv6:
        raise UsageError(f"--subnet {subnet6} is IPv6: it goes with --ipv6", exit_code=1)
    found = NetworkDefinition(
        id="", name=name, bridge=dict(options).get(f"{_BRIDGE}name", ""), mtu=_mtu(options), labels=labels,
        subnet=subnet, gateway=gateway, ip_range=ip_range, reserved=reserved, internal=internal, driver=driver,
        subnet6=subnet6 or (OWN_SUBNET6 if ipv6 else ""), gateway6=gateway6, ip_range6=ip_range6,
        routed=_is_routed(options, "4"), routed6=_is_routed(options, "6"), parent=dict(options).get("parent", ""),
        mode=dict(options).get(f"{driver}_mode", MODES.get(driver, ("",))[0]), options=options,
    )  # fmt: skip
    _check_options(found)
    _check_family(found.subnet, gateway, ip_range, [item for item in reserved if ":" not in item[1]])
    _check_family(subnet6, gateway6, ip_range6, [item for item in reserved if ":" in item[1]])
    if found.subnet:
        check_subnet(found.subnet, "--subnet")
    return found


def _by_family(texts: tuple[str, ...], flag: str) -> tuple[str, str]:
    """The IPv4 and the IPv6 one of a flag that may be given once for each."""
    found = ["", ""]
    for text in texts:
        at = int(":" in text)
        if found[at]:
            family = ("IPv4", "IPv6")[at]
            raise UsageError(f"{flag} is given twice for {family}: a network has one subnet of each", exit_code=1)
        parsed = _network(text, flag) if flag != "--gateway" else _address(text, flag)
        found[at] = str(parsed)
    return found[0], found[1]


def _network(text: str, flag: str) -> _Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise UsageError(f"{flag}: subnet {text!r:.60}: {error}", exit_code=1) from None


def _address(text: str, flag: str) -> _Address:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        raise UsageError(f"{flag} {text!r:.60} is not an IP address", exit_code=1) from None


def _check_family(subnet: str, gateway: str, ip_range: str, reserved: list[tuple[str, str]]) -> None:
    """All of one family lie in its subnet."""
    if not subnet:
        for flag, given in (("--gateway", gateway), ("--ip-range", ip_range), ("--aux-address", reserved)):
            if given:
                shown = f" {given}" if isinstance(given, str) else f" {given[0][1]}"
                raise UsageError(f"{flag}{shown} needs a --subnet that it is in", exit_code=1)
        return
    whole = ipaddress.ip_network(subnet)
    if whole.version == 6 and not 16 <= whole.prefixlen <= 120:
        raise UsageError(f"--subnet {subnet} must be between a /16 and a /120", exit_code=1)
    if ip_range:
        part = ipaddress.ip_network(ip_range)
        if part.network_address not in whole or part.prefixlen < whole.prefixlen:
            raise UsageError(f"--ip-range {ip_range} is not inside {subnet}", exit_code=1)
    for flag, text in (("--gateway", gateway), *(("--aux-address", item[1]) for item in reserved)):
        if text and (_address(text, flag) not in whole or _address(text, flag) == whole.network_address):
            raise UsageError(f"{flag} {text} is not inside {subnet}", exit_code=1)


def _check_options(found: NetworkDefinition) -> None:
    known = _KNOWN if found.driver == "bridge" else {**_CHILD, f"{found.driver}_mode": _mode(found.driver)}
    for key, value in found.options:
        check = known.get(key)
        if not check:
            raise Unsupported(f"network option {key!r:.80} is not supported", hint=f"known: {', '.join(known)}")
        check(key, value)
    if found.driver != "bridge" and not found.parent:
        raise UsageError(
            f"a network of driver {found.driver} needs the host's interface that it is on",
            hint="-o parent=eth0",
            exit_code=1,
        )
    if found.subnet6 and 0 < found.mtu < _LEAST_MTU6:
        raise UsageError(f"IPv6 needs an MTU of {_LEAST_MTU6} at least, not {found.mtu}", exit_code=1)


def _mtu(options: Pairs) -> int:
    return next((int(value) for key, value in options if key in _MTU and value.isdecimal()), 0)


def _is_routed(options: Pairs, family: str) -> bool:
    """Whether containers go out with their own addresses, to which the network around has to know the way."""
    given = dict(options)
    mode = given.get(f"{_BRIDGE}gateway_mode_ipv{family}", "nat")
    return mode == "routed" or given.get(f"{_BRIDGE}enable_ip_masquerade", "true") == "false"


def _check_mtu(key: str, value: str) -> None:
    if not value.isdecimal() or not 576 <= int(value) <= 65535:
        raise UsageError(f"network option {key}={value!r:.40} is not between 576 and 65535", exit_code=1)


def _interface(key: str, value: str) -> None:
    if len(value) > 15 or not check_name(value, key):
        raise UsageError(f"network option {key}={value!r:.40}: names of interfaces have 15 characters", exit_code=1)


def _one_of(*allowed: str) -> Callable[[str, str], None]:
    def check(key: str, value: str) -> None:
        if value not in allowed:
            raise UsageError(f"network option {key}={value!r:.40}: choose {' or '.join(allowed)}", exit_code=1)

    return check


def _mode(driver: str) -> Callable[[str, str], None]:
    return _one_of(*MODES[driver])


_CHILD = {**dict.fromkeys(_MTU, _check_mtu), "parent": _interface}
_KNOWN = {
    f"{_BRIDGE}name": _interface,
    **dict.fromkeys(_MTU, _check_mtu),
    f"{_BRIDGE}gateway_mode_ipv4": _one_of("nat", "routed"),
    f"{_BRIDGE}gateway_mode_ipv6": _one_of("nat", "routed"),
    f"{_BRIDGE}enable_ip_masquerade": _one_of("true", "false"),
}
