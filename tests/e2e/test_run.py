"""``run`` as users type it: exit codes, streams, users, limits, mounts."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (["true"], 0),
        (["sh", "-c", "exit 7"], 7),
        (["sh", "-c", "sh -c 'kill -9 $$'; exit $?"], 137),
        (["no-such-command"], 127),
        (["/etc/passwd"], 126),
        (["/no/such/file"], 127),
    ],
)
def test_exit_codes(cli: Any, busybox: str, argv: list[str], code: int) -> None:
    result = cli("run", "--rm", "--network", "none", busybox, *argv, check=False)
    assert result.code == code, result.err
    assert cli("ps", "-aq").out == ""


def test_failure_names_the_command(cli: Any, busybox: str) -> None:
    result = cli("run", "--rm", busybox, "no-such-command", check=False)
    assert 'exec: "no-such-command": executable file not found in $PATH' in result.err
    assert len(result.err.splitlines()) == 1


def test_streams_stay_apart_and_stdin_ends(cli: Any, busybox: str) -> None:
    result = cli("run", "--rm", "-i", busybox, "sh", "-c", "cat; echo oops >&2", input=b"one\ntwo\n")
    assert (result.out, result.err) == ("one\ntwo\n", "oops\n")


def test_much_output_arrives_whole(cli: Any, busybox: str) -> None:
    result = cli("run", "--rm", "--network", "none", busybox, "seq", "200000")
    assert result.out.splitlines()[-1] == "200000"
    assert len(result.out) == sum(len(str(n)) + 1 for n in range(1, 200001))


def test_security_defaults(cli: Any, busybox: str) -> None:
    out = cli("run", "--rm", busybox, "cat", "/proc/self/status", "/proc/self/uid_map").out
    fields = dict(line.split(":\t", 1) for line in out.splitlines() if ":\t" in line)
    assert fields["CapBnd"] == "00000000800405fb"
    assert fields["CapInh"] == "0000000000000000"
    assert fields["Seccomp"] == "2"
    assert out.splitlines()[-1].split()[1] != "0", "root in the container is not the host's"


@pytest.mark.parametrize(
    "command",
    [
        "echo 1 > /proc/sys/net/ipv4/ip_forward",
        "echo x > /proc/sys/kernel/hostname",
        "touch /sys/x",
        "mount -t tmpfs none /tmp",
        "mknod /tmp/disk b 8 0",
        "unshare -r true",
    ],
)
def test_refused_inside(cli: Any, busybox: str, command: str) -> None:
    assert cli("run", "--rm", busybox, "sh", "-c", command, check=False).code != 0


def test_flags_take_effect(cli: Any, busybox: str, tmp_path: Path) -> None:
    (tmp_path / "env").write_text("# comment\nFROM_FILE=yes\n")
    script = "hostname; id -u; id -G; pwd; echo $A $FROM_FILE; ulimit -n; cat /proc/sys/net/core/somaxconn"
    result = cli(
        "run", "--rm", "-h", "box",
        "-u", "1:6", "--group-add", "7", "--userns", "host", "-w", "/made/here", "-e", "A=b c",
        "--env-file", tmp_path / "env", "--ulimit", "nofile=64:128", "--sysctl", "net.core.somaxconn=99",
        busybox, "sh", "-c", script,
    )  # fmt: skip
    assert result.out.splitlines() == ["box", "1", "6 7", "/made/here", "b c yes", "64", "99"]


def test_mounts(cli: Any, busybox: str, tmp_path: Path) -> None:
    host = tmp_path / "host"
    script = "echo data > /host/file; echo kept > /vol/file; df /small | tail -1; touch /nope"
    result = cli(
        "run", "--rm", "--read-only", "-v", f"{host}:/host", "-v", "vol1:/vol", "--tmpfs", "/small:size=1m",
        busybox, "sh", "-c", script, check=False,
    )  # fmt: skip
    assert result.code == 1 and "Read-only file system" in result.err
    assert (host / "file").read_text() == "data\n"
    assert (host / "file").stat().st_uid == 0, "root's files are root's on the host"
    assert " 1024 " in result.out
    assert cli("run", "--rm", "-v", "vol1:/v:ro", busybox, "cat", "/v/file").out == "kept\n"


def test_new_volume_is_filled_from_the_image(cli: Any, busybox: str) -> None:
    out = cli("run", "--rm", "-v", "filled:/etc", busybox, "cat", "/etc/passwd").out
    assert out.startswith("root:")


def test_mount_target_link_stays_inside(cli: Any, busybox: str, tmp_path: Path) -> None:
    cli("run", "--name", "linked", busybox, "sh", "-c", "ln -s /../../../../etc /trap")
    cli("commit", "linked", "trapped")
    cli("rm", "linked")
    (tmp_path / "x").write_text("mine")
    out = cli("run", "--rm", "-v", f"{tmp_path}/x:/trap/lxcwrap-probe", "trapped", "cat", "/etc/lxcwrap-probe").out
    assert out == "mine"
    assert not os.path.exists("/etc/lxcwrap-probe")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--memory", "1m"], "6 MiB"),
        (["--cap-add", "nonsense"], "nonsense"),
        (["-e", "A=b\nc"], "control character"),
        (["--name", "a\nb"], "not allowed"),
        (["--label", "a=b\x1b"], "control character"),
        (["-h", "a\nb"], "not allowed"),
        (["--sysctl", "kernel.panic=1"], "namespaced"),
        (["--device", "/dev/no-such"], "no such device"),
        (["--network", "nowhere"], "nowhere"),
        (["--rm", "--restart", "always"], "exclude"),
        (["--restart", "on-failure:x"], "'x' is not a count"),
        (["--cpus", "100000"], "--cpus 100000: this host has"),
        (["--cpuset-cpus", "9999"], "--cpuset-cpus '9999': not on this host"),
        (["--cpuset-cpus", "one"], "write numbers and ranges"),
        (["--stop-signal", "NONSENSE"], "--stop-signal: invalid signal"),
        (["--label", "a b=c"], "white space"),
        (["--shm-size", "-1"], "--shm-size -1: it must be greater than 0"),
        (["--platform", "a//b"], "platform 'a//b' is not os[/architecture[/variant]]"),
        (["--platform", "linux/s390x", "--pull", "never"], "no such image: busybox"),
        (["-v", "/etc/passwd/x:/y"], "/etc/passwd/x: Not a directory"),
        (["-v", "/etc:/etc/passwd"], "a directory goes on a directory only, and a file on a file"),
        (["--mac-address", "zz"], "--mac-address 'zz' is not a MAC address"),
        (["--cpu-shares", "-5"], "--cpu-shares -5: out of range"),
        (["--cpu-period", "5"], "--cpu-period 5: out of range"),
        (["--cpu-quota", "5"], "--cpu-quota 5: out of range"),
        (["--health-cmd", "true"], "--health-cmd is not supported: health checks"),
        (["--no-healthcheck"], "--no-healthcheck is not supported: health checks"),
        (["--mount", "type=npipe,dst=/x"], "type 'npipe' is not supported"),
        (["-v", "/tmp:/x:rshared"], "what a container mounts never reaches the host"),
        (["--volumes-from", "nobody"], "no such container: nobody"),
        (["--disable-content-trust"], "--disable-content-trust is not supported"),
        (["--gpus", "all"], "--gpus"),
    ],
)
def test_bad_flags_are_one_line_and_leave_nothing(cli: Any, busybox: str, flags: list[str], said: str) -> None:
    before = set(cli("ps", "-aq").out.split())
    result = cli("run", "--rm", *flags, busybox, "true", check=False)
    assert result.code == 125 and said in result.err
    assert len(result.err.splitlines()) == 1
    assert set(cli("ps", "-aq").out.split()) == before


def test_signals_are_passed_on(cli: Any, busybox: str) -> None:
    import subprocess

    script = "trap 'echo caught; exit 9' TERM; echo ready; while :; do sleep 0.1; done"
    process = cli.popen("run", "--rm", busybox, "sh", "-c", script, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.stdout.read() == b"caught\n"
    assert process.wait(20) == 9


def test_terminal(cli: Any, busybox: str) -> None:
    child = cli.terminal("run", "-it", "--rm", busybox, "sh", dimensions=(33, 111))
    child.expect("# ")
    child.sendline("stty size; tty")
    child.expect("33 111\r\n/dev/")
    child.setwinsize(40, 99)
    time.sleep(0.3)
    child.sendline("stty size")
    child.expect("40 99")
    child.sendline("sleep 100")
    time.sleep(0.3)
    child.sendcontrol("c")
    child.sendline("echo x$((1+1))y")
    child.expect("x2y")
    child.sendline("exit 4")
    child.expect(__import__("pexpect").EOF)
    child.close()
    assert child.exitstatus == 4


def test_detach_keys_leave_it_running(cli: Any, busybox: str) -> None:
    child = cli.terminal("run", "-it", "--name", "left", busybox, "sh")
    child.expect("# ")
    child.send("\x10\x11")
    child.expect(__import__("pexpect").EOF)
    child.close()
    assert child.exitstatus == 0
    assert cli("inspect", "-f", "{{.State.Status}}", "left").out == "running\n"
    for words in (
        ["attach", "--detach-keys", "ctrl-a", "left"],
        ["exec", "-it", "--detach-keys", "ctrl-a", "left", "sh"],
    ):
        child = cli.terminal(*words)
        child.send("echo x$((1+1))y\r")
        child.expect("x2y")
        child.send("\x01")
        child.expect("read escape sequence")
        child.expect(__import__("pexpect").EOF)
        child.close()
        assert child.exitstatus == 1
    cli("rm", "-f", "left")


def test_labels_from_a_file_and_a_log_that_is_not_kept(cli: Any, busybox: str, tmp_path: Path) -> None:
    (tmp_path / "labels").write_text("# comment\n\n  a=b c\nd=e=f\n")
    cli("create", "--name", "labelled", "--label-file", tmp_path / "labels", "--log-driver", "none", busybox)
    assert json.loads(cli("inspect", "-f", "{{json .Config.Labels}}", "labelled").out) == {"a": "b c", "d": "e=f"}
    kept = cli("logs", "labelled", check=False)
    assert kept.code == 1 and "container labelled keeps no log" in kept.err
    cli("rm", "labelled")


def test_limits_and_capabilities_in_inspect(cli: Any, busybox: str) -> None:
    made = ("create", "--name", "limited", "-m", "64m", "--cap-add", "net_admin", "--cap-drop", "all")
    cli(*made, busybox)
    wanted = "{{.HostConfig.Memory}} {{.HostConfig.MemorySwap}} {{.HostConfig.CapAdd}} {{.HostConfig.CapDrop}}"
    assert cli("inspect", "-f", wanted, "limited").out == "67108864 134217728 [CAP_NET_ADMIN] [ALL]\n"
    cli("rm", "limited")


def test_cidfile(cli: Any, busybox: str, tmp_path: Path) -> None:
    path = tmp_path / "cid"
    made = cli("run", "-d", "--cidfile", path, busybox, "true").out.strip()
    assert path.read_text() == made
    assert cli("run", "--cidfile", path, busybox, "true", check=False).code == 125
    cli("rm", "-f", made)


def test_restart_policy(cli: Any, busybox: str) -> None:
    cli("run", "-d", "--name", "again", "--restart", "on-failure:2", busybox, "false")
    assert cli("wait", "again").out == "1\n"
    state = json.loads(cli("inspect", "again").out)[0]
    assert state["RestartCount"] == 2
    cli("rm", "again")


@pytest.mark.parametrize("words", [["run", "--rm", "-it"], ["run", "-it", "-a", "stdin"]])
def test_terminal_wants_a_terminal(cli: Any, busybox: str, words: list[str]) -> None:
    result = cli(*words, busybox, "true", check=False, input=b"x\n")
    assert result.code == 1 and "the input device is not a TTY" in result.err
    assert cli("ps", "-aq").out == ""


def test_detached_needs_no_terminal_and_attach_asks_for_one(cli: Any, busybox: str) -> None:
    cli("run", "-dit", "--name", "shell", busybox, "sh")
    for words in (["exec", "-it", "shell", "true"], ["attach", "shell"]):
        result = cli(*words, check=False)
        assert result.code == 1 and "the input device is not a TTY" in result.err
    assert cli("exec", "-t", "shell", "echo", "a").out == "a\r\n"
    cli("rm", "-f", "shell")
    conflict = cli("run", "-d", "-a", "stdout", busybox, "true", check=False)
    assert conflict.code == 1 and "conflicting options: -a and -d" in conflict.err


def test_the_way_to_an_image_is_told_on_stderr(cli: Any) -> None:
    result = cli("run", "--rm", "127.0.0.1:9/none", "true", check=False)
    assert result.code == 125 and result.out == ""
    assert result.err.startswith("Unable to find image '127.0.0.1:9/none' locally\n")


def test_host_name_goes_with_the_network(cli: Any, busybox: str) -> None:
    assert cli("run", "--rm", "--network", "host", busybox, "hostname").out.strip() == os.uname().nodename
    assert cli("run", "--rm", "--network", "host", "-h", "box", busybox, "hostname").out == "box\n"
    cli("run", "-d", "--name", "first", "-h", "primus", busybox, "sleep", "60")
    shared = ("run", "--rm", "--network", "container:first")
    assert cli(*shared, busybox, "hostname").out == "primus\n"
    assert cli(*shared, "-h", "x", busybox, "hostname", check=False).code == 125
    cli("rm", "-f", "first")
