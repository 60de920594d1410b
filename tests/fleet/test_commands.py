"""``-H``: the same commands on other hosts, with the streams, terminals and exit codes that they have here."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pexpect

from tests.fleet.conftest import Fleet


def wait_for(fleet: Fleet, host: str, wanted: bool, *words: str) -> None:
    for _ in range(100):
        if (fleet.inside(host, *words, check=False).code == 0) == wanted:
            return
        time.sleep(0.1)
    raise AssertionError(f"{words} on {host} is still {'false' if wanted else 'true'}")


def test_streams_and_exit_code(fleet: Fleet) -> None:
    script = "cat; echo err >&2; exit 7"
    result = fleet("-H", "alpha", "run", "--rm", "-i", "busybox", "sh", "-c", script, input=b"in\n", check=False)
    assert (result.code, result.out, result.err) == (7, "in\n", "err\n")
    assert fleet("-H", "alpha", "run", "--rm", "busybox", "nosuch", check=False).code == 127


def test_words_arrive_as_they_are(fleet: Fleet) -> None:
    words = ("a b", "c;d", "$HOME", "`id`", "'", '"', "", "ä\u2028", "-x", "line\nline")
    result = fleet(
        "-H", "alpha", "run", "--rm", "busybox", "sh", "-c", 'for w; do printf "<%s>" "$w"; done', "sh", *words
    )
    assert result.out == "".join(f"<{word}>" for word in words)


def test_errors_are_those_of_there(fleet: Fleet) -> None:
    result = fleet("-H", "alpha", "start", "nosuch", check=False)
    assert result.code == 1 and result.err.startswith("lxcwrap: ") and "nosuch" in result.err
    assert fleet("-H", "alpha", "nosuch", check=False).code == 1
    assert fleet("-H", "alpha", "run", "--nosuch", "busybox", check=False).code == 125


def test_the_environment_names_a_host_too(fleet: Fleet) -> None:
    fleet("-H", "beta", "run", "-d", "--name", "here", "busybox", "sleep", "100")
    assert fleet("ps", "--format", "{{.Names}}", env={"LXCWRAP_HOST": "beta"}).out == "here\n"
    assert fleet("host", "ls", "-q", env={"LXCWRAP_HOST": "beta"}).lines == ["alpha", "beta", "gamma"]
    fleet("-H", "beta", "rm", "-f", "here")


def test_images_go_both_ways(fleet: Fleet, tmp_path: Path) -> None:
    archive = tmp_path / "image.tar"
    fleet("-H", "alpha", "tag", "busybox", "moved:1")
    fleet("-H", "alpha", "save", "-o", archive, "moved:1")
    fleet("-H", "beta", "load", "-i", archive)
    assert fleet("-H", "beta", "images", "-q", "moved:1").out == fleet("-H", "alpha", "images", "-q", "moved:1").out
    refused = fleet("-H", "beta", "save", "-o", tmp_path / "nothing.tar", "nosuch", check=False)
    assert refused.code == 1 and not list(tmp_path.glob("nothing*"))
    assert "nosuch.tar" in fleet("-H", "beta", "load", "-i", tmp_path / "nosuch.tar", check=False).err


def test_files_of_options_are_of_here(fleet: Fleet, tmp_path: Path) -> None:
    (tmp_path / "env").write_text("WORD=two words\n")
    for flag in ((f"--env-file={tmp_path}/env",), ("--env-file", f"{tmp_path}/env")):
        assert "WORD=two words" in fleet("-H", "alpha", "run", "--rm", *flag, "busybox", "env").lines
    missing = fleet("-H", "alpha", "run", "--rm", "--env-file", "/nosuch", "busybox", "env", check=False)
    assert missing.code == 125 and "/nosuch" in missing.err
    refused = fleet("-H", "alpha", "run", "--cidfile", tmp_path / "cid", "busybox", check=False)
    assert refused.code == 1 and "--cidfile" in refused.err


def test_copying_both_ways(fleet: Fleet, tmp_path: Path) -> None:
    fleet("-H", "alpha", "run", "-d", "--name", "box", "busybox", "sleep", "600")
    (tmp_path / "tree" / "sub").mkdir(parents=True)
    (tmp_path / "tree" / "sub" / "file").write_text("word\n")
    fleet("-H", "alpha", "cp", tmp_path / "tree", "box:/new")
    fleet("-H", "alpha", "cp", f"{tmp_path}/tree/.", "box:/var")
    fleet("-H", "alpha", "cp", tmp_path / "tree" / "sub" / "file", "box:/renamed")
    shown = ("cat", "/new/sub/file", "/var/sub/file", "/renamed")
    assert fleet("-H", "alpha", "exec", "box", *shown).out == "word\n" * 3
    (tmp_path / "back").mkdir()
    fleet("-H", "alpha", "cp", "box:/new", tmp_path / "back")
    fleet("-H", "alpha", "cp", "box:/renamed", tmp_path / "back" / "other")
    assert (tmp_path / "back" / "new" / "sub" / "file").read_text() == "word\n"
    assert (tmp_path / "back" / "other").read_text() == "word\n"
    missing = fleet("-H", "alpha", "cp", "box:/nosuch", tmp_path, check=False)
    assert missing.code == 1 and missing.err == "lxcwrap: could not find the file /nosuch in container box\n"
    assert "no such file" in fleet("-H", "alpha", "cp", "/nosuch", "box:/", check=False).err
    fleet("-H", "alpha", "rm", "-f", "box")


def test_a_build_of_a_folder_of_here(fleet: Fleet, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("kept\n")
    (tmp_path / "left").write_text("left\n")
    (tmp_path / ".dockerignore").write_text("left\nDockerfile\n")
    (tmp_path / "Dockerfile").write_text("FROM busybox\nCOPY . /context\n")
    fleet("-H", "alpha", "build", "-q", "-t", "built", tmp_path)
    assert fleet("-H", "alpha", "run", "--rm", "built", "ls", "-A", "/context").lines == [".dockerignore", "kept"]
    (tmp_path / "elsewhere").mkdir()
    other = tmp_path / "elsewhere" / "Other"
    other.write_text("FROM busybox\nCOPY kept /alone\n")
    fleet("-H", "alpha", "build", "-q", "-t", "built", "-f", other, tmp_path)
    assert fleet("-H", "alpha", "run", "--rm", "built", "cat", "/alone").out == "kept\n"
    text = b"FROM busybox\nCOPY nosuch /\n"
    failed = fleet("-H", "alpha", "build", "-f", "-", tmp_path, input=text, check=False)
    assert failed.code == 1 and "Dockerfile:2" in failed.err
    assert "no such directory" in fleet("-H", "alpha", "build", "/nosuch", check=False).err


def test_a_terminal_and_its_size(fleet: Fleet) -> None:
    child = fleet.operator.terminal("-H", "alpha", "run", "--rm", "-it", "busybox", "sh", dimensions=(31, 97))
    child.expect("# ")
    child.sendline("stty size; tty; echo $TERM")
    child.expect("31 97")
    child.expect("/dev/")
    child.setwinsize(20, 70)
    child.expect("# ")
    child.sendline("sleep 1; stty size")
    child.expect("20 70")
    child.expect("# ")
    child.sendline("echo be''gun; sleep 100")
    child.expect("begun")
    time.sleep(0.5)
    child.sendintr()
    child.expect("# ")
    child.sendline("exit 5")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 5


def test_detaching(fleet: Fleet) -> None:
    child = fleet.operator.terminal("-H", "alpha", "run", "-it", "--name", "left", "busybox", "sh")
    child.expect("# ")
    child.send("\x10\x11")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert fleet("-H", "alpha", "inspect", "-f", "{{.State.Status}}", "left").out == "running\n"
    fleet("-H", "alpha", "rm", "-f", "left")


def test_interrupts_arrive(fleet: Fleet) -> None:
    fleet(
        "-H", "alpha", "run", "-d", "--name", "talks", "busybox", "sh", "-c", "while :; do echo word; sleep 0.2; done"
    )
    logs = fleet.operator.popen("-H", "alpha", "logs", "-f", "talks", stdout=subprocess.PIPE)
    assert logs.stdout and logs.stdout.readline() == b"word\n"
    logs.send_signal(signal.SIGINT)
    assert logs.wait(20) in (130, 0)
    wait_for(fleet, "alpha", False, "pgrep", "-f", "logs -f talks")
    fleet("-H", "alpha", "rm", "-f", "talks")


def test_what_an_operator_who_died_left_ends(fleet: Fleet) -> None:
    """Commands end with their client; containers are nobody's client."""
    fleet("-H", "alpha", "run", "-d", "--name", "stays", "busybox", "sleep", "1000")
    follows = fleet.operator.popen("-H", "alpha", "logs", "-f", "stays")
    wait_for(fleet, "alpha", True, "pgrep", "-f", "remote-end")
    os.kill(follows.pid, signal.SIGKILL)
    follows.wait()
    wait_for(fleet, "alpha", False, "pgrep", "-f", "remote-end")
    assert fleet("-H", "alpha", "inspect", "-f", "{{.State.Status}}", "stays").out == "running\n"
    fleet("-H", "alpha", "rm", "-f", "stays")


