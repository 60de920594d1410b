"""Enrolling hosts, logging in to them, seeing how they are, and installing lxcwrap there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest

from tests.fleet.conftest import Fleet


def test_an_unknown_key_is_refused_and_shown(fleet: Fleet) -> None:
    where = fleet.addresses["bare"]
    refused = fleet("-H", f"root@{where}", "ps", check=False)
    assert refused.code == 255 and "SHA256:" in refused.err and "host add" in refused.err
    unasked = fleet("host", "add", "bare", f"root@{where}", check=False)
    assert unasked.code == 125 and "--fingerprint" in unasked.err
    wrong = fleet("host", "add", "bare", f"root@{where}", "--fingerprint", "SHA256:nosuch", check=False)
    assert wrong.code == 1 and "another host key" in wrong.err
    assert fleet("host", "ls", "-q").lines == ["alpha", "beta", "gamma"]


def test_asked_at_a_terminal(fleet: Fleet) -> None:
    where = f"root@{fleet.addresses['bare']}"
    for answer, names in (("n", ["alpha", "beta", "gamma"]), ("y", ["alpha", "beta", "gamma", "bare"])):
        child = fleet.operator.terminal("host", "add", "bare", where)
        child.expect("SHA256:[A-Za-z0-9+/]{43}")
        child.expect("y/N")
        child.sendline(answer)
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == (0 if answer == "y" else 1)
        assert fleet("host", "ls", "-q").lines == names
    fleet("host", "rm", "bare")
    assert fleet("-H", where, "ps", check=False).code == 255, "its key is forgotten too"


def test_a_changed_key_is_refused(fleet: Fleet) -> None:
    fleet.inside("beta", "sh", "-c", "mkdir /root/old && cp /etc/ssh/ssh_host_* /root/old && rm /etc/ssh/ssh_host_*")
    fleet.inside("beta", "sh", "-c", "ssh-keygen -A -q")
    refused = fleet("-H", "beta", "ps", check=False)
    assert refused.code == 255 and "another host key" in refused.err
    add = ("host", "add", "beta", f"root@{fleet.addresses['beta']}", "--yes", "--label", "zone=b")
    assert "already" in fleet(*add, check=False).err
    fleet(*add, "--replace")
    fleet("-H", "beta", "ps")


def test_how_they_are(fleet: Fleet) -> None:
    rows = [json.loads(line) for line in fleet("host", "ls", "--format", "json").lines]
    assert [row["Name"] for row in rows] == ["alpha", "beta", "gamma"]
    assert {row["State"] for row in rows} == {"ready"} and all(row["DiskFree"] and row["Load"] for row in rows)
    assert fleet("host", "ls", "-q", "zone=b").lines == ["beta", "gamma"]
    assert fleet("host", "check").out == "alpha: ready\nbeta: ready\ngamma: ready\n"
    fleet.inside("alpha", "mv", "/usr/sbin/nft", "/usr/sbin/nft.away")
    try:
        lacking = fleet("host", "check", "alpha", check=False)
        assert lacking.code == 1 and "no nft (package nftables)" in lacking.out
    finally:
        fleet.inside("alpha", "mv", "/usr/sbin/nft.away", "/usr/sbin/nft")


def test_installing(fleet: Fleet) -> None:
    fleet.enrol("bare")
    missing = fleet("-H", "bare", "ps", check=False)
    assert missing.code == 255 and "has no lxcwrap (lxcwrap host setup bare" in missing.err
    done = fleet("host", "setup", "bare", timeout=300)
    assert "is installed" in done.out and all(line.startswith("bare | ") for line in done.lines)
    fleet("-H", "bare", "template", "build", "busybox")
    assert fleet("-H", "bare", "run", "--rm", "busybox", "echo", "word").out == "word\n"
    assert "is installed" in fleet("host", "setup", "bare", timeout=300).out, "again, over itself"
    fleet("host", "rm", "bare")


@pytest.fixture(scope="module")
def users(fleet: Fleet) -> None:
    """deploy may become root by sudo, careful with a password only."""
    key = (fleet.home / ".ssh" / "id_ed25519.pub").read_text()
    for name in ("deploy", "careful"):
        fleet.inside("alpha", "useradd", "--create-home", "--shell", "/bin/bash", name)
        script = f"mkdir -p ~{name}/.ssh && cat >~{name}/.ssh/authorized_keys && chown -R {name}: ~{name}/.ssh"
        fleet.inside("alpha", "sh", "-c", script, input=key.encode())
    fleet.inside("alpha", "sh", "-c", "echo 'echo noise of a login shell' >~deploy/.bashrc")
    fleet.inside("alpha", "chpasswd", input=b"careful:the password\n")
    rules = b"deploy ALL=(root) NOPASSWD: ALL\ncareful ALL=(root) ALL\n"
    fleet.inside("alpha", "sh", "-c", "cat >/etc/sudoers.d/test", input=rules)


def test_sudo(fleet: Fleet, users: None) -> None:
    where = f"deploy@{fleet.addresses['alpha']}"
    assert fleet("-H", where, "run", "--rm", "busybox", "echo", "word").out == "word\n"


def test_sudo_that_asks(fleet: Fleet, users: None) -> None:
    where = f"careful@{fleet.addresses['alpha']}"
    unasked = fleet("-H", where, "ps", check=False)
    assert unasked.code == 255 and "sudo wants a password" in unasked.err
    for password, expected in (("wrong", "does not take the password"), ("the password", "word\r\n")):
        child = fleet.operator.terminal("-H", where, "run", "--rm", "busybox", "echo", "word")
        child.expect("sudo's password on .*: ")
        child.sendline(password)
        child.expect(expected)
        child.expect(pexpect.EOF)
        child.close()
        assert (child.exitstatus == 0) == (password != "wrong")
    assert "the password" not in fleet.inside("alpha", "sh", "-c", "cat /var/log/*.log", check=False).out


def test_the_ways_of_ssh_config(fleet: Fleet, users: None, tmp_path: Path) -> None:
    """An alias, another user, a key with a passphrase, and a host behind another."""
    key = fleet.home / ".ssh" / "locked"
    subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "open sesame", "-f", key], check=True)
    fleet.inside("gamma", "sh", "-c", "cat >>/root/.ssh/authorized_keys", input=key.with_suffix(".pub").read_bytes())
    config = fleet.home / ".ssh" / "config"
    config.write_text(
        f"Host middle\n  HostName {fleet.addresses['alpha']}\n  User deploy\n"
        f"Host behind\n  HostName {fleet.addresses['gamma']}\n  User root\n  ProxyJump middle\n"
        f"Host locked\n  HostName {fleet.addresses['gamma']}\n  User root\n  IdentityFile {key}\n  IdentitiesOnly yes\n"
    )
    try:
        fleet("host", "add", "middle")
        fleet("host", "add", "behind")
        assert fleet("-H", "behind", "run", "--rm", "busybox", "echo", "word").out == "word\n"
        assert fleet("-H", "root@locked", "ps", check=False).code == 255
        child = fleet.operator.terminal("-H", "root@locked", "run", "--rm", "busybox", "echo", "word")
        child.expect("Passphrase for .*: ")
        child.sendline("open sesame")
        child.expect("word")
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == 0
    finally:
        config.unlink()
        fleet("host", "rm", "middle", "behind")


def test_a_login_that_is_not_allowed(fleet: Fleet) -> None:
    refused = fleet("-H", f"nobody@{fleet.addresses['alpha']}", "ps", check=False)
    assert refused.code == 255 and "none of the keys tried" in refused.err and "id_ed25519" in refused.err


@pytest.fixture
def stranger(fleet: Fleet, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of an operator with no keys, no hosts and no known hosts of their own."""
    (tmp_path / ".ssh").mkdir(mode=0o700)
    yield {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / ".config")}


