"""ps, inspect, stats, top, info, df, prune, volumes and logs, as a user types them, on real containers."""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import time
from typing import Any

import pexpect
import pytest


@pytest.fixture(scope="module")
def web(cli: Any, busybox: str) -> str:
    """A running container with a label, a volume and two streams of output."""
    script = "echo to out; echo to err >&2; exec sleep 600"
    cli(
        "run", "-d", "--name", "web", "-l", "stage=test", "-v", "pages:/pages", "-m", "64m", busybox, "sh", "-c", script
    )
    return "web"


@pytest.fixture(scope="module")
def job(cli: Any, busybox: str) -> str:
    """One that ended with 3."""
    assert cli("run", "--name", "job", "--network", "none", busybox, "sh", "-c", "exit 3", check=False).code == 3
    return "job"


def test_ps(cli: Any, web: str, job: str) -> None:
    lines = cli("ps").lines
    assert re.split(r"\s{3,}", lines[0]) == ["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"]
    assert len(lines) == 2
    assert re.match(r'[0-9a-f]{12}   busybox(:latest)?   "sh -c \'echo to out;…"   .* ago   Up .*   web$', lines[1])
    assert len(cli("ps", "-a").lines) == 3
    assert cli("ps", "-a", "--filter", "exited=3", "--format", "{{.Names}} {{.Status}}").out.startswith(
        "job Exited (3) "
    )
    assert cli("ps", "-q", "--no-trunc").out.strip() == cli("inspect", "-f", "{{.Id}}", web).out.strip()
    assert cli("ps", "-aqn", "1").lines == cli("ps", "-ql").lines
    assert cli("container", "ls", "--format", 'table {{.Names}}\t{{.Label "stage"}}').lines[1].split() == [
        "web",
        "test",
    ]
    assert json.loads(cli("ps", "--format", "json").out)["State"] == "running"
    assert "(virtual " in cli("ps", "-s").lines[1]


def test_ps_shows_pauses(cli: Any, web: str) -> None:
    cli("pause", web)
    assert "(Paused)" in cli("ps").lines[1]
    assert cli("inspect", "-f", "{{.State.Paused}} {{.State.Running}}", web).out == "true true\n"
    cli("unpause", web)
    assert "(Paused)" not in cli("ps").lines[1]


def test_inspect(cli: Any, web: str, job: str, busybox: str) -> None:
    (document,) = json.loads(cli("inspect", web).out)
    assert document["HostConfig"]["Memory"] == 64 * 1024 * 1024
    assert document["NetworkSettings"]["IPAddress"].count(".") == 3
    assert document["Mounts"][0]["Destination"] == "/pages"
    assert document["Config"]["Labels"] == {"stage": "test"}
    assert cli("inspect", "-f", "{{.State.ExitCode}}", job).out == "3\n"
    assert json.loads(cli("inspect", "-s", "--format", "json", web).out)[0]["SizeRootFs"] > 0
    (image,) = json.loads(cli("image", "inspect", busybox).out)
    assert image["RepoTags"] == ["busybox:latest"]
    assert image["Id"] == document["Image"]
    assert image["RootFS"]["Layers"]


def test_inspect_prints_what_it_finds(cli: Any, web: str, job: str) -> None:
    result = cli("inspect", "-f", "{{.Name}}", web, "nobody", job, check=False)
    assert (result.code, result.out) == (1, "/web\n/job\n")
    assert result.err == "lxcwrap: no such object: nobody\n"
    result = cli("inspect", "nobody", check=False)
    assert (result.code, result.out) == (1, "[]\n")
    assert cli("inspect", "-f", "{{", web, check=False).code == 64
    assert cli("inspect", "-f", "{{.Nope}}", web, check=False).code == 1
    assert cli("inspect", "--type", "volume", web, check=False).code == 1


