"""Builds on busybox: instructions, the cache, stages, ignored files, and what happens when a step fails."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path
from typing import Any

EPOCH = {"SOURCE_DATE_EPOCH": "1700000000"}


def _write(place: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return place


def _run(cli: Any, image: str, line: str) -> str:
    return str(cli("run", "--rm", "--network", "none", image, "sh", "-c", line).out)


def test_files_owners_and_configuration(cli: Any, busybox: str, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    _write(tmp_path / "tree", {"in/tar.txt": "packed"})
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "tree" / "in", "in")
    _write(
        tmp_path,
        {
            "Dockerfile": f"FROM {busybox}\nWORKDIR /w\nCOPY --chown=7:8 --chmod=640 one .\nCOPY d /d\n"
            "ADD a.tar.gz /t/\nENV A=b\nRUN echo $A >/made\nUSER nobody\nEXPOSE 80\nVOLUME /v\nSTOPSIGNAL SIGINT\n"
            'LABEL x=y\nENTRYPOINT ["sh"]\nCMD ["-c", "cat /made"]\n',
            "one": "1",
            "d/keep": "k",
            "d/drop.log": "x",
            ".dockerignore": "**/*.log\n",
        },
    )
    cli("build", "-t", "all", tmp_path)
    config = json.loads(cli("inspect", "all").out)[0]["Config"]
    assert (config["User"], config["WorkingDir"], config["StopSignal"]) == ("nobody", "/w", "SIGINT")
    assert (config["Labels"], config["Entrypoint"], config["Cmd"]) == ({"x": "y"}, ["sh"], ["-c", "cat /made"])
    assert cli("run", "--rm", "all").out == "b\n"
    shown = cli("run", "--rm", "all", "-c", "stat -c '%u:%g %a' /w/one; ls /d; cat /t/in/tar.txt").out
    assert shown == "7:8 640\nkeep\npacked"


def test_cache_and_the_same_image_again(cli: Any, busybox: str, tmp_path: Path) -> None:
    _write(tmp_path, {"Dockerfile": f"FROM {busybox}\nRUN echo a >/a\nCOPY f /f\nRUN echo b >/b\n", "f": "1"})
    first = cli("build", "-q", tmp_path).out
    again = cli("build", "--progress", "plain", tmp_path)
    assert again.err.count("CACHED") == 4
    assert cli("build", "-q", tmp_path).out == first
    (tmp_path / "f").write_text("2")
    assert cli("build", "--progress", "plain", tmp_path).err.count("CACHED") == 2
    assert cli("build", "--progress", "plain", "--no-cache", tmp_path).err.count("CACHED") == 1


def test_source_date_epoch_gives_the_same_digest(cli: Any, busybox: str, tmp_path: Path) -> None:
    _write(tmp_path, {"Dockerfile": f"FROM {busybox}\nWORKDIR /w\nRUN echo a >/a\n"})
    first = cli("build", "-q", "--no-cache", tmp_path, env=EPOCH).out
    assert cli("build", "-q", "--no-cache", tmp_path, env=EPOCH).out == first


def test_stages_targets_and_arguments(cli: Any, busybox: str, tmp_path: Path) -> None:
    _write(
        tmp_path,
        {
            "Dockerfile": f"FROM {busybox} AS made\nARG WORD=none\nRUN echo $WORD >/word\n"
            f"FROM {busybox} AS unused\nRUN exit 9\nFROM {busybox}\nCOPY --from=made /word /copied\n"
        },
    )
    cli("build", "-t", "multi", "--build-arg", "WORD=given", tmp_path)
    assert _run(cli, "multi", "cat /copied") == "given\n"
    assert cli("build", "--target", "unused", tmp_path, check=False).code == 1


def test_failing_step_leaves_nothing(cli: Any, root: str, busybox: str, tmp_path: Path) -> None:
    _write(tmp_path, {"Dockerfile": f"FROM {busybox}\nRUN echo spoken; exit 3\n"})
    failed = cli("build", "-t", "never", tmp_path, check=False)
    assert failed.code == 1
    assert "Dockerfile:2: RUN echo spoken; exit 3: exit code 3" in failed.err and "spoken" in failed.err
    assert cli("image", "inspect", "never", check=False).code == 1
    assert os.listdir(f"{root}/tmp") == []


def test_missing_source_and_links_that_lead_out(cli: Any, busybox: str, tmp_path: Path) -> None:
    _write(tmp_path, {"Dockerfile": f"FROM {busybox}\nCOPY nothing /\n"})
    assert "Dockerfile:2: COPY: nothing is not in the context" in cli("build", tmp_path, check=False).err
    (tmp_path / "nothing").symlink_to("/etc/hostname")
    assert cli("build", tmp_path, check=False).code == 1


def test_dockerfile_on_stdin(cli: Any, busybox: str) -> None:
    built = cli("build", "-q", "-", input=f"FROM {busybox}\nRUN echo x >/x\n".encode())
    assert _run(cli, built.out.strip(), "cat /x") == "x\n"


def test_control_characters_do_not_reach_the_container(cli: Any, busybox: str, tmp_path: Path) -> None:
    _write(tmp_path, {"Dockerfile": f"FROM {busybox}\nARG WORD\nRUN true\n"})
    refused = cli("build", "--build-arg", "WORD=a\nlxc.hook.pre-start=/bin/true", tmp_path, check=False)
    assert refused.code == 1
    assert "Dockerfile:3: environment variable 'WORD' holds the control character" in refused.err