def let_in(fleet: Fleet, name: str, key: Path) -> None:
    public = key.with_suffix(".pub").read_bytes()
    fleet.inside(name, "sh", "-c", "cat >>/root/.ssh/authorized_keys", input=public)


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_keys_of_other_kinds(fleet: Fleet, stranger: dict[str, str], kind: str) -> None:
    """The user's, and the only one that is known of the host."""
    ssh, address = Path(stranger["HOME"]) / ".ssh", fleet.addresses["alpha"]
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", ssh / f"id_{kind}"], check=True)
    let_in(fleet, "alpha", ssh / f"id_{kind}")
    key = fleet.inside("alpha", "cat", f"/etc/ssh/ssh_host_{kind}_key.pub").out
    (ssh / "known_hosts").write_text(f"{address} {key}")
    assert fleet("-H", f"root@{address}", "images", "-q", "busybox", env=stranger).out
    another = fleet.inside("beta", "cat", f"/etc/ssh/ssh_host_{kind}_key.pub").out
    (ssh / "known_hosts").write_text(f"{address} {another}")
    refused = fleet("-H", f"root@{address}", "ps", env=stranger, check=False)
    assert refused.code == 255 and "another host key" in refused.err
    (ssh / "known_hosts").write_text(f"{address} {key}@revoked * {key}")
    refused = fleet("-H", f"root@{address}", "ps", env=stranger, check=False)
    assert refused.code == 255 and "revoked" in refused.err


