"""The values of the flags of ``run`` and ``create``, as Docker's users write them.  Pure.

Each function raises UsageError for what does not parse.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from typing import Any

from lxcwrap.errors import UsageError
from lxcwrap.model.container import (
    Attachment,
    Device,
    DeviceLimit,
    Mount,
    MountKind,
    Port,
    RestartKind,
    RestartPolicy,
    Ulimit,
)
from lxcwrap.model.health import HealthCheck
from lxcwrap.model.names import check_hostname, check_name
from lxcwrap.model.units import parse_bytes, parse_duration

_HEALTH_TIMES = ("interval", "timeout", "start_period", "start_interval")
_PROTOCOLS = ("tcp", "udp", "sctp")
PROPAGATION = ("private", "rprivate", "slave", "rslave")
SHARED = ("shared", "rshared")
CONSISTENCY = ("consistent", "cached", "delegated", "default")
# Of each group one word.  z and Z ask for SELinux labels, which containers here have none of: nothing is to be done.
_VOLUME_WORDS = (("ro", "rw"), ("z", "Z"), ("nocopy",), CONSISTENCY[:3], ("rbind", "bind"), PROPAGATION)
_OF_BINDS = ("rbind", "bind", *PROPAGATION)
_RANGE = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?")
_CPU_RANGES = {
    "--cpu-shares": "2 to 262144",
    "--cpu-period": "1000 to 1000000 microseconds",
    "--cpu-quota": "1000 microseconds or more; -1: no limit",
}
_DEVICE_RULE = re.compile(r"([abc]) ([0-9]+|\*):([0-9]+|\*) ([rwm]{1,3})")
_ULIMIT = re.compile(r"([a-z]+)=(-?\d+|unlimited)(?::(-?\d+|unlimited))?")


def volume(text: str) -> Mount:
    """``[SOURCE:]TARGET[:OPTIONS]``: a host path, a volume's name, or nothing for an anonymous volume."""
    parts = text.split(":")
    if len(parts) > 3 or not all(parts):
        raise UsageError(f"invalid volume {text!r:.120}", hint="write HOST-DIR:/dir, NAME:/dir or /dir, then :ro")
    source = parts[0] if len(parts) > 1 else ""
    target = parts[1] if len(parts) > 1 else parts[0]
    words = parts[2].split(",") if len(parts) == 3 else []
    target = absolute(target, f"invalid volume {text!r:.120}: the target")
    is_bind = source.startswith(("/", "./", "../")) or source in (".", "..")
    _check_volume_words(text, words, is_bind)
    if source and not is_bind:
        check_name(source, "volume")
    if source.startswith("/"):
        source = posixpath.normpath(source)  # nothing is made on the way to a directory that '..' leaves again
    return Mount(
        kind=MountKind.BIND if is_bind else MountKind.VOLUME,
        target=target,
        source=source,
        read_only="ro" in words,
        options=tuple(word for word in words if word == "bind" or word in PROPAGATION),
        no_copy="nocopy" in words,
        create_source=is_bind,
        anonymous=not source,
    )


def _check_volume_words(text: str, words: list[str], is_bind: bool) -> None:
    for word in words:
        if word in SHARED:
            raise UsageError(
                f"invalid volume {text!r:.120}: {unshared(word)}", hint="rslave shows it the host's mounts"
            )
        if not any(word in group for group in _VOLUME_WORDS):
            raise UsageError(f"invalid volume {text!r:.120}: unknown option {word!r:.40}")
        if word in (("nocopy",) if is_bind else _OF_BINDS):
            kind = "a directory of the host" if is_bind else "a volume"
            raise UsageError(f"invalid volume {text!r:.120}: {word} does not go with {kind}")
    for group in _VOLUME_WORDS:
        if len(given := [word for word in words if word in group]) > 1:
            raise UsageError(f"invalid volume {text!r:.120}: {' and '.join(given)} exclude each other")


def unshared(word: str) -> str:
    """Why a mount cannot have the propagation ``shared`` or ``rshared``."""
    return f"{word} is not supported: what a container mounts never reaches the host"


