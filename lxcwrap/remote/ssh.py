"""SSH: one connection to a host, with keys of hosts checked and keys of users found as ssh(1) finds them.

The only importer of paramiko.  ~/.ssh/config is honoured: HostName, User, Port, IdentityFile, IdentitiesOnly,
ProxyJump, ProxyCommand, ConnectTimeout, HostKeyAlias, UserKnownHostsFile.
"""

from __future__ import annotations

import logging
import os
import pwd
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import paramiko

from lxcwrap.errors import Unreachable, UsageError
from lxcwrap.model.hosts import Host, parse_target
from lxcwrap.remote import hosts, known

CONNECT_TIMEOUT = 10.0  # seconds until a host that does not answer is given up
_SILENCE = 20_000  # milliseconds without an acknowledgement until a connection is dead (tcp(7), TCP_USER_TIMEOUT)
_KEEPALIVE = 10  # seconds
_MOST_JUMPS = 8

# Asks the user at the keyboard for a secret; None when there is none.
Ask = Callable[[str], str | None]

_KEY_CLASSES: tuple[type[paramiko.PKey], ...] = (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey)
_DEFAULT_IDENTITIES = ("id_ed25519", "id_ecdsa", "id_rsa")

logging.getLogger("paramiko").addHandler(logging.NullHandler())  # it would print tracebacks of its threads


@dataclass(frozen=True)
class Route:
    """How a host is reached, after ~/.ssh/config."""

    host: Host
    address: str
    port: int
    user: str
    identities: tuple[str, ...]
    use_agent: bool
    known_name: str
    known_files: tuple[str, ...]
    jumps: tuple[str, ...]
    command: str
    timeout: float


class Connection:
    """An authenticated connection.  Use as a context manager, or close it."""

    def __init__(self, route: Route, transport: paramiko.Transport, below: Connection | None) -> None:
        self.route = route
        self.host = route.host
        self._transport = transport
        self._below = below

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._transport.close()
        if self._below:
            self._below.close()

    @property
    def name(self) -> str:
        return self.host.name

    @property
    def is_open(self) -> bool:
        return bool(self._transport.is_active())

    @property
    def needs_sudo(self) -> bool:
        return self.route.user != "root" if self.host.sudo is None else self.host.sudo

    def start(self, command: str) -> paramiko.Channel:
        """Start a command, given to the login shell there; the channel that carries its streams.

        Raises Unreachable.
        """
        try:
            channel = self._transport.open_session(timeout=self.route.timeout)
            channel.exec_command(command)
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise Unreachable(f"{self.host.name}: {_words(error)}") from None
        return channel

    def forward(self, address: str, port: int) -> paramiko.Channel:
        """A connection from there to another host.  Raises Unreachable."""
        try:
            return self._transport.open_channel(
                "direct-tcpip", (address, port), ("127.0.0.1", 0), timeout=self.route.timeout
            )
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise Unreachable(f"{self.host.name} does not reach {address}:{port}: {_words(error)}") from None


@dataclass(frozen=True)
class HostKey:
    """What a host showed.  ``known``: 'yes', 'no', or 'changed' when others are known for it."""

    name: str  # as known_hosts has it
    kind: str
    blob: bytes
    known: str


def host_key(host: Host, ask: Ask) -> HostKey:
    """Ask a host for its key, and no more.  Raises Unreachable."""
    route = _route(host)
    transport, below = _transport(route, ask, [])
    try:
        key = transport.get_remote_server_key()
        keys = known.read(route.known_files)
        fitting = known.of(keys, route.known_name)
        blob = key.asbytes()
        verdict = "yes" if any(one.blob == blob for one in fitting) else "changed" if fitting else "no"
        return HostKey(route.known_name, key.get_name(), blob, verdict)
    finally:
        transport.close()
        if below:
            below.close()


def connect(host: Host, ask: Ask, through: tuple[str, ...] = ()) -> Connection:
    """Raises Unreachable when the host does not answer, is not known, is another, or does not let us in."""
    route = _route(host)
    transport, below = _transport(route, ask, list(through))
    try:
        _check(route, transport)
        _authenticate(route, transport, ask)
        transport.set_keepalive(_KEEPALIVE)
        return Connection(route, transport, below)
    except BaseException:
        transport.close()
        if below:
            below.close()
        raise


# --- the way there --------------------------------------------------------------------------------------------


