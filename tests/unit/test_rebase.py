"""What stays and what goes when a container gets another image."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lxcwrap.actions.create import merge
from lxcwrap.actions.rebase import rebased
from lxcwrap.errors import UsageError
from lxcwrap.model.container import ContainerConfig, Mount, MountKind
from lxcwrap.model.health import HealthCheck
from lxcwrap.model.image import RunConfig

OLD = RunConfig(
    entrypoint=("/old",),
    command=("serve",),
    env=("PATH=/bin", "VERSION=1", "MODE=quiet"),
    working_dir="/old",
    user="www",
    labels=(("version", "1"), ("vendor", "me")),
    exposed=("80/tcp",),
    volumes=("/data",),
    stop_signal="SIGQUIT",
    health=HealthCheck(("CMD", "old"), interval=5),
)
NEW = RunConfig(
    command=("new",),
    env=("PATH=/usr/bin:/bin", "VERSION=2", "EXTRA=yes"),
    labels=(("version", "2"),),
    exposed=("81/tcp",),
    volumes=("/data", "/more"),
    health=HealthCheck(("CMD", "new")),
)


def on_new(asked: ContainerConfig, *, entrypoint_given: bool = False) -> ContainerConfig:
    return rebased(merge(OLD, asked, entrypoint_given=entrypoint_given), OLD, NEW, "new:2")


def test_defaults_follow_the_image() -> None:
    asked = ContainerConfig("old:1", stop_signal="")
    found = on_new(asked)
    assert replace(found, mounts=()) == replace(merge(NEW, asked), image="new:2", mounts=())
    assert [mount.target for mount in found.mounts] == ["/data", "/more"]


def test_wishes_stay() -> None:
    asked = ContainerConfig(
        "old:1",
        command=("debug",),
        env=("MODE=loud", "MINE=1"),
        working_dir="/mine",
        user="me",
        labels=(("mine", "1"), ("vendor", "you")),
        exposed=("99/tcp",),
        stop_signal="SIGINT",
        mounts=(Mount(MountKind.BIND, "/more", "/srv"),),
        health=HealthCheck(interval=9),
    )
    found = on_new(asked)
    assert found.argv == ("debug",)
    assert set(found.env) == {"PATH=/usr/bin:/bin", "VERSION=2", "EXTRA=yes", "MODE=loud", "MINE=1"}
    assert (found.working_dir, found.user, found.stop_signal) == ("/mine", "me", "SIGINT")
    assert dict(found.labels) == {"version": "2", "vendor": "you", "mine": "1"}
    assert found.exposed == ("81/tcp", "99/tcp")
    assert [(mount.target, mount.source) for mount in found.mounts] == [("/more", "/srv"), ("/data", "")]
    assert found.health == HealthCheck(("CMD", "new"), interval=9)


def test_what_was_taken_away_stays_away() -> None:
    config = merge(OLD, ContainerConfig("old:1"))
    config = replace(config, env=("PATH=/bin", "MODE=quiet"), labels=(("vendor", "me"),))
    found = rebased(config, OLD, NEW, "new:2")
    assert found.env == ("PATH=/usr/bin:/bin", "EXTRA=yes")
    assert found.labels == ()


def test_an_entrypoint_of_the_users() -> None:
    found = on_new(ContainerConfig("old:1", entrypoint=("/mine",), command=("x",)), entrypoint_given=True)
    assert found.argv == ("/mine", "x")
    assert on_new(ContainerConfig("old:1", command=("x",)), entrypoint_given=True).argv == ("x",)


def test_a_check_that_the_new_image_has_not() -> None:
    config = merge(OLD, ContainerConfig("old:1", health=HealthCheck(interval=9), health_on_failure="stop"))
    found = rebased(config, OLD, replace(NEW, health=None), "new:2")
    assert (found.health, found.health_on_failure) == (HealthCheck(), "")


def test_nobody_names_a_command() -> None:
    with pytest.raises(UsageError, match="no command"):
        rebased(merge(OLD, ContainerConfig("old:1")), OLD, RunConfig(), "new:2")


def test_an_old_image_that_is_gone() -> None:
    """All that the container has counts as asked for."""
    found = rebased(merge(OLD, ContainerConfig("old:1")), RunConfig(), NEW, "new:2")
    assert found.argv == ("/old", "serve")
    assert "VERSION=1" in found.env and "EXTRA=yes" in found.env
