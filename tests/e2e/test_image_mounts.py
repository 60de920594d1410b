"""``--mount type=image``: an image's files in another container, and the image kept while they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def tools(cli: Any, busybox: str, tmp_path: Path) -> str:
    """An image of several layers: one file of another user's, one that a later layer removes."""
    steps = ["mkdir -p /srv/sub", "echo one >/srv/sub/f; chown 1000 /srv/sub/f; touch /srv/gone; ln -s / /srv/out"]
    runs = "".join(f"RUN {step}\n" for step in [*steps, "rm /srv/gone"])
    (tmp_path / "Dockerfile").write_text(f"FROM {busybox}\n{runs}")
    cli("build", "-q", "-t", "tools", tmp_path)
    return "tools"


def mounted(cli: Any, busybox: str, fields: str, script: str, *more: str, check: bool = True) -> Any:
    words = ("run", "--rm", "--network", "none", *more, "--mount", f"type=image,{fields}", busybox, "sh", "-c", script)
    return cli(*words, check=check)


@pytest.mark.parametrize("userns", ["private", "host"])
@pytest.mark.parametrize("target", ["/i", "/dev/i"])
def test_an_image_is_seen_as_its_containers_see_it(
    cli: Any, busybox: str, tools: str, userns: str, target: str
) -> None:
    script = f"cd {target}/srv; ls; stat -c '%u %n' sub sub/f; cat sub/f; touch x"
    seen = mounted(cli, busybox, f"src={tools},dst={target}", script, "--userns", userns, check=False)
    assert seen.lines == ["out", "sub", "0 sub", "1000 sub/f", "one"]
    assert seen.code == 1 and "Read-only file system" in seen.err


def test_subpaths(cli: Any, busybox: str, tools: str) -> None:
    assert mounted(cli, busybox, f"source={tools},destination=/i,subpath=/srv/sub", "ls /i").out == "f\n"
    assert mounted(cli, busybox, f"src={tools},dst=/i/file,image-subpath=srv/sub/f", "cat /i/file").out == "one\n"
    assert mounted(cli, busybox, f"src={tools},dst=/dev/file,image-subpath=srv/sub/f", "cat /dev/file").out == "one\n"
    inside = mounted(cli, busybox, f"src={tools},dst=/i,image-subpath=srv/out", "ls /i/srv").lines
    assert inside == ["out", "sub"], "a link in the image leads to the image's own root"
    missing = mounted(cli, busybox, f"src={tools},dst=/i,image-subpath=srv/no", "true", check=False)
    assert (missing.code, "tools/srv/no at /i: No such file or directory" in missing.err) == (125, True)


def test_what_is_written_stays_with_the_container(cli: Any, busybox: str, tools: str) -> None:
    words = ("--network", "none", "--mount", f"type=image,src={tools},dst=/i,rw", busybox)
    cli("run", "--name", "writer", *words, "sh", "-c", "echo new >>/i/srv/sub/f; cat /i/srv/sub/f")
    assert cli("start", "-a", "writer").out == "one\nnew\nnew\n"
    assert mounted(cli, busybox, f"src={tools},dst=/i", "cat /i/srv/sub/f").out == "one\n"
    assert cli("run", "--rm", tools, "cat", "/srv/sub/f").out == "one\n"
    cli("cp", "writer:/i/srv/sub/f", "-")
    cli("rm", "writer")


def test_the_image_stays_while_a_container_has_it(cli: Any, busybox: str, tools: str) -> None:
    cli(
        "create",
        "--name",
        "user",
        "--network",
        "none",
        "--mount",
        f"type=image,src={tools},dst=/i",
        busybox,
        "ls",
        "/i",
    )
    image_id = cli("inspect", "-f", "{{.Id}}", tools).out.strip()
    by_name = cli("rmi", tools, check=False)
    assert (by_name.code, "container user" in by_name.err) == (1, True)
    forced = cli("rmi", "-f", image_id, check=False)
    assert (forced.code, "is mounted by container user" in forced.err) == (1, True)
    cli("rmi", "-f", tools)  # only its name goes
    cli("image", "prune", "-af")
    assert image_id in cli("images", "-qa", "--no-trunc").lines
    assert "srv" in cli("start", "-a", "user").lines
    shown = cli("inspect", "-f", "{{range .Mounts}}{{.Type}} {{.Name}} {{.Destination}} {{.RW}}{{end}}", "user").out
    assert shown == f"image {image_id} /i false\n"
    cli("rm", "user")
    cli("rmi", image_id)


def test_an_image_that_is_not_there(cli: Any, busybox: str) -> None:
    words = ("create", "--name", "none", "--pull", "never", "--mount", "type=image,src=nowhere,dst=/i", busybox)
    refused = cli(*words, check=False)
    assert (refused.code, "no such image: nowhere" in refused.err) == (125, True)
    assert "none" not in cli("ps", "-a", "--format", "{{.Names}}").lines


def test_full_copies(fresh_cli: Any) -> None:
    """The driver vfs has nothing below a container: it gets a copy."""
    cli = fresh_cli
    cli("--storage-driver", "vfs", "template", "build", "busybox")
    seen = mounted(cli, "busybox", "src=busybox,dst=/i", "stat -c %u /i/bin; touch /i/x", check=False)
    assert (seen.out, "Read-only file system" in seen.err) == ("0\n", True)