def test_the_agents_key(fleet: Fleet, stranger: dict[str, str], tmp_path: Path) -> None:
    """There is no file of it; IdentitiesOnly leaves the agent out."""
    key, where = tmp_path / "key", f"root@{fleet.addresses['gamma']}"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    let_in(fleet, "gamma", key)
    known = fleet.inside("gamma", "cat", "/etc/ssh/ssh_host_ed25519_key.pub").out
    (tmp_path / ".ssh" / "known_hosts").write_text(f"{fleet.addresses['gamma']} {known}")
    socket = tmp_path / "agent"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL)
    try:
        while not socket.exists():
            time.sleep(0.01)
        environment = {**stranger, "SSH_AUTH_SOCK": str(socket)}
        unlet = fleet("-H", where, "ps", env=environment, check=False)
        assert unlet.code == 255 and "ssh-add" in unlet.err
        subprocess.run(["ssh-add", "-q", key], env={**os.environ, **environment}, check=True)
        key.unlink()
        assert fleet("-H", where, "run", "--rm", "busybox", "echo", "word", env=environment).out == "word\n"
        (tmp_path / ".ssh" / "config").write_text("Host *\n  IdentitiesOnly yes\n")
        assert fleet("-H", where, "ps", env=environment, check=False).code == 255
    finally:
        agent.terminate()
        agent.wait()


def test_an_ansible_inventory(fleet: Fleet, missing: Callable[[str], None], tmp_path: Path) -> None:
    path = f"{sys.prefix}/bin:{os.environ['PATH']}"
    if not shutil.which("ansible-inventory", path=path):
        missing("not installed: ansible-inventory")
    inventory = tmp_path / "inventory.ini"
    inventory.write_text(
        f"[web]\none ansible_host={fleet.addresses['alpha']} ansible_user=root\n"
        f"two ansible_host={fleet.addresses['beta']} ansible_user=root ansible_port=22 ansible_become=false\n"
        "[site:children]\nweb\n[web:vars]\nlxcwrap_labels={'zone': 'a'}\n"
    )
    environment = {"LXCWRAP_INVENTORY": str(inventory), "PATH": path}
    assert fleet("host", "ls", "-q", "site", env=environment).lines == ["one", "two"]
    both = fleet("-H", "zone=a", "images", "-q", "busybox", env=environment)
    assert [line.partition(" ")[0] for line in sorted(both.lines)] == ["one", "two"]
    refused = fleet("host", "rm", "one", env=environment, check=False)
    assert refused.code == 1 and "Ansible" in refused.err
    inventory.write_text("[web\none\n")
    broken = fleet("host", "ls", env=environment, check=False)
    assert broken.code == 1 and f"cannot read {inventory}" in broken.err and broken.err.count("\n") == 1
