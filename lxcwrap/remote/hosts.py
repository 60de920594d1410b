"""The files that name hosts: hosts.yaml of the user, that of the machine, or an Ansible inventory in their place.

The user's is ``$XDG_CONFIG_HOME/lxcwrap/hosts.yaml`` (~/.config); under sudo that of who called it.
"""

from __future__ import annotations

import json
import os
import pwd
from typing import Any

from lxcwrap.errors import LxcwrapError, UsageError
from lxcwrap.kernel import files, lock
from lxcwrap.model import hosts
from lxcwrap.model.hosts import Host, Inventory

INVENTORY = "LXCWRAP_INVENTORY"  # names an Ansible inventory to be used instead


def user_home() -> str:
    """Of the user at the keyboard: sudo sets HOME to root's on some systems and leaves it on others."""
    caller = os.environ.get("SUDO_UID", "")
    if os.geteuid() == 0 and caller.isdigit() and caller != "0":
        try:
            return pwd.getpwuid(int(caller)).pw_dir
        except KeyError:
            pass
    return os.path.expanduser("~")


def user_folder() -> str:
    """Where hosts.yaml and known_hosts of the user are."""
    given = os.environ.get("XDG_CONFIG_HOME")
    return os.path.join(given or os.path.join(user_home(), ".config"), "lxcwrap")


def path() -> str:
    return os.path.join(user_folder(), "hosts.yaml")


def machine_path() -> str:
    return os.path.join(os.environ.get("LXCWRAP_CONFIG_DIR") or "/etc/lxcwrap", "hosts.yaml")


def read() -> Inventory:
    """All hosts: the user's files, and those of the machine that have other names.  Raises UsageError."""
    given = os.environ.get(INVENTORY)
    if given:
        return _ansible(given)
    own, machine = _read(path()), _read(machine_path())
    names = {host.name for host in own.hosts} | {name for name, _ in own.groups}
    return Inventory(
        own.hosts + tuple(host for host in machine.hosts if host.name not in names),
        own.groups + tuple(group for group in machine.groups if group[0] not in names),
    )


def _read(name: str) -> Inventory:
    try:
        with open(name, encoding="utf-8") as stream:
            text = stream.read()
    except FileNotFoundError:
        return Inventory()
    except UnicodeDecodeError:
        raise UsageError(f"{name} is not text", exit_code=1) from None
    import yaml

    try:
        return hosts.parse(yaml.safe_load(text), name)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{name}:{mark.line + 1}" if mark else name
        raise UsageError(f"{where}: {getattr(error, 'problem', None) or error}", exit_code=1) from None


def add(host: Host, *, replace: bool) -> None:
    """Write the host into the user's file.  Raises UsageError when one of the name is there and may not be replaced."""
    _refuse_inventory("lxcwrap host add")
    os.makedirs(user_folder(), mode=0o700, exist_ok=True)
    with lock.held(f"{path()}.lock"):
        known = _read(path())
        if known.find(host.name) and not replace:
            raise UsageError(f"there is a host {host.name} already", hint="--replace changes it", exit_code=1)
        _write(hosts.with_host(known, host))


def remove(name: str) -> None:
    """Raises UsageError when the user's file has no such host."""
    _refuse_inventory("lxcwrap host rm")
    os.makedirs(user_folder(), mode=0o700, exist_ok=True)
    with lock.held(f"{path()}.lock"):
        known = _read(path())
        if not known.find(name):
            where = machine_path() if _read(machine_path()).find(name) else ""
            hint = f"{where} has it: edit that file" if where else "see: lxcwrap host ls"
            raise UsageError(f"there is no host {name!r:.100} in {path()}", hint=hint, exit_code=1)
        _write(hosts.without(known, name))


def _write(inventory: Inventory) -> None:
    import yaml

    text = yaml.safe_dump(hosts.dump(inventory), sort_keys=False, allow_unicode=True, default_flow_style=False)
    files.write_atomically(path(), text.encode(), 0o600)


def _refuse_inventory(what: str) -> None:
    if os.environ.get(INVENTORY):
        raise UsageError(f"{what} does not write Ansible inventories ({INVENTORY} is set)", exit_code=1)


def _ansible(source: str) -> Inventory:
    """What ansible-inventory says: it reads every form there is.  Raises LxcwrapError."""
    import subprocess

    argv = ["ansible-inventory", "--inventory", source, "--list"]
    strict = {**os.environ, "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "1"}  # it would warn, and list nothing
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=strict)
    except FileNotFoundError:
        raise LxcwrapError(f"{source}: there is no ansible-inventory to read it", hint="install ansible-core") from None
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["it says nothing"]
        raise LxcwrapError(f"ansible-inventory cannot read {source}: {said[-1]:.300}")
    return from_ansible(json.loads(done.stdout), source)


def from_ansible(plain: dict[str, Any], where: str) -> Inventory:
    """The inventory in ansible-inventory's JSON.  Raises UsageError."""
    variables: dict[str, dict[str, Any]] = plain.get("_meta", {}).get("hostvars", {})
    groups = {name: _hosts_of(plain, name) for name in plain if name not in ("_meta", hosts.ALL, "ungrouped")}
    names = sorted({*variables, *_hosts_of(plain, hosts.ALL), *(one for members in groups.values() for one in members)})
    entries = {name: _from_variables(name, variables.get(name, {})) for name in names}
    return hosts.parse({"hosts": entries, "groups": groups}, where)


def _hosts_of(plain: dict[str, Any], group: str) -> list[str]:
    """A group's hosts and its children's, each once."""
    entry = plain.get(group, {})
    found = list(entry.get("hosts", ()))
    for child in entry.get("children", ()):
        found += _hosts_of(plain, child)
    return list(dict.fromkeys(found))


def _from_variables(name: str, variables: dict[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = {"address": str(variables.get("ansible_host", name))}
    for key, ours in (("ansible_user", "user"), ("ansible_port", "port"), ("ansible_ssh_private_key_file", "identity")):
        if key in variables:
            entry[ours] = int(variables[key]) if ours == "port" else str(variables[key])
    if isinstance(variables.get("ansible_become"), bool):
        entry["sudo"] = variables["ansible_become"]
    labels = variables.get("lxcwrap_labels")
    return {**entry, "labels": labels} if isinstance(labels, dict) else entry
