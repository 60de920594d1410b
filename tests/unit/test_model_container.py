"""Container configurations as JSON, and the values that may not reach a line-based file."""

from __future__ import annotations

import json

import pytest

from lxcwrap.errors import Unsafe, UsageError
from lxcwrap.model import names
from lxcwrap.model.container import (
    ContainerConfig,
    Device,
    Mount,
    MountKind,
    NetworkConfig,
    Port,
    Resources,
    RestartKind,
    RestartPolicy,
    Security,
    Ulimit,
    UserNamespace,
)
from lxcwrap.model.paths import Paths


def test_a_full_configuration_survives_json() -> None:
    config = ContainerConfig(
        image="debian",
        command=("sleep", "1"),
        env=("A=b",),
        labels=(("x", "y"),),
        mounts=(Mount(MountKind.BIND, "/data", "/srv", read_only=True), Mount(MountKind.TMPFS, "/t")),
        resources=Resources(memory=1 << 20, ulimits=(Ulimit("nofile", 10, 20),)),
        security=Security(
            cap_add=("NET_ADMIN",),
            user_namespace=UserNamespace.HOST,
            devices=(Device("/dev/fuse", "/dev/fuse"),),
            sysctls=(("net.core.somaxconn", "10"),),
        ),
        network=NetworkConfig(ports=(Port(80, host_port=8080), Port(53, "udp", "127.0.0.1"))),
        restart=RestartPolicy(RestartKind.ON_FAILURE, 3),
    )
    assert ContainerConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


def test_defaults_take_no_room() -> None:
    assert ContainerConfig(image="x").to_json() == {"image": "x"}


@pytest.mark.parametrize("name", ["", "-a", "a b", "a/b", "a\n", "ä", "x" * 129, "../x"])
def test_names_outside_dockers_rule_are_refused(name: str) -> None:
    with pytest.raises(UsageError):
        names.check_name(name, "container")


@pytest.mark.parametrize("name", ["web", "Web_1.x-y", "0", "x" * 128])
def test_names_inside_it_pass(name: str) -> None:
    assert names.check_name(name, "container") == name


@pytest.mark.parametrize("text", ["a\nlxc.hook.start=/bin/sh", "a\x00b", "\x1b[2J", "a\rb"])
def test_control_characters_are_refused_by_what_they_are_in(text: str) -> None:
    with pytest.raises(Unsafe, match="label"):
        names.check_text(text, "label")


@pytest.mark.parametrize("name", ["", "-a", "a b", "a_", "a\n", "x" * 64, "a..b"])
def test_hostnames(name: str) -> None:
    with pytest.raises(UsageError):
        names.check_hostname(name)


def test_instances_do_not_share_what_is_global_to_the_host() -> None:
    standard, other = Paths(), Paths("/srv/other")
    assert standard.bridge == "lxcw0"
    assert len(other.bridge) <= 15
    assert (standard.run, standard.nft_table) != (other.run, other.nft_table)
    assert len(other.container_run("f" * 64) + "/socket") < 108  # sun_path, unix(7)
