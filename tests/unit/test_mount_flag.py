"""``--mount`` as Docker's users write it."""

from __future__ import annotations

import pytest

from lxcwrap.errors import UsageError
from lxcwrap.model.container import Mount, MountKind
from lxcwrap.model.mount_flag import mount
from lxcwrap.model.run_flags import volume


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
        ("type=bind,src=/a,dst=/b,bind-create-src", Mount(MountKind.BIND, "/b", "/a", create_source=True)),
        ("type=bind,src=/a,dst=/b,bind-create-src=0", Mount(MountKind.BIND, "/b", "/a")),
        ("type=bind,src=/a,dst=/b,ro,bind-recursive=readonly", Mount(MountKind.BIND, "/b", "/a", read_only=True)),
        (
            "type=bind,src=/a,dst=/b,ro,bind-recursive=writable",
            Mount(MountKind.BIND, "/b", "/a", read_only=True, writable_below=True),
        ),
        (
            'src=data,dst=/d,volume-label=a=b,volume-label=c,volume-opt=type=tmpfs,"volume-opt=o=size=1m,mode=700"',
            Mount(
                MountKind.VOLUME,
                "/d",
                "data",
                labels=(("a", "b"), ("c", "")),
                driver_options=(("device", "tmpfs"), ("o", "size=1m,mode=700"), ("type", "tmpfs")),
            ),
        ),
        ("type=image,src=busybox,dst=/i", Mount(MountKind.IMAGE, "/i", "busybox", read_only=True)),
        ("type=image,src=a:b,dst=/i,rw=true", Mount(MountKind.IMAGE, "/i", "a:b")),
        ("type=image,src=a,dst=/i,image-subpath=x", Mount(MountKind.IMAGE, "/i", "a", read_only=True, subpath="x")),
        ("type=image,src=a,dst=/i,subpath=/x/y", Mount(MountKind.IMAGE, "/i", "a", read_only=True, subpath="x/y")),
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
        ("type=npipe,src=busybox,dst=/i", "type 'npipe' is not supported"),
        ("type=image,dst=/i", "it has no image"),
        ("type=image,src=a,dst=/i,image-subpath=../x", "leads out of the image"),
        ("type=image,src=a,dst=/i,rw,ro", "readonly and rw exclude each other"),
        ("type=bind,src=/a,dst=/b,rw", "'rw' does not go with type=bind"),
        ("type=bind,src=/a,dst=/b,volume-label=x", "does not go with type=bind"),
        ("type=bind,src=/a,dst=/b,consistency=strong", "consistency: choose"),
        ("type=bind,src=/a,dst=/b,bind-recursive=readonly", "wants readonly"),
        ("type=bind,src=/a,dst=/b,bind-recursive=writable", "wants readonly"),
        ("type=bind,src=/a,dst=/b,ro,bind-recursive=readonly,bind-propagation=rslave", "wants bind-propagation"),
        ("type=bind,src=/a,dst=/b,bind-recursive=writable,ro,bind-nonrecursive", "exclude each other"),
        ("type=bind,src=/a,dst=/b,bind-propagation=none", "choose private"),
        ("type=bind,src=/a,dst=/b,volume-nocopy", "does not go with type=bind"),
        ("type=bind,src=/a,dst=/b,colour=red", "unknown key 'colour'"),
        ("type=bind,src,dst=/b", "'src' has no value"),
        ("type=bind,src=/a,dst=/b,ro=perhaps", "neither true nor false"),
        ("type=bind,src=/a,dst=/b,bind-propagation=rshared", "never reaches the host"),
        ("type=tmpfs,src=/a,dst=/b", "a tmpfs has no source"),
        ("type=tmpfs,dst=/b,tmpfs-mode=9", "not an octal mode"),
        ("type=tmpfs,dst=/b,tmpfs-size=big", "not a size"),
        ("src=data,dst=/d,volume-subpath=../x", "leads out of the volume"),
        ("src=data,dst=/d,volume-subpath=/x", "leads out of the volume"),
        ("dst=/d,volume-subpath=x", "needs the name of a volume"),
        ("src=data,dst=/d,volume-opt=type=nfs", "wants a device"),
        ("src=data,dst=/d,volume-driver=nfs", "the only driver is local"),
        ('type=bind,src=/a,"dst=/b', "invalid mount"),
    ],
)
def test_what_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        mount(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("/a:/b:rshared", "rshared is not supported: what a container mounts never reaches the host"),
        ("/a:/b:nocopy", "nocopy does not go with a directory of the host"),
        ("data:/b:rslave", "rslave does not go with a volume"),
        ("/a:/b:ro,rw", "ro and rw exclude each other"),
        ("/a:/b:slave,rslave", "slave and rslave exclude each other"),
        ("/a:/b:z,Z", "z and Z exclude each other"),
        ("/a:/b:U", "unknown option 'U'"),
    ],
)
def test_what_is_refused_of_the_short_form(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        volume(text)


def test_words_of_the_short_form() -> None:
    assert volume("/a:/b:ro,z,cached,rbind,rslave").options == ("rslave",)
    assert volume("/a:/b:bind").options == ("bind",)
    assert volume("data:/b:nocopy,Z").no_copy
