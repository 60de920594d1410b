"""Hosts of the inventory: enrolling them, how each is, and installing lxcwrap there."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from lxcwrap.actions import far
from lxcwrap.actions.host_facts import Facts
from lxcwrap.errors import LxcwrapError, Unreachable, Unsupported
from lxcwrap.model.hosts import Host
from lxcwrap.remote import ssh

AT_ONCE = 32  # connections
_PIECE = 1 << 16

T = TypeVar("T")


@dataclass(frozen=True)
class Seen:
    """How a host is: its facts, or why there are none."""

    host: Host
    facts: Facts | None = None
    failure: str = ""
    hint: str = ""


class _Kept:
    """A command's whole output."""

    def __init__(self) -> None:
        self.text, self.errors = bytearray(), bytearray()

    def out(self, content: bytes) -> None:
        self.text += content

    def err(self, content: bytes) -> None:
        self.errors += content


def side_by_side(hosts: Sequence[Host], work: Callable[[Host], T]) -> Iterator[T]:
    """The work's results, in the hosts' order; a slow host delays nobody else's work."""
    with ThreadPoolExecutor(max(1, min(AT_ONCE, len(hosts)))) as pool:
        yield from pool.map(work, hosts)


def look(hosts: Sequence[Host], ask: far.Ask) -> Iterator[Seen]:
    """How they are, all at once."""

    def one(host: Host) -> Seen:
        try:
            with ssh.connect(host, ask) as connection:
                return Seen(host, facts(connection, ask))
        except LxcwrapError as error:
            return Seen(host, None, error.message, error.hint)

    return side_by_side(hosts, one)


def facts(connection: ssh.Connection, ask: far.Ask) -> Facts:
    """Raises LxcwrapError."""
    output = _Kept()
    code = far.run(connection, far.Request(("host-facts",)), output, ask)
    if code:
        raise far.failure(connection.name, bytes(output.errors), code)
    try:
        return Facts.from_json(json.loads(output.text))
    except (ValueError, TypeError):
        raise far.too_old(connection.name) from None


# --- installing -----------------------------------------------------------------------------------------------

# Given to the host's shell as it stands: the program comes on standard input.
_INSTALL = (
    "d=$(mktemp -d) && trap 'rm -rf \"$d\"' EXIT && tar -xzf - -C \"$d\" && "
    "DEBIAN_FRONTEND=noninteractive bash \"$d\"/install.sh </dev/null"
)  # fmt: skip


def program() -> bytes:
    """The program that runs here, its templates and its installer, as a tar.  Raises Unsupported."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    checkout = os.path.dirname(package)
    shared = os.path.abspath(f"{package}/../../../../share/lxcwrap")
    place = next((one for one in (checkout, shared) if os.path.isfile(f"{one}/install.sh")), "")
    if not place:
        raise Unsupported(
            "the installer is not beside this program, so it cannot install itself elsewhere",
            hint="use a lxcwrap that install.sh has put here, or a checkout",
        )
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=6) as archive:
        archive.add(f"{place}/install.sh", "install.sh", filter=_plain)
        archive.add(f"{place}/templates", "templates", filter=_plain)
        archive.add(package, "lxcwrap", filter=_plain)
    return buffer.getvalue()


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    if os.path.basename(member.name) == "__pycache__":
        return None
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member


def install(host: Host, archive: bytes, output: far.Output, ask: far.Ask) -> None:
    """Install ``program()`` there, with its packages.  Raises Unreachable."""
    with ssh.connect(host, ask) as connection:
        if not connection.needs_sudo:
            _install(connection, f"exec sh -c '{_quoted(_INSTALL)}'", b"", archive, output)
            return
        password = ask(f"sudo's password on {connection.name}: ") if _wants_password(connection) else ""
        if password is None:
            raise Unreachable(f"{connection.name}: sudo wants a password there, and nobody is here to give it")
        sudo = "sudo -S -p ''" if password else "sudo -n"
        first = f"{password}\n".encode() if password else b""
        _install(connection, f"exec {sudo} sh -c '{_quoted(_INSTALL)}'", first, archive, output)


def _quoted(text: str) -> str:
    return text.replace("'", "'\\''")


def _wants_password(connection: ssh.Connection) -> bool:
    channel = connection.start("sudo -n true")
    try:
        return bool(channel.recv_exit_status())
    finally:
        channel.close()


def _install(connection: ssh.Connection, command: str, first: bytes, archive: bytes, output: far.Output) -> None:
    channel = connection.start(command)
    channel.set_combine_stderr(True)
    try:
        channel.sendall(first + archive)
        channel.shutdown_write()
        while True:
            piece = channel.recv(_PIECE)
            if not piece:
                break
            output.out(piece)
        code = channel.recv_exit_status()
    except (OSError, EOFError) as error:
        raise Unreachable(f"{connection.name}: the connection broke: {error or type(error).__name__}") from None
    finally:
        channel.close()
    if code:
        raise Unreachable(f"{connection.name}: the installation failed with exit code {code}", exit_code=1)
