"""``--mount`` as Docker's users write it."""

from __future__ import annotations

import pytest

from lxcwrap.errors import UsageError
from lxcwrap.model.container import Mount, MountKind
from lxcwrap.model.mount_flag import mount


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("type=bind,source=/a,target=/b", Mount(MountKind.BIND, "/b", "/a")),
        ("type=bind,src=/a,dst=/b,ro", Mount(MountKind.BIND, "/b", "/a", read_only=True)),
        ("type=bind,src=/a,destination=/b,readonly=false", Mount(MountKind.BIND, "/b", "/a")),
        ("TYPE=bind,SRC=/a,dst=/b/../c", Mount(MountKind.BIND, "/c", "/a")),
        ('type=bind,"src=/a,b",dst=/b', Mount(MountKind.BIND, "/b", "/a,b")),
        ("type=bind,src=/a,dst=/b,bind-propagation=rslave", Mount(MountKind.BIND, "/b", "/a", options=("rslave",))),
        ("type=bind,src=/a,dst=/b,bind-nonrecursive", Mount(MountKind.BIND, "/b", "/a", options=("bind",))),
        ("type=bind,src=/a,dst=/b,bind-recursive=disabled", Mount(MountKind.BIND, "/b", "/a", options=("bind",))),
        ("type=bind,src=/a,dst=/b,consistency=cached", Mount(MountKind.BIND, "/b", "/a")),
        ("src=data,dst=/d", Mount(MountKind.VOLUME, "/d", "data")),
        ("dst=/d", Mount(MountKind.VOLUME, "/d", anonymous=True)),
        ("src=data,dst=/d,volume-nocopy", Mount(MountKind.VOLUME, "/d", "data", no_copy=True)),
        ("src=data,dst=/d,volume-subpath=x/y", Mount(MountKind.VOLUME, "/d", "data", subpath="x/y")),
        ("type=tmpfs,dst=/t", Mount(MountKind.TMPFS, "/t", options=("mode=1777",))),
        (
            "type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=700,ro",
            Mount(MountKind.TMPFS, "/t", options=("size=1048576", "mode=700", "ro")),
        ),
    ],
)
def test_forms(text: str, expected: Mount) -> None:
    assert mount(text) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("type=bind,source=/a", "it has no target"),
        ("type=bind,target=/b", "an absolute path on the host"),
        ("type=bind,src=a,target=/b", "an absolute path on the host"),
        ("type=bind,src=/a,target=b", "not an absolute path"),
        ("type=image,src=busybox,dst=/i", "type 'image' is not supported"),
        ("type=bind,src=/a,dst=/b,volume-nocopy", "does not go with type=bind"),
        ("type=bind,src=/a,dst=/b,colour=red", "unknown key 'colour'"),
        ("type=bind,src,dst=/b", "'src' has no value"),
        ("type=bind,src=/a,dst=/b,ro=perhaps", "neither true nor false"),
        ("type=bind,src=/a,dst=/b,bind-propagation=rshared", "choose private"),
        ("type=tmpfs,src=/a,dst=/b", "a tmpfs has no source"),
        ("type=tmpfs,dst=/b,tmpfs-mode=9", "not an octal mode"),
        ("type=tmpfs,dst=/b,tmpfs-size=big", "not a size"),
        ("src=data,dst=/d,volume-subpath=../x", "leads out of the volume"),
        ("src=data,dst=/d,volume-subpath=/x", "leads out of the volume"),
        ("dst=/d,volume-subpath=x", "needs the name of a volume"),
        ("src=data,dst=/d,volume-opt=type=nfs", "volume-opt is not supported"),
        ("src=data,dst=/d,volume-driver=nfs", "the only driver is local"),
        ('type=bind,src=/a,"dst=/b', "invalid mount"),
    ],
)
def test_what_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        mount(text)