def _route(host: Host) -> Route:
    found = _config(host.address)
    address = str(found.get("hostname", host.address))
    port = host.port or int(found.get("port", 22))
    identities = [host.identity] if host.identity else list(found.get("identityfile", ()))
    alias = found.get("hostkeyalias")
    jump = str(found.get("proxyjump", ""))
    command = str(found.get("proxycommand", ""))
    return Route(
        host=host,
        address=address,
        port=port,
        user=host.user or str(found.get("user", "")) or _user(),
        identities=tuple(_home(path) for path in identities),
        use_agent=str(found.get("identitiesonly", "no")).lower() != "yes" and not host.identity,
        known_name=str(alias) if alias else known.name_of(address, port),
        known_files=tuple(_home(path) for path in str(found.get("userknownhostsfile", "")).split()),
        jumps=tuple(hop.strip() for hop in jump.split(",")) if jump.lower() not in ("", "none") else (),
        command="" if command.lower() == "none" or jump else command,
        timeout=float(found.get("connecttimeout", CONNECT_TIMEOUT)),
    )


def _config(address: str) -> dict[str, Any]:
    """What the user's and the machine's ssh_config say; the user's wins.  Raises UsageError."""
    merged: dict[str, Any] = {}
    for path in ("/etc/ssh/ssh_config", f"{hosts.user_home()}/.ssh/config"):
        try:
            found = dict(paramiko.SSHConfig.from_path(path).lookup(address))
        except OSError:
            continue
        except (paramiko.ConfigParseError, paramiko.CouldNotCanonicalize, ValueError) as error:
            raise UsageError(f"{path} cannot be read: {error}", exit_code=1) from None
        if found.get("hostname") == address:  # the answer when nothing is said about it
            found.pop("hostname")
        merged.update(found)
    return merged


def _home(path: str) -> str:
    return f"{hosts.user_home()}{path[1:]}" if path.startswith("~/") else path


def _user() -> str:
    """Who sits at the keyboard."""
    caller = os.environ.get("SUDO_UID", "")
    uid = int(caller) if os.geteuid() == 0 and caller.isdigit() else os.geteuid()
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return "root"


def _transport(route: Route, ask: Ask, seen: list[str]) -> tuple[paramiko.Transport, Connection | None]:
    """A transport whose keys are exchanged, and the connection that it goes through."""
    below = _below(route, ask, seen)
    try:
        transport = paramiko.Transport(_socket(route, below))
    except BaseException:
        if below:
            below.close()
        raise
    transport.banner_timeout = transport.handshake_timeout = transport.auth_timeout = route.timeout
    _prefer_known(route, transport)
    try:
        transport.start_client(timeout=route.timeout)
    except (paramiko.SSHException, OSError, EOFError) as error:
        transport.close()
        if below:
            below.close()
        raise Unreachable(f"{_shown(route)} does not speak SSH with us: {_words(error)}") from None
    return transport, below


def _below(route: Route, ask: Ask, seen: list[str]) -> Connection | None:
    """The connection to the last jump host."""
    if not route.jumps:
        return None
    if len(seen) >= _MOST_JUMPS:
        raise Unreachable(f"{_shown(route)} is reached through too many jump hosts: {', '.join(seen)}")
    before: Connection | None = None
    for hop in route.jumps:
        host = parse_target(hop)
        before = _connect_through(before, host, ask) if before else connect(host, ask, (*seen, hop))
    return before


def _connect_through(before: Connection, host: Host, ask: Ask) -> Connection:
    route = _route(host)
    try:
        transport = paramiko.Transport(before.forward(route.address, route.port))
        transport.banner_timeout = transport.handshake_timeout = transport.auth_timeout = route.timeout
        _prefer_known(route, transport)
        transport.start_client(timeout=route.timeout)
        _check(route, transport)
        _authenticate(route, transport, ask)
    except (paramiko.SSHException, OSError, EOFError) as error:
        before.close()
        raise Unreachable(f"{_shown(route)} does not speak SSH with us: {_words(error)}") from None
    except Unreachable:
        before.close()
        raise
    return Connection(route, transport, before)


def _socket(route: Route, below: Connection | None) -> Any:
    """What the transport speaks over.  Raises Unreachable."""
    if below:
        return below.forward(route.address, route.port)
    if route.command:
        return paramiko.ProxyCommand(route.command.replace("%%", "%"))
    try:
        made = socket.create_connection((route.address, route.port), route.timeout)
    except socket.gaierror as error:
        raise Unreachable(
            f"{_shown(route)}: the name {route.address} is not known ({error.strerror})",
            hint=f"is {route.host.name} its name?",
        ) from None
    except TimeoutError:
        raise Unreachable(f"{_shown(route)} does not answer within {route.timeout:.0f} s") from None
    except OSError as error:
        raise Unreachable(f"{_shown(route)} cannot be reached: {error.strerror or error}") from None
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _SILENCE)
    return made


def _shown(route: Route) -> str:
    where = known.name_of(route.address, route.port)
    return route.host.name if route.host.name in (where, route.address) else f"{route.host.name} ({where})"


