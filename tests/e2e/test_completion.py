"""Completion in real shells, with the names that the state holds."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lxcwrap.model.container import ContainerConfig
from lxcwrap.model.paths import Paths
from lxcwrap.store import containers, volumes
from lxcwrap.store.database import Store


@pytest.fixture(scope="module")
def named(root: str) -> str:
    """A state root with two containers and a volume; images are only names here."""
    store = Store(Paths(root))
    for number, name in enumerate(("web", "worker")):
        config = ContainerConfig(image="x")
        containers.add(store, containers.Container(str(number) * 64, name, None, None, config, "vfs", None, 1.0))
    volumes.create(store, "pages")
    with store.transaction() as db:
        db.execute("INSERT INTO images VALUES ('sha256:1', 'sha256:2', NULL, 0, 'linux/amd64', 0, 0)")
        db.execute("INSERT INTO image_references VALUES ('docker.io/library/busybox:latest', 'sha256:1')")
        db.execute("INSERT INTO image_references VALUES ('localhost:5000/me/app:1.2', 'sha256:1')")
    store.close()
    return root


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PATH on which ``lxcwrap`` is the command under test."""
    program = os.environ.get("LXCWRAP_BIN")
    folder = tmp_path_factory.mktemp("bin")
    checkout = Path(__file__).resolve().parents[2]
    run = program or f"env PYTHONPATH={checkout} {sys.executable} -m lxcwrap.cli.main"
    (folder / "lxcwrap").write_text(f'#!/bin/sh\nexec {run} "$@"\n')
    (folder / "lxcwrap").chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def bash(path: str, root: str, line: str) -> list[str]:
    """What bash would offer for the line with the cursor at its end."""
    words = line.split(" ")
    script = f"""
        source <(lxcwrap completion bash)
        compopt() {{ printf 'compopt %s\\n' "$*"; }}
        COMP_LINE={line!r} COMP_POINT={len(line)} COMP_WORDS=({" ".join(map(repr, words))}) COMP_CWORD={len(words) - 1}
        _lxcwrap_completion lxcwrap
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    environment = {**os.environ, "PATH": path, "LXCWRAP_ROOT": root}
    argv = ["bash", "--norc", "--noprofile", "-c", script]
    done = subprocess.run(argv, capture_output=True, env=environment, timeout=60, check=True)
    assert not done.stderr
    return done.stdout.decode().split("\n")[:-1]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("lxcwrap insp", ["inspect"]),
        ("lxcwrap volume i", ["import", "inspect"]),
        ("lxcwrap inspect w", ["web", "worker"]),
        ("lxcwrap inspect we", ["web"]),
        ("lxcwrap top 000", ["000000000000"]),
        ("lxcwrap volume rm ", ["pages"]),
        ("lxcwrap container inspect web wo", ["worker"]),
        ("lxcwrap run busy", ["busybox:latest"]),
        ("lxcwrap run --rm busybox:la", ["latest"]),
        ("lxcwrap rmi localhost:5000/me/app:", ["1.2"]),
        ("lxcwrap ps --no-t", ["--no-trunc"]),
        ("lxcwrap inspect --type vol", ["volume"]),
        ("lxcwrap completion z", ["zsh"]),
        ("lxcwrap inspect nothing-like-this", [""]),
        ("lxcwrap --root /nowhere inspect w", [""]),
        ("lxcwrap nonsense x", [""]),
    ],
)
def test_bash(path: str, named: str, line: str, expected: list[str]) -> None:
    assert bash(path, named, line) == expected


def test_bash_offers_files_for_a_file(path: str, named: str) -> None:
    assert "compopt -o default" in bash(path, named, "lxcwrap save -o ")


def test_a_line_that_makes_nothing(path: str, tmp_path: Path) -> None:
    root = tmp_path / "none"
    assert bash(path, str(root), "lxcwrap inspect w") == [""]
    assert not root.exists()


def test_bash_on_a_terminal(path: str, named: str) -> None:
    import pexpect

    environment = {"PATH": path, "LXCWRAP_ROOT": named, "PS1": "$ ", "TERM": "dumb", "INPUTRC": "/dev/null"}
    child = pexpect.spawn("bash", ["--norc", "--noprofile"], env=environment, timeout=30, encoding="utf-8")
    child.sendline("source <(lxcwrap completion bash); echo rea''dy")
    child.expect("ready")
    child.send("echo lxcwrap; lxcwrap volume inspect -f '{{.Name}}' pag\t\n")
    child.expect("pages\r\n")
    child.send("lxcwrap image inspect busybox:la\t")
    child.expect("busybox:latest")
    child.sendcontrol("c")
    child.sendline("exit")
    child.expect(pexpect.EOF)


def test_zsh(path: str, named: str, needs: Callable[..., None]) -> None:
    import pexpect

    needs("zsh")
    environment = {"PATH": path, "LXCWRAP_ROOT": named, "TERM": "dumb", "HOME": "/nonexistent"}
    child = pexpect.spawn("zsh", ["-f", "-i"], env=environment, timeout=30, encoding="utf-8", dimensions=(24, 200))
    child.sendline("PS1='$ '; autoload -U compinit; compinit -u -D; source <(lxcwrap completion zsh); echo rea''dy")
    child.expect("ready\r\n")
    child.send("lxcwrap volume inspect -f '{{.Name}}' pag\t\n")
    child.expect("\r\npages\r\n")
    child.sendline("exit")
    child.expect(pexpect.EOF)


def test_fish(path: str, named: str, needs: Callable[..., None]) -> None:
    needs("fish")
    script = "lxcwrap completion fish | source; complete -C 'lxcwrap inspect w'; complete -C 'lxcwrap volu'"
    environment = {**os.environ, "PATH": path, "LXCWRAP_ROOT": named, "HOME": "/tmp"}
    done = subprocess.run(["fish", "--no-config", "-c", script], capture_output=True, env=environment, timeout=60)
    assert done.stdout.decode().split()[:3] == ["web", "worker", "volume"]


@pytest.mark.parametrize("shell", ["tcsh", ""])
def test_an_unknown_shell(shell: str, path: str, named: str) -> None:
    done = subprocess.run(["lxcwrap", "completion", shell], capture_output=True, env={**os.environ, "PATH": path})
    assert done.returncode == 125
    assert done.stderr.count(b"\n") == 1
