"""``volume create -o`` as Docker's and Podman's users write it."""

from __future__ import annotations

import pytest

from lxcwrap.errors import LxcwrapError
from lxcwrap.kernel import mount
from lxcwrap.model.volume_options import is_bind, parse, shown
from lxcwrap.runtime.filesystems import flags


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], {}),
        (["type=none,o=bind,device=/a"], {"type": "none", "o": "bind", "device": "/a"}),
        (["type=none", "o=bind", "device=/a"], {"type": "none", "o": "bind", "device": "/a"}),
        (["o=rbind,ro,nosuid,device=/a"], {"type": "none", "o": "rbind,ro,nosuid", "device": "/a"}),
        (["type=tmpfs,o=size=1m,uid=5"], {"type": "tmpfs", "o": "size=1m,uid=5", "device": "tmpfs"}),
        (
            ["type=nfs", "o=addr=10.0.0.1,rw,vers=4", "device=:/x"],
            {"type": "nfs", "o": "addr=10.0.0.1,rw,vers=4", "device": ":/x"},
        ),
        (["type=btrfs", "device=/dev/sda2"], {"type": "btrfs", "device": "/dev/sda2"}),
    ],
)
def test_forms(words: list[str], expected: dict[str, str]) -> None:
    assert dict(parse(words)) == expected


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("size=3g", "'size' is not supported"),
        ("colour=red", "'colour' is not known"),
        ("type=none,device=/a", "wants o=bind"),
        ("type=ext4", "wants a device"),
        ("device=/a", "without a type"),
        ("o=bind,device=a", "not an absolute path"),
        ("o=bind,size=1m,device=/a", "does not go with a bind"),
        ("o=bind,rshared,device=/a", "never reaches the host"),
        ("type=ext4,o=loop,device=/a", "o=loop is not supported"),
        ("type=tmpfs,o=a\nb", "control character"),
    ],
)
def test_what_is_refused(word: str, said: str) -> None:
    with pytest.raises(LxcwrapError, match=said):
        parse([word])


def test_passwords_are_not_shown() -> None:
    options = parse(["type=cifs,o=user=me,password=s3cret,device=//a/b"])
    assert "s3cret" not in str(shown(options))
    assert dict(shown(options))["o"] == "user=me,password=***"
    assert not is_bind(options)


def test_flags_of_mount() -> None:
    number, rest = flags(["ro", "noatime", "rw", "nosuid", "defaults", "size=1m"])
    assert number == mount.MS_NOSUID | 0x400
    assert rest == ["size=1m"]
