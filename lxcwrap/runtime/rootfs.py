"""A container's root file system: the layers, then everything that is mounted onto them.

Runs in the supervisor's own mount namespace.  The rootfs belongs to the container, which may have put links
anywhere: targets are resolved beneath it and mounted by descriptor, so that no path is walked twice.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from lxcwrap.kernel import mount
from lxcwrap.kernel.beneath import RESOLVE_NO_XDEV, STRICT, make_directories, open_beneath, open_root

_TMPFS_FLAGS = {
    "nosuid": mount.MOUNT_ATTR_NOSUID, "nodev": mount.MOUNT_ATTR_NODEV, "noexec": mount.MOUNT_ATTR_NOEXEC,
    "ro": mount.MOUNT_ATTR_RDONLY,
}  # fmt: skip
_TMPFS_DEFAULTS = mount.MOUNT_ATTR_NOSUID | mount.MOUNT_ATTR_NODEV | mount.MOUNT_ATTR_NOEXEC
_UNSET = {"suid": mount.MOUNT_ATTR_NOSUID, "dev": mount.MOUNT_ATTR_NODEV, "exec": mount.MOUNT_ATTR_NOEXEC}


class CannotMount(Exception):
    """A mount of the container failed; the message is one line."""


class Rootfs:
    """The mounted rootfs of a plan.  ``made`` are the mount points that were made in it for mounts."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.plan = plan
        self.id_base: int | None = plan["id_base"]
        self.path = plan["directory"] + "/rootfs"
        self.made: list[str] = []
        self._user_namespace = -1

    def mount(self) -> None:
        """Mount everything.  The caller has a mount namespace of its own.  Raises CannotMount or OSError."""
        plan = self.plan
        os.makedirs(self.path, 0o755, exist_ok=True)
        driver = import_module("lxcwrap.storage." + plan["driver"])
        driver.mount(plan["directory"], plan["lowers"], self.path, self.id_base, volatile=plan["volatile"])
        self.root_fd = open_root(self.path)
        for name in ("dev", "proc", "sys"):
            os.close(self._target("/" + name, directory=True))
        for item in plan["mounts"]:
            with _explained(item):
                self._mount_one(item)
        if plan.get("late"):
            self._make_late(plan["late"])
        if self._user_namespace >= 0:
            os.close(self._user_namespace)
        if plan.get("shm"):
            self._share_memory(plan["shm"])
        if plan.get("devices"):
            self._make_devices(plan["devices"])

    def seal(self) -> None:
        """Make the rootfs itself read-only; what is mounted on it stays as it is."""
        mount.mount(None, self.path, None, mount.MS_BIND | mount.MS_REMOUNT | mount.MS_RDONLY)

    def _share_memory(self, pid: int) -> None:
        """Another container's /dev/shm, where liblxc finds it for this one."""
        place = self.plan["directory"] + "/shm"
        os.makedirs(place, 0o755, exist_ok=True)
        with mount.namespace_of(pid):
            tree = mount.open_tree("/dev/shm")
        target = os.open(place, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            mount.move_mount_onto(tree, target)
        finally:
            os.close(target)
            os.close(tree)

    def _make_devices(self, nodes: list[dict[str, int]]) -> None:
        """Device nodes of the container's own, on a tmpfs of the host's making."""
        place = self.plan["directory"] + "/devices"
        os.makedirs(place, 0o755, exist_ok=True)
        mount.mount("tmpfs", place, "tmpfs", mount.MS_NOSUID | mount.MS_NOEXEC, "mode=755,size=64k")
        for number, node in enumerate(nodes):
            path = f"{place}/{number}"
            os.mknod(path, node["mode"], node["number"])
            os.chmod(path, stat.S_IMODE(node["mode"]))
            os.chown(path, node["uid"], node["gid"])

    def _make_late(self, items: list[dict[str, Any]]) -> None:
        """What liblxc is to bind below /dev, /proc and /sys, mounted at a place of the container's directory."""
        place = self.plan["directory"] + "/late"
        os.makedirs(place, 0o755, exist_ok=True)
        mount.mount("tmpfs", place, "tmpfs", mount.MS_NOSUID | mount.MS_NODEV | mount.MS_NOEXEC, "mode=755,size=64k")
        for number, item in enumerate(items):
            with _explained(item):
                if "onto" in item:
                    self._mount_onto(f"{place}/{item['onto']}", item)
                else:
                    self._mount_at(f"{place}/{number}", item)

    def _mount_at(self, path: str, item: dict[str, Any]) -> None:
        if item.get("filesystem"):
            self._attach(item)
        tree = self._bind(item)
        try:
            if stat.S_ISDIR(os.fstat(tree).st_mode):
                os.mkdir(path)
            else:
                os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))
                self._mark_file(path)
            mount.move_mount(tree, path)
        finally:
            os.close(tree)

    def _mount_onto(self, path: str, item: dict[str, Any]) -> None:
        """Onto what is mounted already: its links lead to what is in it."""
        root = open_root(path)
        try:
            self._mount_one(item, root, item["inside"])
        finally:
            os.close(root)

    def _mark_file(self, path: str) -> None:
        """Have liblxc make a file where it mounts this one."""
        for entry in self.plan["items"]:
            if entry[1].startswith(path + " "):
                entry[1] = entry[1].replace("create=dir", "create=file")

    def _mount_one(self, item: dict[str, Any], root: int = -1, path: str = "") -> None:
        """At its target in the rootfs, or at ``path`` beneath an open ``root``."""
        if item.get("filesystem"):
            self._attach(item)
        if item.get("copy_up"):
            self._fill(item)
        tree = self._tmpfs(item) if item["kind"] == "tmpfs" else self._bind(item)
        try:
            target = self._target(path or item["target"], directory=stat.S_ISDIR(os.fstat(tree).st_mode), root=root)
            try:
                mount.move_mount_onto(tree, target)
            finally:
                os.close(target)
        finally:
            os.close(tree)

    def _fill(self, item: dict[str, Any]) -> None:
        """Fill a new volume, which is empty, with what the image has at its mount point (Docker's rule)."""
        from lxcwrap.runtime.copyup import fill

        target = self._target(item["target"], directory=True)
        try:
            if item.get("filesystem") and not os.listdir(f"/proc/self/fd/{target}"):
                return  # its options say whose it is
            fill(target, item["source"], item["copy_up"], self.id_base or 0)
        finally:
            os.close(target)

    def _tmpfs(self, item: dict[str, Any]) -> int:
        context = mount.fsopen("tmpfs")
        attributes = _TMPFS_DEFAULTS
        values = {"uid": 0, "gid": 0}
        try:
            for option in item["options"]:
                key, _, value = option.partition("=")
                if key in ("uid", "gid"):
                    values[key] = int(value)
                elif key in _TMPFS_FLAGS:
                    attributes |= _TMPFS_FLAGS[key]
                elif key in _UNSET:
                    attributes &= ~_UNSET[key]
                elif key != "rw":
                    mount.fsconfig_string(context, key, value)
            for key, number in values.items():
                mount.fsconfig_string(context, key, str(number + (self.id_base or 0)))
            mount.fsconfig_create(context)
            return mount.fsmount(context, attributes)
        finally:
            os.close(context)

    def _attach(self, item: dict[str, Any]) -> None:
        """Mount the file system that a volume is, or find it where another container has it."""
        from lxcwrap.runtime import filesystems

        if not filesystems.attach(item["filesystem"], item["source"]):
            item["copy_up"] = ""

    def _bind(self, item: dict[str, Any]) -> int:
        recursive = "bind" not in item["options"]
        tree = self._of_image(item) if item["kind"] == "image" else self._source(item, recursive)
        try:
            if self.id_base is not None and item["mapped"] and item["kind"] != "image":
                self._map(tree, item, recursive)
            self._set_propagation(tree, item["options"], recursive)
            if item.get("attributes"):
                mount.mount_setattr(tree, set_=item["attributes"], recursive=recursive)
            if item["read_only"]:
                below = recursive and not item.get("writable_below")
                mount.mount_setattr(tree, set_=mount.MOUNT_ATTR_RDONLY, recursive=below)
        except BaseException:
            os.close(tree)
            raise
        return tree

    def _set_propagation(self, tree: int, words: list[str], recursive: bool) -> None:
        """Whether what the host mounts there later appears, too: not unless it is asked for.

        A mount made in this namespace follows the host's.  ``private`` speaks of the mount itself, not of what is
        mounted below it.
        """
        if not {"slave", "rslave"} & set(words):
            mount.mount_setattr(tree, propagation=mount.MS_PRIVATE, recursive=recursive and "private" not in words)

    def _of_image(self, item: dict[str, Any]) -> int:
        """An image's files below a layer of the container's own."""
        place = item["place"]
        seen = place + "/rootfs"
        os.makedirs(seen, 0o755, exist_ok=True)
        driver = import_module("lxcwrap.storage." + self.plan["driver"])
        driver.mount(place, tuple(item["lowers"]), seen, self.id_base)
        try:
            return self._source({**item, "source": seen}, False)
        finally:
            mount.umount(seen, mount.MNT_DETACH | mount.UMOUNT_NOFOLLOW)

    def _source(self, item: dict[str, Any], recursive: bool) -> int:
        """A detached copy of what is to be bound.  No link in a subpath, which the volume's users write, leads out."""
        if not item.get("subpath"):
            return mount.open_tree(item["source"], recursive=recursive)
        volume = open_root(item["source"])
        try:
            found = open_beneath(volume, item["subpath"], os.O_PATH)
        finally:
            os.close(volume)
        try:
            return mount.open_tree(f"/proc/self/fd/{found}", recursive=recursive)
        finally:
            os.close(found)

    def _map(self, tree: int, item: dict[str, Any], recursive: bool) -> None:
        """Give the mount the container's ids; what cannot be mapped is mounted as it is."""
        if self._user_namespace < 0:
            from lxcwrap.kernel.idmap import user_namespace

            assert self.id_base is not None
            self._user_namespace = user_namespace(self.id_base)
        try:
            mount.mount_setattr(
                tree, set_=mount.MOUNT_ATTR_IDMAP, user_namespace=self._user_namespace, recursive=recursive
            )
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EPERM, errno.EOPNOTSUPP):
                raise

    def _target(self, path: str, *, directory: bool, root: int = -1) -> int:
        """An O_PATH descriptor of the mount point, made if missing, resolved beneath the rootfs or another ``root``."""
        return self._in_volumes_too(lambda: self._made_target(root if root >= 0 else self.root_fd, path, directory))

    def _in_volumes_too(self, make: Callable[[], int]) -> int:
        """Make something; anew as the container's root in an idmapped volume, where the host's root is nobody."""
        try:
            return make()
        except OSError as error:
            if error.errno != errno.EOVERFLOW:
                raise
        _act_as(self.id_base or 0)
        try:
            return make()
        finally:
            _act_as(0)

    def _made_target(self, root: int, path: str, directory: bool, links: int = 0) -> int:
        try:
            return open_beneath(root, path, os.O_PATH)
        except FileNotFoundError:
            pass
        owner = self.id_base or 0
        parent, _, name = path.rstrip("/").rpartition("/")
        holder = make_directories(root, path if directory else parent, owner, owner)
        self.made.append(path)
        if directory:
            return holder
        try:
            made = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o644, dir_fd=holder)
            os.fchown(made, owner, owner)
            os.close(made)
            return os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=holder)
        except FileExistsError:  # a link that leads nowhere: what it names is made
            self.made.pop()
            if links > 8:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path) from None
            followed = os.path.join(parent, os.readlink(name, dir_fd=holder))
            return self._made_target(root, followed, False, links + 1)
        finally:
            os.close(holder)

    def read_text(self, path: str) -> str:
        """A small text file of the rootfs; '' if there is none."""
        try:
            descriptor = open_beneath(self.root_fd, path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        except OSError:
            return ""
        with open(descriptor, encoding="utf-8", errors="surrogateescape") as stream:
            return stream.read(8 * 1024 * 1024) if stat.S_ISREG(os.fstat(descriptor).st_mode) else ""

    def make_working_directory(self, path: str, uid: int, gid: int) -> None:
        """Docker makes a missing working directory; what liblxc mounts has its own."""
        owner = self.id_base or 0
        if not _is_liblxcs(os.path.normpath(path)):
            owners = owner + uid, owner + gid
            os.close(self._in_volumes_too(lambda: make_directories(self.root_fd, path, *owners)))

    def settled(self, path: str) -> str:
        """The path, without links, of a directory that nobody can exchange for another before the container runs.

        '' when there is none such: while liblxc enters it, ``/proc/self/fd/7`` is a directory of the host's, and
        whoever shares a volume may put a link to that there.
        """
        try:
            found = open_beneath(self.root_fd, path, os.O_PATH | os.O_DIRECTORY)
        except OSError:
            return ""
        try:
            real = os.readlink(f"/proc/self/fd/{found}").removeprefix(os.readlink(f"/proc/self/fd/{self.root_fd}"))
        finally:
            os.close(found)
        above = os.path.dirname(real).lstrip("/")
        try:
            os.close(open_beneath(self.root_fd, above, os.O_PATH, resolve=STRICT | RESOLVE_NO_XDEV))
        except OSError:  # in a volume
            return ""
        return "" if _is_liblxcs(real) else real or "/"

    def unmount(self) -> None:
        """Take everything down and remove the empty mount points that were made."""
        os.close(self.root_fd)
        mount.umount(self.path, mount.MNT_DETACH | mount.UMOUNT_NOFOLLOW)


def _is_liblxcs(path: str) -> bool:
    """Whether it is in what liblxc mounts over the rootfs."""
    return path.startswith(("/dev/", "/proc/", "/sys/"))


@contextmanager
def _explained(item: dict[str, Any]) -> Iterator[None]:
    """The kernel's refusal of one mount in the user's words."""
    try:
        yield
    except OSError as error:
        known = item.get("filesystem")
        source = f"volume {known['name']} ({known['type']} {known['device']})" if known else item["source"] or "tmpfs"
        where = "/".join(filter(None, (source, item.get("subpath"))))
        reason = error.strerror
        if known and error.errno == errno.EINVAL:
            reason = f"{reason} (are its options right? dmesg may say more)"
        elif error.errno in (errno.EINVAL, errno.ENOTDIR) and item["source"]:
            reason = f"{reason} (a directory goes on a directory only, and a file on a file)"
        raise CannotMount(f"cannot mount {where} at {item['target']}: {reason}") from None


def _act_as(identity: int) -> None:
    """setfsuid(2) and setfsgid(2), with all capabilities: what is made may be for another user."""
    libc = ctypes.CDLL(None)
    libc.setfsgid(identity)
    libc.setfsuid(identity)
    if identity:
        from lxcwrap.kernel import capabilities

        capabilities.regain()