def test_stats_and_top(cli: Any, web: str, job: str) -> None:
    rows = [json.loads(line) for line in cli("stats", "-a", "--no-stream", "--format", "json").lines]
    usage = {row["Name"]: row for row in rows}
    assert usage["web"]["MemUsage"].endswith(" / 64MiB")
    assert usage["web"]["PIDs"] == "1"
    assert usage["job"]["PIDs"] == "--"
    assert cli("stats", "--no-stream", "--format", "{{.Container}}", web).out == "web\n"
    assert cli("top", web).lines[0].startswith("UID")
    assert cli("top", web).lines[1].endswith("sleep 600")
    title, row = (line.split() for line in cli("top", web, "-o", "pid,cmd").lines)
    assert (title, row[1:]) == (["PID", "CMD"], ["sleep", "600"])
    assert row[0] == cli("inspect", "-f", "{{.State.Pid}}", web).out.strip()
    assert "is not running" in cli("top", job, check=False).err


def test_live_view(cli: Any, web: str) -> None:
    screen = cli.terminal("top", dimensions=(20, 120))
    screen.expect("running, by cpu")
    screen.expect(r"web\s")
    screen.expect("KiB|MiB")
    screen.send("m")
    screen.expect("running, by memory")
    screen.send("q")
    screen.expect(pexpect.EOF)
    screen.close()
    assert screen.exitstatus == 0


def test_live_view_wants_a_terminal(cli: Any) -> None:
    refused = cli("top", check=False)
    assert refused.code == 1
    assert refused.err == "lxcwrap: the live view needs a terminal (name a container, or see: lxcwrap stats)\n"


