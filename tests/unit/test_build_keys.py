"""What decides about a step's place in the build cache, and what does not."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from lxcwrap.build import cache, ignore, parser, stages
from lxcwrap.build.fingerprint import Fingerprints
from lxcwrap.build.planner import plan_stage
from lxcwrap.build.steps import Metadata, Run
from lxcwrap.build.tree import Found, Tree
from lxcwrap.errors import BuildError
from lxcwrap.model.image import Platform, RunConfig

AMD64 = Platform("linux", "amd64")


def _key(text: str, network: str = "default", **given: str) -> str:
    """The key of the last step with work to do, the steps before chained as the executor does."""
    dockerfile = stages.resolve(parser.parse(f"FROM b\n{text}\n", "Dockerfile"), given, "", AMD64, AMD64)
    plan = plan_stage(dockerfile, dockerfile.stages[-1], RunConfig(), "", given, AMD64, {})
    key = cache.base_key("sha256:base", None)
    for step in plan.steps:
        if not isinstance(step, Metadata):
            key = cache.step_key(key, "sha256:base", step, "content", network)
    return key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("RUN a", "RUN b"),
        ("RUN a", 'RUN ["a"]'),
        ("RUN a", "USER u\nRUN a"),
        ("RUN a", "WORKDIR /w\nRUN a"),
        ("RUN a", "ENV x=1\nRUN a"),
        ("ENV x=1\nRUN a", "ENV x=2\nRUN a"),
        ("RUN a", "ARG x=1\nRUN a"),
        ("ARG x=1\nRUN a", "ARG x=2\nRUN a"),
        ("RUN a", 'SHELL ["/bin/bash", "-c"]\nRUN a'),
        ("RUN a", "RUN b\nRUN a"),
        ("COPY a /x", "COPY a /x/"),
        ("COPY a /x", "ADD a /x"),
        ("COPY a /x", "COPY --chown=1 a /x"),
        ("COPY a /x", "COPY --chmod=600 a /x"),
        ("COPY --chmod=600 a /x", "COPY --chmod=640 a /x"),
        ("WORKDIR /a", "WORKDIR /b"),
        ("WORKDIR /a", "USER u\nWORKDIR /a"),
    ],
)
def test_steps_that_differ(one: str, other: str) -> None:
    assert _key(one) != _key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("RUN a", "# comment\nRUN \\\na"),
        ("RUN a", "LABEL x=1\nRUN a"),
        ("RUN a", "EXPOSE 80\nCMD x\nRUN a"),
        ("RUN a", "MAINTAINER me\nVOLUME /v\nHEALTHCHECK NONE\nSTOPSIGNAL 9\nRUN a"),
        ("RUN a", "ARG unset\nRUN a"),
        ("ENV x=1 y=2\nRUN a", "ENV y=2\nENV x=1\nRUN a"),
        ("COPY a /x", "ENV e=1\nCOPY a /x"),
        ("COPY a /x", "ENV d=/x\nCOPY a $d"),
        ("WORKDIR /a/b", "ENV p=b\nWORKDIR /a/$p"),
    ],
)
def test_steps_that_are_the_same(one: str, other: str) -> None:
    assert _key(one) == _key(other)


def test_arguments_count_where_they_are_declared() -> None:
    assert _key("ARG x\nRUN a", x="1") != _key("ARG x\nRUN a", x="2")
    assert _key("RUN a\nARG x", x="1") == _key("RUN a\nARG x", x="2")
    assert _key("RUN a", x="1") == _key("RUN a", x="2")
    assert _key("ARG x\nENV x=0\nRUN a", x="1") == _key("ARG x\nENV x=0\nRUN a", x="2")
    assert _key("ENV x=0\nARG x\nRUN a", x="1") != _key("ENV x=0\nARG x\nRUN a", x="2")


def test_proxies_do_not_count_unless_declared() -> None:
    assert _key("RUN a", HTTP_PROXY="http://one") == _key("RUN a") == _key("RUN a", no_proxy="x")
    assert _key("ARG HTTP_PROXY\nRUN a", HTTP_PROXY="1") != _key("ARG HTTP_PROXY\nRUN a", HTTP_PROXY="2")


def test_network_counts_for_commands_alone() -> None:
    assert _key("RUN a", "none") != _key("RUN a", "default")
    assert _key("COPY a /", "none") == _key("COPY a /", "default")


def test_base_and_epoch_count() -> None:
    assert len({cache.base_key(None, None), cache.base_key("a", None), cache.base_key("a", 0)}) == 3


# -- the digest of files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "d" / "e").mkdir(parents=True)
    (tmp_path / "d" / "e" / "file").write_text("content")
    (tmp_path / "d" / "link").symlink_to("e/file")
    return tmp_path


def _fingerprint(folder: Path, path: str = "d", name: str = "d", rules: str = "") -> str:
    tree = Tree(str(folder), ignore.parse(rules, ".dockerignore"), is_context=True)
    try:
        return Fingerprints(str(folder / "none")).of(tree, path, name)
    finally:
        tree.close()


def _retarget(folder: Path) -> None:
    (folder / "d" / "link").unlink()
    (folder / "d" / "link").symlink_to("e")


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "d/e/file").write_text("CONTENT"),
        lambda folder: (folder / "d/e/file").chmod(0o755),
        lambda folder: (folder / "d/e").chmod(0o700),
        lambda folder: (folder / "d/e/file").rename(folder / "d/e/other"),
        lambda folder: (folder / "d/new").touch(),
        lambda folder: (folder / "d/new").mkdir(),
        _retarget,
    ],
)
def test_content_modes_and_names_count(folder: Path, change: Callable[[Path], object]) -> None:
    before = _fingerprint(folder)
    change(folder)
    assert _fingerprint(folder) != before


def test_times_owners_and_ignored_files_do_not_count(folder: Path) -> None:
    before = _fingerprint(folder, rules="**/*.log")
    os.utime(folder / "d/e/file", (1, 1))
    (folder / "d/a.log").write_text("x")
    if os.geteuid() == 0:
        os.chown(folder / "d/e/file", 5, 6)
    assert _fingerprint(folder, rules="**/*.log") == before


def test_large_files_are_remembered_and_read_again_when_changed(folder: Path) -> None:
    large = folder / "d" / "large"
    large.write_bytes(b"a" * 100_000)
    os.utime(large, (1, 1))
    first = _fingerprint(folder)
    large.write_bytes(b"b" * 100_000)
    os.utime(large, (1, 1))
    assert _fingerprint(folder) != first


# -- what a source names


def test_links_are_followed_and_keep_their_name(folder: Path) -> None:
    tree = Tree(str(folder))
    assert tree.find("d/link") == [Found("d/e/file", "link")]
    assert tree.find("d/*") == [Found("d/e", "e"), Found("d/e/file", "link")]
    assert tree.find("/d/../d/./e/") == [Found("d/e", "e")]
    assert tree.find("no*") == tree.find("nothing") == []
    (folder / "d" / "broken").symlink_to("nowhere")
    assert tree.find("d/broken") == []
    with pytest.raises(FileNotFoundError):
        tree.find("d/*")
    tree.close()


def test_links_do_not_lead_out(folder: Path) -> None:
    (folder / "out").symlink_to("/etc/hostname")
    (folder / "up").symlink_to("../../../../../../etc/hostname")
    tree = Tree(str(folder))
    assert tree.find("out") == tree.find("up") == tree.find("../../etc/hostname") == []
    tree.close()


# -- errors name their line


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("FROM b\n\nFOO x", "Dockerfile:3: unknown instruction: FOO"),
        ("FROM b\nCOYP a b", "Dockerfile:2: unknown instruction: COYP (did you mean COPY?)"),
        ("FROM b\nRUN a \\\n b\nADD x", "Dockerfile:4: ADD needs at least one source and a target"),
        ("FROM b\nCOPY --form=x a /", "Dockerfile:2: COPY has no flag --form"),
        ("FROM b\nCOPY --chmod=77777 a /", "Dockerfile:2: --chmod=77777 is not an octal mode"),
        ("FROM b\nCOPY --link a /", "Dockerfile:2: COPY --link is not supported yet"),
        ("FROM b\nADD --checksum=sha256:1 a /", "Dockerfile:2: ADD --checksum is not supported yet"),
        ("FROM b\nADD https://x/y.git /", "Dockerfile:2: ADD from a git repository is not supported yet"),
        ("FROM b\nRUN --mount=type=cache,target=/c a", "Dockerfile:2: RUN --mount is not supported yet"),
        ("FROM b\nRUN --network=none a", "Dockerfile:2: RUN --network is not supported yet"),
        ("FROM b\nCOPY <<EOF /x\na\nEOF", "Dockerfile:2: here-documents are not supported yet: <<EOF"),
        ("FROM b\nRUN cat <<-'E' >x\na\nE", "Dockerfile:2: here-documents are not supported yet: <<-'E'"),
        ("FROM b\nENV a", "Dockerfile:2: ENV a has no value"),
        ("FROM b\nUSER", "Dockerfile:2: USER needs an argument"),
        ("FROM a b c", "Dockerfile:1: FROM takes one argument, or three: FROM IMAGE AS NAME"),
        ("FROM --platform=a/b/c/d b", "Dockerfile:1: platform 'a/b/c/d' is not os[/architecture[/variant]]"),
    ],
)
def test_errors_name_their_line(text: str, message: str) -> None:
    with pytest.raises(BuildError) as caught:
        _plan(text)
    assert caught.value.message.startswith(message)
    assert "\n" not in caught.value.message and caught.value.exit_code == 1


def _plan(text: str) -> None:
    dockerfile = stages.resolve(parser.parse(text, "Dockerfile"), {}, "", AMD64, AMD64)
    plan_stage(dockerfile, dockerfile.stages[-1], RunConfig(), "", {}, AMD64, {})


def test_expose_of_an_empty_variable_exposes_nothing() -> None:
    _plan("FROM b\nARG port\nEXPOSE $port")


def test_undeclared_proxies_are_given_in_both_spellings() -> None:
    given = {"HTTP_PROXY": "http://one", "no_proxy": "two"}
    dockerfile = stages.resolve(parser.parse("FROM b\nRUN a", "Dockerfile"), given, "", AMD64, AMD64)
    (step,) = plan_stage(dockerfile, dockerfile.stages[-1], RunConfig(), "", given, AMD64, {}).steps
    assert isinstance(step, Run)
    assert set(step.unkeyed) == {"HTTP_PROXY=http://one", "http_proxy=http://one", "NO_PROXY=two", "no_proxy=two"}
    assert set(step.unkeyed) <= set(step.env)
    assert step.created_by == "RUN /bin/sh -c a"
