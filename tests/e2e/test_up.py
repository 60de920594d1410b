"""A Compose file on this host alone: up, changed, down."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import urllib.request
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT, Cli, Result

EXAMPLE = CHECKOUT / "examples" / "shop" / "compose.yaml"


@pytest.fixture(scope="module", autouse=True)
def no_inventory(tmp_path_factory: pytest.TempPathFactory, cli: Cli, busybox: str) -> None:
    cli.environment["XDG_CONFIG_HOME"] = str(tmp_path_factory.mktemp("config"))
    cli.environment["LXCWRAP_CONFIG_DIR"] = cli.environment["XDG_CONFIG_HOME"]


def _page() -> str:
    with urllib.request.urlopen("http://127.0.0.1:8088/", timeout=5) as answer:
        return str(answer.read().decode())


def test_the_example_comes_up_and_goes_down(cli: Cli) -> None:
    before = cli("plan", EXAMPLE, "--detailed-exitcode", check=False)
    assert before.code == 2 and "2 to create" in before.out
    said = cli("up", "-d", "-f", EXAMPLE)
    assert "release 1 done" in said.out
    assert _page() == "Hello from the shop\n"
    assert (
        cli("app", "exec", "-p", "shop", "web", "wget", "-q", "-O-", "http://stock:9000/").out == "12 pencils, 3 pens\n"
    )
    assert cli("up", "-d", "-f", EXAMPLE).out == "shop: nothing to do\n"
    assert cli("deploy", EXAMPLE).out == "shop: nothing to do\n", "without an inventory the hosts are this one"
    rows = [json.loads(line) for line in cli("app", "ps", "-p", "shop", "--format", "json").lines]
    assert [(row["Name"], row["Health"]) for row in rows] == [("shop-stock-1", "healthy"), ("shop-web-1", "healthy")]

    cli("restart", "-t", "0", "shop-web-1")
    cli("app", "restart", "-p", "shop", "web")
    assert _page() == "Hello from the shop\n"
    cli("rm", "-f", "shop-stock-1")
    drifted = cli("drift", "-p", "shop", check=False)
    assert drifted.code == 2 and "stock 1" in drifted.out and "missing" in drifted.out

    assert cli("down", "-p", "shop").out.startswith("shop: release 2 done")
    assert cli("ps", "-aq").out == "" and "shop" not in cli("network", "ls").out
    assert cli("rollback", "-p", "shop", check=False).code == 1, "its secret is in the file alone"
    assert cli("app", "ps", "-p", "shop", "-q").out == ""


def test_in_the_foreground_output_is_shown_until_ctrl_c(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(
        "name: talk\n"
        "services:\n"
        "  a:\n"
        "    image: busybox:latest\n"
        "    command: [sh, -c, 'while :; do echo talking; sleep 0.2; done']\n"
        "    stop_grace_period: 0s\n"
        "    deploy: {update_config: {monitor: 200ms}}\n"
    )
    child = cli.popen("up", "--quiet", cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout
    for line in child.stdout:
        if line == b"talk-a-1 | talking\n":
            break
    os.kill(child.pid, signal.SIGINT)
    child.communicate(timeout=20)
    assert child.returncode == 130
    assert cli("app", "ps", "-p", "talk", "--format", "{{.State}}").out == "running\n"
    cli("down", cwd=tmp_path)


def test_wrong_words_are_named(cli: Cli, tmp_path: Path) -> None:
    for words, said in (
        (("deploy", tmp_path / "none.yaml"), "none.yaml"),
        (("rollback", "-p", "nosuch"), "nosuch has no"),
        (("drift", "-p", "nosuch"), "nosuch has no"),
        (("app", "exec", "-p", "nosuch", "web", "true"), "no containers of a service 'web'"),
        (("secret", "rotate", "-p", "nosuch", "key", "/dev/null"), "nosuch has no"),
        (("-H", "nosuch", "deploy", EXAMPLE), "no host or group 'nosuch'"),
    ):
        wrong = cli(*words, check=False)
        assert wrong.code and said in wrong.err and wrong.err.count("\n") == 1, (words, wrong)


def test_a_writer_of_a_volume_is_stopped_first_and_started_again(cli: Cli, tmp_path: Path) -> None:
    def up(command: str) -> Result:
        (tmp_path / "compose.yaml").write_text(
            "name: single\n"
            "services:\n"
            "  db:\n"
            "    image: busybox:latest\n"
            f"    command: [sh, -c, {json.dumps(command)}]\n"
            "    volumes: ['data:/data']\n"
            "    stop_grace_period: 0s\n"
            "    deploy: {update_config: {monitor: 500ms}}\n"
            "volumes: {data: {}}\n"
        )
        return cli("up", "-d", cwd=tmp_path, check=False)

    assert up("echo 1 >>/data/starts; exec sleep 600").code == 0
    form = "{{.Name}} {{.State}} {{.ID}}"
    before = cli("app", "ps", "-p", "single", "--format", form).out
    assert "db 1  replace, stop-first" in re.sub(" {2,}", "  ", cli("plan", "--recreate", cwd=tmp_path).out)
    failed = up("echo cannot go on; exit 7")
    assert failed.code == 1 and "cannot go on" in failed.err and "kept for a look" in failed.err
    rows = cli("app", "ps", "-p", "single", "--format", form).lines
    assert before.strip() in rows and len(rows) == 2, "the old one runs again"
    assert up("exec sleep 500").code == 0
    rows = cli("app", "ps", "-p", "single", "--format", "{{.Name}} {{.State}}").lines
    assert rows == ["single-db-1 running"]
    assert cli("app", "exec", "-p", "single", "db", "cat", "/data/starts").out == "1\n1\n"
    cli("down", "--volumes", cwd=tmp_path)
    assert "data" not in cli("volume", "ls").out