def test_top_does_not_show_our_own_processes(cli: Any, web: str) -> None:
    client = cli.popen("exec", "-i", web, "cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    client.stdin.write(b"x\n")
    client.stdin.flush()
    assert client.stdout.readline() == b"x\n"
    assert [row.split()[1:] for row in cli("top", web, "-o", "pid,cmd").lines[1:]] == [["sleep", "600"], ["cat"]]
    client.stdin.close()
    client.stdout.close()
    assert client.wait(10) == 0


def test_stats_sees_processor_time(cli: Any, busybox: str) -> None:
    cli("run", "-d", "--name", "busy", "--network", "none", "--cpus", "0.3", busybox, "sh", "-c", "while :; do :; done")
    try:
        share = cli("stats", "--no-stream", "--format", "{{.CPUPerc}}", "busy").out
        assert 5 < float(share.strip().rstrip("%")) < 60
    finally:
        cli("rm", "-f", "busy")


def test_live_stats_go_on_and_clear_the_terminal(cli: Any, web: str) -> None:
    child = cli.terminal("stats", web)
    child.expect_exact("\x1b[2J")
    child.expect("web")
    child.expect_exact("\x1b[2J")
    child.sendcontrol("c")
    child.expect_exact(__import__("pexpect").EOF)


def test_logs(cli: Any, web: str) -> None:
    result = cli("logs", web)
    assert (result.out, result.err) == ("to out\n", "to err\n")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z to out\n", cli("logs", "-t", web).out)
    assert cli("logs", "--details", web).out == " to out\n"
    assert cli("logs", "--since", "1ns", web).out == ""
    assert cli("logs", "--until", "2h", web).out == ""
    assert "no such container" in cli("logs", "nobody", check=False).err


def test_logs_follow_to_the_end(cli: Any, busybox: str) -> None:
    script = "for i in 1 2 3 4 5 6; do echo line $i; sleep 0.2; done; printf end"
    cli("run", "-d", "--name", "talker", "--network", "none", busybox, "sh", "-c", script)
    result = cli("logs", "-f", "talker")
    assert result.out == "".join(f"line {number}\n" for number in range(1, 7)) + "end"
    assert cli("logs", "-n", "2", "talker").out == "line 6\nend"
    assert cli("logs", "--tail", "0", "talker").out == ""
    cli("rm", "talker")


def test_volumes(cli: Any, web: str, busybox: str) -> None:
    assert cli("volume", "create", "--label", "a=b", "data").out == "data\n"
    cli("run", "--rm", "--network", "none", "-v", "data:/d", busybox, "touch", "/d/x")
    mountpoint = cli("volume", "inspect", "-f", "{{.Mountpoint}}", "data").out.strip()
    assert subprocess.run(["ls", mountpoint], capture_output=True, check=True).stdout == b"x\n"
    assert cli("volume", "ls", "-q", "--filter", "label=a").lines == ["data"]
    assert cli("volume", "ls", "-q", "--filter", "dangling=false").lines == ["pages"]
    refused = cli("volume", "rm", "pages", check=False)
    assert refused.code == 1
    assert "volume pages is in use by container" in refused.err
    assert cli("volume", "rm", "data").out == "data\n"
    assert cli("volume", "rm", "data", check=False).code == 1
    assert cli("volume", "rm", "-f", "data").code == 0
    assert cli("volume", "create", "bad/name", check=False).code == 1


def test_info_and_version(cli: Any, web: str, job: str) -> None:
    known = json.loads(cli("info", "--format", "json").out)
    assert (known["ContainersRunning"], known["Containers"], known["Images"]) == (1, 2, 1)
    assert known["DockerRootDir"] == cli.root
    assert known["CgroupVersion"] in ("1", "2")
    assert "Storage Driver: " in cli("info").out
    assert cli("version", "-f", "{{.Client.Version}}").out == cli("version", "-f", "{{.Server.Version}}").out
    assert "liblxc" in cli("version").out


def test_disk_usage(cli: Any, web: str, job: str) -> None:
    rows = {row["Type"]: row for row in map(json.loads, cli("system", "df", "--format", "json").lines)}
    assert (rows["Images"]["TotalCount"], rows["Images"]["Active"]) == ("1", "1")
    assert (rows["Containers"]["TotalCount"], rows["Containers"]["Active"]) == ("2", "1")
    assert "Local Volumes space usage:" in cli("system", "df", "-v").out


def test_images_has_a_line_for_each_name(cli: Any, busybox: str) -> None:
    cli("tag", busybox, "second:1")
    assert len(cli("images", "-q").lines) == len(cli("images").lines) - 1
    assert cli("images", "-q").lines.count(cli("images", "-q", "second:1").out.strip()) == 2
    cli("rmi", "second:1")


def test_go_style_switches(cli: Any, busybox: str) -> None:
    assert (
        cli("run", "--rm=true", "--network", "none", "--tty=false", busybox, "echo", "--rm=true").out == "--rm=true\n"
    )
    refused = cli("run", "--gpus", "all", busybox, check=False)
    assert refused.code == 125
    assert "--gpus is not supported: " in refused.err


def test_ps_is_quick(cli: Any, web: str, busybox: str) -> None:
    """With 10 containers under six times a bare interpreter's start (medians, alternating)."""
    known = len(cli("ps", "-aq").lines)
    for number in range(known, 10):
        cli("create", "--name", f"extra{number}", "--network", "none", busybox)
    bare, listed = [], []
    for _ in range(9):
        bare.append(_seconds([sys.executable, "-c", "pass"], {}))
        listed.append(_seconds(cli.argv("ps", "-a"), cli.environment))
    assert statistics.median(listed) < 6 * statistics.median(bare)


def _seconds(argv: list[str], environment: dict[str, str]) -> float:
    begin = time.perf_counter()
    subprocess.run(argv, env=environment or None, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


def test_prune_leaves_what_runs(cli: Any, web: str, job: str) -> None:
    """The last test here: it takes the others' containers away."""
    asked = cli("container", "prune", input=b"n\n")
    assert "WARNING! This will remove all stopped containers." in asked.out
    assert "job" in cli("ps", "-a").out
    assert "Deleted Containers:" not in cli("container", "prune", "-f", "--filter", "label=nothing").out
    pruned = cli("container", "prune", "-f").out
    assert "Deleted Containers:" in pruned
    assert re.search(r"Total reclaimed space: \d", pruned)
    assert len(cli("ps", "-aq").lines) == 1
    assert cli("system", "prune", "-f", "-a").code == 0
    assert cli("ps", "--format", "{{.Names}}").lines == ["web"]
    cli("rm", "-f", "-v", web)
    assert cli("volume", "ls", "-q").lines == ["pages"]
    assert cli("volume", "prune", "-f").out == "Total reclaimed space: 0B\n"
    assert "pages" in cli("volume", "prune", "-f", "-a").out