# --- who the host is ------------------------------------------------------------------------------------------


def _prefer_known(route: Route, transport: paramiko.Transport) -> None:
    """A host has keys of several kinds: ask for one that we know."""
    kinds = {key.kind for key in known.of(known.read(route.known_files), route.known_name)}
    if "ssh-rsa" in kinds:
        kinds |= {"rsa-sha2-512", "rsa-sha2-256"}
    options = transport.get_security_options()
    first = [kind for kind in options.key_types if kind in kinds]
    options.key_types = (*first, *(kind for kind in options.key_types if kind not in kinds))


def _check(route: Route, transport: paramiko.Transport) -> None:
    key = transport.get_remote_server_key()
    keys, blob = known.read(route.known_files), key.asbytes()
    shown = f"{key.get_name()} {known.fingerprint(blob)}"
    if known.is_revoked(keys, blob):
        raise Unreachable(f"{_shown(route)} shows a host key that is revoked: {shown}")
    fitting = known.of(keys, route.known_name)
    if any(one.blob == blob for one in fitting):
        return
    if fitting:
        raise Unreachable(
            f"{_shown(route)} shows another host key than the one that is known: {shown}",
            hint="somebody may listen in. If the host was made anew: lxcwrap host add --replace enrols its new key",
        )
    where = f"{route.user}@{known.name_of(route.address, route.port)}"
    raise Unreachable(
        f"{_shown(route)} shows a host key that is not known: {shown}",
        hint=f"if it is the host's: lxcwrap host add NAME {where}",
    )


# --- who we are -----------------------------------------------------------------------------------------------


def _authenticate(route: Route, transport: paramiko.Transport, ask: Ask) -> None:
    tried = []
    for source, key in _keys(route, ask):
        tried.append(source)
        try:
            rest = transport.auth_publickey(route.user, key)
        except paramiko.BadAuthenticationType as error:
            raise Unreachable(
                f"{_shown(route)} takes no keys from {route.user}, only: {', '.join(error.allowed_types)}",
                hint="lxcwrap logs in by key",
            ) from None
        except paramiko.AuthenticationException:
            if not transport.is_active():
                break
            continue
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise Unreachable(f"{_shown(route)}: the login broke off: {_words(error)}") from None
        if rest:
            raise Unreachable(f"{_shown(route)} wants more than a key of {route.user}: {', '.join(rest)}")
        return
    what = f"none of the keys tried ({', '.join(tried)})" if tried else "no key: there is none to try"
    raise Unreachable(
        f"{_shown(route)} lets {route.user} in by {what}",
        hint="name one: host add --identity FILE, IdentityFile in ~/.ssh/config, or ssh-add",
    )


def _keys(route: Route, ask: Ask) -> Iterator[tuple[str, paramiko.PKey]]:
    """Where each key comes from, and the key: files named, the agent's, the usual files."""
    locked = []
    for path in route.identities:
        key = _load(path, named=True)
        if isinstance(key, paramiko.PKey):
            yield path, key
        elif key:
            locked.append(path)
    if route.use_agent or locked:
        for agent_key in paramiko.Agent().get_keys():
            yield "the agent's", agent_key
    usual = () if route.identities else tuple(f"{hosts.user_home()}/.ssh/{name}" for name in _DEFAULT_IDENTITIES)
    for path in usual:
        key = _load(path, named=False)
        if isinstance(key, paramiko.PKey):
            yield path, key
        elif key:
            locked.append(path)
    for path in locked:
        passphrase = ask(f"Passphrase for {path}: ")
        if passphrase is not None:
            yield path, _unlocked(path, passphrase)


def _load(path: str, *, named: bool) -> paramiko.PKey | bool:
    """The key; True when it needs a passphrase, False when there is none.  Raises Unreachable."""
    if not os.path.exists(path):
        if named:
            raise Unreachable(f"there is no private key {path}")
        return False
    try:
        return _parse(path, None)
    except paramiko.PasswordRequiredException:
        return True


def _unlocked(path: str, passphrase: str) -> paramiko.PKey:
    try:
        return _parse(path, passphrase)
    except (Unreachable, paramiko.PasswordRequiredException):
        raise Unreachable(f"{path}: the passphrase is wrong") from None


def _parse(path: str, passphrase: str | None) -> paramiko.PKey:
    for kind in _KEY_CLASSES:
        try:
            return kind.from_private_key_file(path, passphrase)
        except paramiko.PasswordRequiredException:
            raise
        except OSError as error:
            raise Unreachable(f"the private key {path} cannot be read: {error.strerror}") from None
        except (paramiko.SSHException, ValueError):
            continue
    raise Unreachable(f"{path} is no private key that can be used", hint="ed25519, ecdsa and rsa keys can")


def _words(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error or type(error).__name__)