def absolute(path: str, what: str) -> str:
    """A normalised absolute path in the container."""
    if not path.startswith("/"):
        raise UsageError(f"{what} {path!r:.120} is not an absolute path")
    kept: list[str] = []
    for part in path.split("/"):
        if part == "..":
            kept = kept[:-1]
        elif part not in ("", "."):
            kept.append(part)
    if not kept:
        raise UsageError(f"{what} cannot be '/'")
    return "/" + "/".join(kept)


def tmpfs(text: str) -> Mount:
    """``TARGET[:OPTIONS]``."""
    target, _, options = text.partition(":")
    known = ("size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "huge", "mpol")
    flags = ("rw", "ro", "exec", "noexec", "suid", "nosuid", "dev", "nodev")
    for option in filter(None, options.split(",")):
        if option.partition("=")[0] not in known and option not in flags:
            raise UsageError(f"invalid tmpfs option {option!r:.60}")
    return Mount(
        kind=MountKind.TMPFS,
        target=absolute(target, f"invalid tmpfs {text!r:.120}: the target"),
        options=tuple(filter(None, options.split(","))),
    )


def ports(text: str) -> list[Port]:
    """``[[IP:]HOST-PORT:]PORT[/PROTOCOL]``, each port also a range; of a range for one port the first free one."""
    rest, _, protocol = text.partition("/")
    protocol = protocol or "tcp"
    if protocol not in _PROTOCOLS:
        raise UsageError(f"invalid port {text!r:.80}: protocol {protocol!r:.20} is not tcp, udp or sctp")
    before, _, container = rest.rpartition(":")
    address, host = _address(before, text)
    inside = _range(container, text)
    outside = _range(host, text) if host not in ("", "0") else [0] * len(inside)
    if len(inside) == 1 and len(outside) > 1:
        return [Port(inside[0], protocol, address, outside[0], outside[-1])]
    if len(outside) != len(inside):
        raise UsageError(f"invalid port {text!r:.80}: the two ranges differ in length")
    return [Port(one, protocol, address, other) for one, other in zip(inside, outside, strict=True)]


def _address(before: str, text: str) -> tuple[str, str]:
    """(host address, host port range) of what stands before the container's port."""
    if before.startswith("["):
        address, _, host = before[1:].partition("]")
        host = host.removeprefix(":")
    elif ":" in before:
        address, _, host = before.rpartition(":")
    else:
        return "", before
    import ipaddress  # 4 ms that most commands can do without

    try:
        return str(ipaddress.ip_address(address)), host
    except ValueError:
        raise UsageError(f"invalid port {text!r:.80}: {address!r:.60} is not an IP address") from None


def _range(text: str, whole: str) -> list[int]:
    match = _RANGE.fullmatch(text)
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not 0 < first <= last <= 65535:
        raise UsageError(f"invalid port {whole!r:.80}", hint="write 8080:80, 127.0.0.1:8080:80/tcp or 80")
    return list(range(first, last + 1))


def exposed(text: str) -> list[str]:
    """``PORT[-PORT][/PROTOCOL]`` as ``port/protocol``."""
    rest, _, protocol = text.partition("/")
    if (protocol or "tcp") not in _PROTOCOLS:
        raise UsageError(f"invalid port {text!r:.80}: protocol {protocol!r:.20} is not tcp, udp or sctp")
    return [f"{port}/{protocol or 'tcp'}" for port in _range(rest, text)]


def device(text: str) -> Device:
    """``SOURCE[:TARGET[:PERMISSIONS]]``."""
    parts = text.split(":")
    if len(parts) == 2 and not parts[1].startswith("/"):
        parts = [parts[0], parts[0], parts[1]]
    source, target, permissions = (*parts, *("", "")[len(parts) - 1 :])[:3] if len(parts) < 4 else ("", "", "")
    permissions = permissions or "rwm"
    if not source.startswith("/dev/") or set(permissions) - set("rwm"):
        raise UsageError(f"invalid device {text!r:.120}", hint="write /dev/fuse or /dev/sda:/dev/xvda:r")
    return Device(source, absolute(target or source, "device target"), permissions)


def device_rule(text: str) -> str:
    """``TYPE MAJOR:MINOR PERMISSIONS``, as Docker takes it."""
    match = _DEVICE_RULE.fullmatch(text)
    if not match:
        raise UsageError(f"invalid --device-cgroup-rule {text!r:.80}", hint="write 'c 189:* rwm'")
    return text if match[1] != "a" else "a"


def device_limit(text: str, flag: str, *, sized: bool = False) -> DeviceLimit:
    """``/dev/NAME:NUMBER``; ``sized``: the number may have a unit."""
    path, _, number = text.rpartition(":")
    if not path.startswith("/dev/") or not number or not (sized or number.isdigit()):
        raise UsageError(f"{flag} {text!r:.80}: write /dev/sda:{'10m' if sized else '100'}")
    value = parse_bytes(number, flag) if sized else int(number)
    if value < 1:
        raise UsageError(f"{flag} {text!r:.80}: the number is not above 0")
    return DeviceLimit(path, value)


def namespace(text: str, flag: str, words: tuple[str, ...], *, joins: bool = False) -> str:
    """One of ``words``, or with ``joins`` also ``container:NAME``."""
    kind, _, name = text.partition(":")
    if text in ("", *words) or (joins and kind == "container" and name):
        return text
    choices = [*words, *(["container:NAME"] if joins else [])]
    raise UsageError(f"{flag} {text!r:.60}: choose {' or '.join(choices)}")


def ulimit(text: str) -> Ulimit:
    """``NAME=SOFT[:HARD]``."""
    match = _ULIMIT.fullmatch(text)
    if not match:
        raise UsageError(f"invalid ulimit {text!r:.80}", hint="write nofile=1024:2048")
    soft, hard = (-1 if value == "unlimited" else int(value) for value in (match[2], match[3] or match[2]))
    if hard >= 0 and (soft > hard or soft < 0):
        raise UsageError(f"invalid ulimit {text!r:.80}: the soft limit is above the hard one")
    return Ulimit(match[1], soft, hard)


def restart(text: str) -> RestartPolicy:
    """``no``, ``always``, ``unless-stopped``, ``on-failure[:N]``."""
    name, _, limit = text.partition(":")
    try:
        kind = RestartKind(name or "no")
    except ValueError:
        raise UsageError(
            f"invalid restart policy {text!r:.60}", hint="no, on-failure[:N], always or unless-stopped"
        ) from None
    if limit and kind is not RestartKind.ON_FAILURE:
        raise UsageError(f"invalid restart policy {text!r:.60}: a count goes with on-failure only")
    if limit and not limit.isdigit():
        raise UsageError(f"invalid restart policy {text!r:.60}: {limit!r:.20} is not a count")
    return RestartPolicy(kind, int(limit or 0))


def health(options: Mapping[str, Any]) -> HealthCheck:
    """The ``--health-…`` options and ``--no-healthcheck``, by their names with underscores."""
    given = [name for name in (*_HEALTH_TIMES, "cmd", "retries") if options[f"health_{name}"]]
    if options["no_healthcheck"]:
        if given:
            raise UsageError(f"--no-healthcheck and --health-{given[0].replace('_', '-')} exclude each other")
        return HealthCheck(test=("NONE",))
    retries = options["health_retries"]
    if retries and not (retries.isascii() and retries.isdigit() and int(retries) < 2**31):
        raise UsageError(f"--health-retries {retries!r:.40} is not a count")
    times = {name: _health_time(name, options[f"health_{name}"]) for name in _HEALTH_TIMES}
    return HealthCheck(test=_health_test(options["health_cmd"]), retries=int(retries or 0), **times)


def _health_test(command: str) -> tuple[str, ...]:
    """A line for a shell; ``["curl", "-f", …]`` is a command without one, for images that have no shell."""
    if command.startswith("["):
        import json

        try:
            words = json.loads(command)
        except ValueError:  # [ -e /ready ] is the shell's own test
            words = None
        if words and isinstance(words, list) and all(isinstance(word, str) for word in words):
            return ("CMD", *words)
    return ("CMD-SHELL", command) if command else ()


def _health_time(name: str, text: str) -> int:
    flag = f"--health-{name.replace('_', '-')}"
    value = parse_duration(text, flag) if text else 0
    if 0 < value < 1_000_000:
        raise UsageError(f"{flag} {text} is shorter than 1ms")
    return value


def on_failure(text: str) -> str:
    """``none``, ``kill``, ``restart`` or ``stop``; '' when nothing was said."""
    if text not in ("", "none", "kill", "restart", "stop"):
        raise UsageError(f"--health-on-failure {text!r:.40}: choose none, kill, restart or stop")
    return text


def pair(text: str, what: str) -> tuple[str, str]:
    """``NAME=VALUE``; the value may be missing."""
    name, _, value = text.partition("=")
    if not name.strip():
        raise UsageError(f"invalid {what} {text!r:.120}: no name before the '='")
    return name, value


def label(text: str) -> tuple[str, str]:
    """``NAME=VALUE``; Docker allows no white space in the name."""
    name, value = pair(text, "label")
    if name.split() != [name]:
        raise UsageError(f"invalid label {text!r:.120}: white space in the name")
    return name, value


def cpu_number(value: int, flag: str) -> None:
    """0 leaves the kernel's; a period is 1 ms to 1 s, a quota 1 ms at least (or -1), a share not negative."""
    allowed = {"--cpu-shares": value >= 0, "--cpu-period": 1000 <= value <= 10**6, "--cpu-quota": value >= 1000}
    if value and not allowed[flag] and (flag, value) != ("--cpu-quota", -1):
        raise UsageError(f"{flag} {value}: out of range", hint=_CPU_RANGES[flag])


def known_numbers(text: str, flag: str, known: str) -> None:
    """``0-2,4``, all of them in ``known``, which is written the same way."""
    unknown = _numbers(text, flag) - _numbers(known, flag)
    if unknown:
        raise UsageError(f"{flag} {text!r:.40}: not on this host, which has {known}")


def _numbers(text: str, flag: str) -> set[int]:
    found: set[int] = set()
    for part in filter(None, text.split(",")):
        match = _RANGE.fullmatch(part)
        if not match or int(match[2] or match[1]) < int(match[1]):
            raise UsageError(f"{flag} {text!r:.40}: write numbers and ranges: 0-2,4")
        found.update(range(int(match[1]), int(match[2] or match[1]) + 1))
    return found


def extra_host(text: str) -> str:
    """``NAME:ADDRESS`` or ``NAME=ADDRESS``; the address may be ``host-gateway``."""
    separator = "=" if "=" in text else ":"
    name, _, address = text.partition(separator)
    address = address.strip("[]")
    if not name or not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
        raise UsageError(f"invalid --add-host {text!r:.120}", hint="write NAME:ADDRESS")
    if address != "host-gateway":
        ip(address, f"invalid --add-host {text!r:.120}")
    return f"{name}:{address}"


def ip(text: str, what: str) -> str:
    """An address in its normal form."""
    import ipaddress

    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise UsageError(f"{what}: {text!r:.60} is not an IP address") from None


def networks(
    texts: tuple[str, ...], address: str, mac: str, aliases: tuple[str, ...], address6: str = ""
) -> tuple[Attachment, tuple[Attachment, ...]]:
    """``--network`` in its two forms, NAME and ``name=NAME,ip=…,alias=…,mac-address=…``: the first, and the others.

    The other arguments are the flags beside it, which belong to the first.
    """
    found = [_attachment(text) for text in texts or ("bridge",)]
    first = found[0]
    for item in found:
        alone = item.name in ("none", "host") or item.name.startswith("container:")
        if alone and len(found) > 1:
            raise UsageError(f"--network {item.name} excludes other networks")
        if [other.name for other in found].count(item.name) > 1:
            raise UsageError(f"network {item.name} is given twice")
    first = attachment(
        first.name, address or first.ip, mac or first.mac, (*first.aliases, *aliases), address6 or first.ip6
    )
    return first, tuple(found[1:])


def _attachment(text: str) -> Attachment:
    if "=" not in text:
        return attachment("bridge" if text == "default" else text)
    values: dict[str, str] = {}
    aliases: list[str] = []
    for word in text.split(","):
        key, _, value = word.partition("=")
        if key == "alias":
            aliases.append(value)
        elif key in ("name", "ip", "ip6", "mac-address") and value:
            values[key] = value
        else:
            raise UsageError(
                f"--network {text!r:.100}: {word!r:.60} is not understood", hint="name, ip, ip6, alias, mac-address"
            )
    if "name" not in values:
        raise UsageError(f"--network {text!r:.100} names no network", hint="write name=NETWORK,ip=ADDRESS")
    address, mac, address6 = (values.get(key, "") for key in ("ip", "mac-address", "ip6"))
    return attachment(values["name"], address, mac, tuple(aliases), address6)


def attachment(
    name: str, address: str = "", mac: str = "", aliases: tuple[str, ...] = (), address6: str = ""
) -> Attachment:
    """A network, and what a container wants on it."""
    if not name.startswith("container:"):
        check_name(name, "network")
    if name in ("bridge", "none", "host") or name.startswith("container:"):
        if address or address6:
            flag = "--ip" if address else "--ip6"
            raise UsageError(f"{flag} goes with a network of your own only", hint="see: lxcwrap network create --help")
        if aliases:
            raise UsageError(
                "--network-alias goes with a network of your own only", hint="see: lxcwrap network create --help"
            )
    if address and ":" in ip(address, "--ip"):
        raise UsageError(f"--ip {address}: write an IPv4 address")
    if address6:
        address6 = ip(address6, "--ip6")
        if ":" not in address6:
            raise UsageError(f"--ip6 {address6}: write an IPv6 address")
    if mac and (not re.fullmatch(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}", mac) or int(mac[:2], 16) & 1):
        raise UsageError(f"--mac-address {mac!r:.40} is not a MAC address", hint="write 02:42:ac:11:00:02")
    return Attachment(name, address, mac, tuple(map(check_hostname, aliases)), address6)


def resolver_word(text: str, flag: str) -> str:
    """One word of a line of resolv.conf: white space in it would be another word or another line."""
    if not re.fullmatch(r"[!-~]+", text):
        raise UsageError(f"{flag} {text!r:.80} is not allowed", hint="one word without blanks")
    return text


def nano_cpus(text: str) -> int:
    """``1.5`` cpus in billionths."""
    if not re.fullmatch(r"\d*\.?\d{0,9}", text) or not any(c.isdigit() for c in text):
        raise UsageError(f"invalid --cpus {text!r:.40}", hint="write 0.5 or 2")
    return round(float(text) * 10**9)


def size(text: str, flag: str, least: int = 0) -> int:
    """Bytes; -1 is kept."""
    count = parse_bytes(text, flag)
    if 0 < count < least:
        raise UsageError(f"{flag} {text}: the least is {least // 1024 // 1024} MiB")
    return count


def lines(content: str) -> list[str]:
    """Of a file of variables or labels, without the mark that some editors put first.

    ``str.splitlines`` would also end one at a form feed or another character that is part of a value.
    """
    return [line.removesuffix("\r") for line in content.removeprefix("\ufeff").split("\n")]


def environment_file(content: str, path: str, surroundings: dict[str, str]) -> list[str]:
    """``NAME=value`` lines; ``NAME`` alone takes the caller's; # begins a comment line."""
    items = []
    for number, line in enumerate(lines(content), 1):
        line = line.lstrip()
        if not line or line.startswith("#"):
            continue
        name = line.partition("=")[0]
        if not name or name != name.strip() or " " in name or "\t" in name:
            raise UsageError(f"{path}, line {number}: {line!r:.80} has no variable name before '='")
        items += environment(line, surroundings)
    return items


def environment(text: str, surroundings: dict[str, str]) -> list[str]:
    """``NAME=value``, or ``NAME`` for the caller's value (nothing if the caller has none)."""
    name, equals, _ = text.partition("=")
    if not name:
        raise UsageError(f"invalid environment variable {text!r:.80}")
    if equals:
        return [text]
    return [f"{name}={surroundings[name]}"] if name in surroundings else []
