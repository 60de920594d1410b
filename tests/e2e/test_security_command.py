"""``security``: what it says of a container is what the kernel does with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def report(cli: Any, name: str) -> tuple[dict[str, Any], dict[str, tuple[bool, str]]]:
    document = json.loads(cli("security", "--format", "json", name).out)[0]
    return document, {each["topic"]: (each["protects"], each["text"]) for each in document["findings"]}


def test_the_defaults_as_the_kernel_says(cli: Any, busybox: str) -> None:
    cli("run", "-d", "--name", "plain", busybox, "sleep", "60")
    document, topics = report(cli, "plain")
    pid = cli("inspect", "-f", "{{.State.Pid}}", "plain").out.strip()
    outside = Path(f"/proc/{pid}/uid_map").read_text().split()[1]
    assert (document["status"], document["source"]) == ("running", "kernel")
    assert topics["User namespace"][0] and f"the host's id {outside} " in topics["User namespace"][1]
    assert topics["Capabilities"][0] and topics["Capabilities"][1].startswith("11 of ")
    protecting = ("System calls", "Kernel files", "Devices", "Network", "Other namespaces", "Host's files")
    assert all(topics[topic][0] for topic in protecting)
    assert not topics["New privileges"][0] and not topics["Root file system"][0] and not topics["Limits"][0]
    words = cli("security", "plain").out
    assert words.startswith("plain (running), as the kernel says\n  What protects:\n    User namespace")
    cli("rm", "-f", "plain")


def test_what_was_opened_is_named(cli: Any, busybox: str, tmp_path: Path) -> None:
    cli("run", "-d", "--name", "open", "--userns", "host", "--cap-add", "SYS_ADMIN", "--pid", "host",
        "--network", "host", "--security-opt", "seccomp=unconfined", "--security-opt", "systempaths=unconfined",
        "--device", "/dev/loop-control", "-v", f"{tmp_path}:/w", "-v", "/etc:/r:ro",
        busybox, "sleep", "60")  # fmt: skip
    _, topics = report(cli, "open")
    assert topics["User namespace"] == (False, "none: root in the container is root on the host")
    assert not topics["Capabilities"][0] and "SYS_ADMIN can be turned against" in topics["Capabilities"][1]
    assert not topics["System calls"][0] and not topics["Network"][0]
    assert not topics["Kernel files"][0] and "/proc/sys" in topics["Kernel files"][1]
    assert topics["Devices"] == (False, "besides the usual six: /dev/loop-control (rwm)")
    assert topics["Other namespaces"] == (False, "sees the host's processes")
    lines = cli("security", "open").lines
    assert f"    Host's files      can be written to: {tmp_path} at /w" in lines
    assert "    Host's files      can be read: /etc at /r" in lines
    cli("rm", "-f", "open")


def test_a_privileged_and_a_sealed_one_before_they_run(cli: Any, busybox: str) -> None:
    cli("create", "--name", "mighty", "--privileged", busybox)
    cli("create", "--name", "sealed", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
        "--network", "none", "-m", "32m", "--pids-limit", "9", "--cpus", "0.5", busybox)  # fmt: skip
    document, topics = report(cli, "mighty")
    assert document["source"] == "configuration" and "Privileged" in topics
    for topic in ("User namespace", "Capabilities", "System calls", "Kernel files", "Devices"):
        assert not topics[topic][0]
    _, topics = report(cli, "sealed")
    assert {topic for topic, (protects, _) in topics.items() if not protects} <= {"AppArmor"}
    assert topics["Capabilities"] == (True, "none at all")
    cli("rm", "mighty", "sealed")


def test_a_read_only_root_and_privileges_of_a_running_one(cli: Any, busybox: str) -> None:
    cli("run", "-d", "--name", "shut", "--read-only", "--security-opt", "no-new-privileges", busybox, "sleep", "60")
    _, topics = report(cli, "shut")
    assert topics["Root file system"] == (True, "read-only") and topics["New privileges"][0]
    cli("rm", "-f", "shut")
    missing = cli("security", "shut", check=False)
    assert missing.code == 1 and missing.err == "lxcwrap: no such container: shut\n"