def test_several_hosts_at_once(fleet: Fleet) -> None:
    result = fleet("-H", "zone=b", "run", "--rm", "busybox", "echo", "word")
    assert sorted(result.lines) == ["beta  | word", "gamma | word"]
    fleet("-H", "alpha", "run", "-d", "--name", "only", "busybox", "sleep", "100")
    some = fleet("-H", "all", "inspect", "-f", "{{.Name}}", "only", check=False)
    assert some.code == 1 and "alpha | /only" in some.lines
    assert "beta: exit code 1" in some.err and "2 of 3 hosts failed" in some.err
    fleet("-H", "alpha", "rm", "-f", "only")
    assert "-i and -t" in fleet("-H", "all", "run", "-it", "busybox", check=False).err


def test_a_dead_host_is_named_and_delays_nobody(fleet: Fleet) -> None:
    """It takes no connection (its packets are dropped), as one that lost its power."""
    fleet.inside(
        "gamma", "nft", "add table inet cut; add chain inet cut in { type filter hook input priority 0; policy drop; }"
    )
    try:
        began = time.monotonic()
        result = fleet("-H", "all", "images", "-q", "busybox", check=False)
        assert time.monotonic() - began < 25
        assert result.code == 1 and "gamma" in result.err and "does not answer" in result.err
        assert {line.split(" | ")[0].strip() for line in result.lines} == {"alpha", "beta"}
        listed = fleet("host", "ls", "--format", "{{.Name}} {{.State}}")
        assert listed.lines == ["alpha ready", "beta ready", "gamma unreachable"]
    finally:
        fleet.inside("gamma", "nft", "delete table inet cut")


def test_a_connection_that_dies_is_noticed(fleet: Fleet) -> None:
    follows = fleet.operator.popen("-H", "gamma", "events", stderr=subprocess.PIPE)
    wait_for(fleet, "gamma", True, "pgrep", "-f", "remote-end")
    fleet.inside(
        "gamma", "nft", "add table inet cut; add chain inet cut in { type filter hook input priority 0; policy drop; }"
    )
    try:
        assert follows.wait(60) == 255
        assert follows.stderr and b"gamma" in follows.stderr.read()
    finally:
        follows.kill()
        fleet.inside("gamma", "nft", "delete table inet cut")
