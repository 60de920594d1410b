"""``container edit`` on real containers: what changes, what stays, and what happens when it does not start."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def versions(cli: Any, busybox: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Two images that differ in a file, a command, a variable and a volume."""
    for number in (1, 2):
        place = tmp_path_factory.mktemp("version")
        lines = [
            f"FROM {busybox}",
            f"RUN mkdir -p /app/d && echo {number} >/app/version && touch /app/d/{number} /app/only-{number}",
            f"ENV VERSION={number} KEPT=image",
            f'CMD ["sh", "-c", "echo started {number}; exec sleep 600"]',
            *(["VOLUME /state"] if number == 2 else []),
        ]
        (place / "Dockerfile").write_text("\n".join(lines))
        cli("build", "-q", "-t", f"app:{number}", place)
    return "app:1", "app:2"


def test_another_image(cli: Any, versions: tuple[str, str]) -> None:
    old, new = versions
    before = cli("run", "-d", "--name", "app", "--network", "none", "-e", "KEPT=mine", "-v", "data:/data", old).out
    cli("exec", "app", "sh", "-c", "echo mine >/app/mine; echo kept >/data/f; rm /app/only-1; chown 1000 /app/mine")
    cli("exec", "app", "sh", "-c", "echo changed >>/etc/group")
    cli("container", "edit", "--image", new, "app")
    assert cli("inspect", "-f", "{{.Id}} {{.State.Status}} {{.Config.Image}}", "app").out == (
        f"{before.strip()} running {new}\n"
    )
    script = "cat /app/version /app/mine /data/f; stat -c %u /app/mine; ls /app /app/d; tail -n 1 /etc/group; env"
    seen = cli("exec", "app", "sh", "-c", script).lines
    assert seen[:4] == ["2", "mine", "kept", "1000"]
    assert seen[4:11] == ["/app:", "d", "mine", "only-2", "version", "", "/app/d:"]
    assert seen[11:13] == ["2", "changed"], "a file that the container changed hides the new image's"
    assert {"VERSION=2", "KEPT=mine"} <= set(seen)
    assert cli("logs", "app").lines == ["started 1", "started 2"]
    assert cli("exec", "app", "ls", "-d", "/state").code == 0
    assert sorted(cli("inspect", "-f", "{{range .Mounts}}{{.Destination}} {{end}}", "app").out.split()) == [
        "/data",
        "/state",
    ]
    assert "C /app" in cli("diff", "app").lines
    cli("rmi", old)
    cli("restart", "-t", "0", "app")
    assert cli("exec", "app", "cat", "/app/version").out == "2\n"
    assert cli("rmi", new, check=False).code == 1
    cli("rm", "-f", "-v", "app")


def test_an_image_that_does_not_start(cli: Any, versions: tuple[str, str], tmp_path: Path) -> None:
    """The old one runs again, and its image was kept for that."""
    (tmp_path / "Dockerfile").write_text(f'FROM {versions[1]}\nCMD ["/not/there"]\n')
    cli("build", "-q", "-t", "broken", tmp_path)
    (tmp_path / "Dockerfile").write_text(f"FROM {versions[1]}\nRUN touch /first\n")
    cli("build", "-q", "-t", "first", tmp_path)
    cli("run", "-d", "--name", "stays", "--network", "none", "first")
    cli("exec", "stays", "touch", "/mine")
    shown = json.loads(cli("inspect", "stays").out)[0]
    volumes = cli("volume", "ls", "-q").lines
    failed = cli("container", "edit", "--image", "broken", "-e", "A=1", "-v", "/fresh", "stays", check=False)
    assert cli("volume", "ls", "-q").lines == volumes, "none is left of the one for /fresh"
    assert failed.code == 127 and "/not/there" in failed.err
    assert cli("exec", "stays", "ls", "/mine", "/first").code == 0
    after = json.loads(cli("inspect", "stays").out)[0]
    assert (after["Image"], after["Config"], after["Mounts"]) == (shown["Image"], shown["Config"], shown["Mounts"])
    cli("rmi", "broken")
    cli("rm", "-f", "stays")
    cli("rmi", "first")


def test_an_image_for_one_that_does_not_run(cli: Any, versions: tuple[str, str], busybox: str) -> None:
    cli("run", "--name", "stopped", "--network", "none", versions[1], "sh", "-c", "echo x >/mine")
    cli("container", "edit", "--image", busybox, "--command", "cat '/mine'", "stopped")
    assert cli("start", "-a", "stopped").out == "x\n"
    gone = cli("container", "edit", "--image", "no-such:image", "stopped", check=False)
    assert gone.code and "no-such" in gone.err
    cli("rm", "stopped")


