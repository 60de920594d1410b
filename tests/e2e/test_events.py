"""``events``: what the actions and the supervisors of real containers wrote down, filtered, formatted, followed."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest


def past(cli: Any, *words: str) -> list[str]:
    done = cli("events", "--since", "1h", "--until", "0s", "--format", "{{.Type}} {{.Action}}", *words)
    return list(done.lines)


def test_life_of_a_container(cli: Any, busybox: str) -> None:
    cli("run", "-d", "--name", "one", "-l", "stage=test", busybox, "sleep", "99")
    cli("exec", "one", "sh", "-c", "exit 4", check=False)
    cli("pause", "one")
    cli("unpause", "one")
    cli("rename", "one", "two")
    cli("stop", "-t", "0", "two")
    cli("rm", "two")
    found = [line.removeprefix("container ") for line in past(cli, "--filter", "type=container")]
    kept = [line for line in found if not line.startswith("exec_")]
    assert kept == ["create", "start", "pause", "unpause", "rename", "kill", "kill", "die", "stop", "destroy"]
    assert past(cli, "-f", "container=two", "-f", "event=die") == ["container die"], "by its name of then"
    execs = [line for line in found if line.startswith("exec_")]
    assert execs == ["exec_create: sh -c exit 4", "exec_start: sh -c exit 4", "exec_die"]


def test_filters_and_forms(cli: Any, busybox: str) -> None:
    cli("run", "--name", "three", "-l", "stage=prod", busybox, "sh", "-c", "exit 7", check=False)
    lines = cli(
        "events", "--since", "1h", "--until", "0s", "-f", "container=three", "-f", "event=die", "--format", "json"
    )
    (died,) = map(json.loads, lines.lines)
    assert died["Actor"]["Attributes"]["exitCode"] == "7" and died["Type"] == "container" and died["scope"] == "local"
    assert died["Actor"]["Attributes"]["stage"] == "prod"
    assert past(cli, "-f", "label=stage=prod", "-f", "event=create", "-f", "event=start") == [
        "container create", "container start"
    ]  # fmt: skip
    assert past(cli, "-f", "container=four") == []
    assert past(cli, "-f", "image=busybox", "-f", "event=die", "-f", "label=stage=prod") == ["container die"]
    text = cli("events", "--since", "1h", "--until", "0s", "-f", "container=three", "-f", "event=die").out
    assert " container die " in text and "exitCode=7" in text and "name=three" in text
    cli("rm", "three")


def test_images_and_volumes(cli: Any, busybox: str) -> None:
    cli("tag", busybox, "other:1")
    cli("rmi", "other:1")
    cli("volume", "create", "store")
    cli("volume", "rm", "store")
    assert past(cli, "-f", "type=image", "-f", "image=other") == ["image tag", "image untag"]
    assert past(cli, "-f", "volume=store") == ["volume create", "volume destroy"]


def test_follows_live(cli: Any, busybox: str) -> None:
    words = ("events", "-f", "event=health_status", "-f", "event=die", "--format", "{{.Action}}")
    follower = cli.popen(*words, stdout=subprocess.PIPE)
    try:
        import time

        time.sleep(0.7)
        cli("run", "-d", "--name", "five", "--health-cmd", "true", "--health-interval", "50ms", busybox, "sleep", "99")
        assert follower.stdout.readline() == b"health_status: healthy\n"
        cli("rm", "-f", "five")
        assert follower.stdout.readline() == b"die\n"
    finally:
        follower.terminate()
        follower.wait()


@pytest.mark.parametrize(
    ("words", "says"),
    [(("-f", "type=pod"), "there is no such type"), (("-f", "colour=red"), "invalid filter"), (("--since", "x"), "x")],
)
def test_bad_input(cli: Any, words: tuple[str, ...], says: str) -> None:
    refused = cli("events", *words, check=False)
    assert refused.code and says in refused.err and "Traceback" not in refused.err
