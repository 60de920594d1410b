"""Names on a network: one dnsmasq, from the network's first running container to its last.

Each running container has a file in the network's ``hosts`` directory; dnsmasq reads them anew on SIGHUP.
A dnsmasq whose containers were all killed with their supervisors is ended by the next command that looks.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable

from lxcwrap.errors import LxcwrapError, Unsupported
from lxcwrap.kernel import daemon, files, lock
from lxcwrap.model.network import NetworkDefinition
from lxcwrap.model.paths import Paths

_PROGRAMS = ("/usr/sbin/dnsmasq", "/usr/bin/dnsmasq", "/sbin/dnsmasq")
Held = Callable[[str], bool]  # whether a container, by its id, runs or is being started


def place(paths: Paths, network_id: str) -> str:
    return f"{paths.run}/networks/{network_id}"


def announce(
    paths: Paths,
    definition: NetworkDefinition,
    container_id: str,
    addresses: tuple[str, ...],
    names: tuple[str, ...],
    is_held: Held,
    servers: tuple[str, ...] = (),
) -> None:
    """Make the names lead to the addresses.  ``servers`` are asked for all others; without any, the host's resolvers.

    Raises Unsupported without dnsmasq, or LxcwrapError when it fails.
    """
    where = place(paths, definition.id)
    with lock.held(f"{where}/lock"):
        os.makedirs(f"{where}/hosts", 0o755, exist_ok=True)
        _forget_dead(where, container_id, is_held)
        path = f"{where}/hosts/{container_id}"
        files.write_atomically(path, "".join(f"{one} {' '.join(names)}\n" for one in addresses).encode())
        os.chmod(path, 0o644)
        try:
            if not _reread(where):
                _start(where, definition, servers)
        except BaseException:
            os.unlink(path)
            raise


def withdraw(paths: Paths, network_id: str, container_id: str, is_held: Held) -> None:
    """Forget the container's names; with the last container dnsmasq ends.  Does nothing when there are none."""
    where = place(paths, network_id)
    if not os.path.isdir(f"{where}/hosts"):
        return
    with lock.held(f"{where}/lock"):
        _unlink(f"{where}/hosts/{container_id}")
        _forget(where, is_held)


def _forget(where: str, is_held: Held) -> None:
    """Forget the dead; with nobody left dnsmasq ends."""
    _forget_dead(where, "", is_held)
    if os.listdir(f"{where}/hosts"):
        _reread(where)
    else:
        daemon.stop(f"{where}/pid")


def settle(paths: Paths, is_held: Held) -> None:
    """End what containers left that were killed with their supervisors."""
    try:
        found = os.listdir(f"{paths.run}/networks")
    except FileNotFoundError:
        return
    for own in resolvers(paths.run):
        if not is_held(own.split("/")[-2]):
            forget_resolver(own)
    for network_id in found:
        where = place(paths, network_id)
        known = os.listdir(f"{where}/hosts") if os.path.isdir(f"{where}/hosts") else []
        last_is_gone = not known and os.path.exists(f"{where}/pid")
        if last_is_gone or not all(map(is_held, known)):
            with lock.held(f"{where}/lock"):
                os.makedirs(f"{where}/hosts", 0o755, exist_ok=True)
                _forget(where, is_held)


def revive(paths: Paths, definition: NetworkDefinition, servers: tuple[str, ...]) -> None:
    """Start the network's dnsmasq again when it was killed while containers run.  Raises as ``announce``."""
    where = place(paths, definition.id)
    if not os.path.isdir(f"{where}/hosts") or not os.listdir(f"{where}/hosts") or daemon.tell(f"{where}/pid", 0):
        return
    with lock.held(f"{where}/lock"):
        if os.listdir(f"{where}/hosts") and not _reread(where):
            _start(where, definition, servers)


def stop(paths: Paths, network_id: str) -> None:
    """End the network's dnsmasq, if there is one."""
    where = place(paths, network_id)
    if os.path.isdir(where):
        with lock.held(f"{where}/lock"):
            shutil.rmtree(f"{where}/hosts", ignore_errors=True)
            daemon.stop(f"{where}/pid")


def _forget_dead(where: str, but: str, is_held: Held) -> None:
    for name in os.listdir(f"{where}/hosts"):
        if name != but and not is_held(name):
            _unlink(f"{where}/hosts/{name}")


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def _reread(where: str) -> bool:
    """Whether the network's dnsmasq runs, and was told; so are the resolvers that containers have of their own."""
    hosts = f"--addn-hosts={where}/hosts"
    for own in resolvers(where.rpartition("/networks/")[0]):
        daemon.tell(own, signal.SIGHUP, hosts)
    return daemon.tell(f"{where}/pid", signal.SIGHUP)


def resolvers(run: str) -> list[str]:
    """The pid files of the containers' own resolvers (see ``embedded``)."""
    try:
        return [f"{run}/resolvers/{container_id}/pid" for container_id in os.listdir(f"{run}/resolvers")]
    except FileNotFoundError:
        return []


def forget_resolver(pid_file: str) -> None:
    """End a container's own resolver.  Does nothing when there is none."""
    if os.path.isdir(os.path.dirname(pid_file)):
        daemon.stop(pid_file)
        shutil.rmtree(os.path.dirname(pid_file), ignore_errors=True)


def _start(where: str, definition: NetworkDefinition, servers: tuple[str, ...]) -> None:
    """It goes to the background once it listens; what it says before that is why it does not."""
    if definition.driver != "bridge":
        return  # the gateway is another machine; its containers have resolvers of their own
    import subprocess

    argv = [
        program(), "--conf-file=/dev/null", f"--pid-file={where}/pid", f"--addn-hosts={where}/hosts", "--no-hosts",
        "--bind-interfaces", f"--listen-address={definition.gateway}", "--except-interface=lo", "--domain-needed",
        "--user=nobody", *(["--no-resolv"] if definition.internal or servers else []),
        *(f"--server={server}" for server in servers if not definition.internal),
    ]  # fmt: skip
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd="/")
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise LxcwrapError(
            f"dnsmasq for network {definition.name} did not start: {said[0] if said else done.returncode}",
            hint=f"'ss -lunp sport = :53' shows what else listens on {definition.gateway}",
        )


def program() -> str:
    """Raises Unsupported."""
    found = next((path for path in _PROGRAMS if os.path.exists(path)), "")
    if not found:
        raise Unsupported("names on a network need dnsmasq", hint="install dnsmasq-base (Fedora: dnsmasq)")
    return found