def test_command_user_directory_and_policy(cli: Any, busybox: str) -> None:
    cli("run", "-d", "--name", "many", "--network", "none", busybox, "sleep", "600")
    words = ("--command", "sh -c 'id -u; pwd; exec sleep 600'", "-u", "5", "-w", "/tmp", "--restart", "on-failure:3")
    cli("container", "edit", *words, "many")
    assert cli("logs", "many").lines == ["5", "/tmp"]
    assert cli("inspect", "-f", "{{json .HostConfig.RestartPolicy}}", "many").out == (
        '{"Name":"on-failure","MaximumRetryCount":3}\n'
    )
    cli("container", "edit", "--entrypoint", "echo", "--command", "one 'two  three'", "-u", "", "many")
    assert cli("logs", "--tail", "1", "many").lines == ["one two  three"]
    assert cli("inspect", "-f", "{{.Path}} {{json .Args}}", "many").out == 'echo ["one","two  three"]\n'
    empty = cli("container", "edit", "--entrypoint", "", "many", check=False)
    assert (empty.code, "no command is left" in empty.err) == (125, True)
    wrong = cli("container", "edit", "--command", "it's", "many", check=False)
    assert (wrong.code, "--command" in wrong.err) == (125, True)
    cli("rm", "-f", "many")


def test_an_image_mount_is_added_and_taken_away(cli: Any, busybox: str, versions: tuple[str, str]) -> None:
    cli("create", "--name", "mounts", "--network", "none", busybox, "cat", "/i/app/version")
    for version, number in zip(versions, "12", strict=True):
        cli("container", "edit", "--mount", f"type=image,src={version},dst=/i", "mounts")
        assert cli("start", "-a", "mounts").out == f"{number}\n"
        assert cli("rmi", version, check=False).code == 1
    container_id = cli("inspect", "-f", "{{.Id}}", "mounts").out.strip()
    assert len(list(Path(cli.root, "containers", container_id, "images").iterdir())) == 1
    cli("container", "edit", "--volume-rm", "/i", "mounts")
    assert list(Path(cli.root, "containers", container_id, "images").iterdir()) == []
    cli("rm", "mounts")


def test_full_copies_have_no_layer_of_their_own(fresh_cli: Any) -> None:
    cli = fresh_cli
    cli("--storage-driver", "vfs", "template", "build", "busybox")
    cli("create", "--name", "copy", "busybox", "true")
    refused = cli("container", "edit", "--image", "busybox", "copy", check=False)
    assert (refused.code, "--image: the storage driver vfs" in refused.err) == (1, True)


def test_a_running_container_keeps_its_files(cli: Any, busybox: str) -> None:
    old = ("-e", "A=1", "-e", "B=2", "-l", "x=y", "-v", "first:/one", "-p", "38081:80")
    before = cli("run", "-d", "--name", "web", *old, busybox, "sleep", "600").out
    cli("exec", "web", "sh", "-c", "echo kept > /root-file; echo kept > /one/f")
    new = ("-e", "A=3", "--env-rm", "B", "--label-rm", "x", "-v", "second:/two", "--volume-rm", "/one")
    cli("container", "edit", *new, "--publish-rm", "80", "-p", "38082:81", "web")
    assert cli("inspect", "-f", "{{.Id}} {{.State.Status}}", "web").out.split() == [before.strip(), "running"]
    assert cli("exec", "web", "cat", "/root-file").out == "kept\n"
    shown = cli("exec", "web", "env").lines
    assert "A=3" in shown and "B=2" not in shown
    assert "38082" in cli("port", "web").out and "38081" not in cli("port", "web").out
    assert cli("exec", "web", "ls", "/two").code == 0
    assert Path(cli.root, "volumes", "first", "f").read_text() == "kept\n"
    assert cli("volume", "rm", "second", check=False).code == 1
    assert cli("volume", "rm", "first").code == 0


def test_what_does_not_start_is_taken_back(cli: Any, busybox: str) -> None:
    cli("run", "-d", "--name", "safe", "-e", "A=1", busybox, "sleep", "600")
    cli("exec", "safe", "touch", "/kept")
    missing = "type=bind,src=/not/there,dst=/x"
    failed = cli("container", "edit", "-e", "A=2", "--mount", missing, "safe", check=False)
    assert failed.code and "bind source path does not exist" in failed.err
    assert cli("exec", "safe", "sh", "-c", "ls /kept; echo $A").lines == ["/kept", "1"]
    gone = cli("container", "edit", "--env-rm", "NONE", "safe", check=False)
    assert gone.code and "no environment variable NONE" in gone.err
    assert cli("container", "edit", "safe", check=False).code
