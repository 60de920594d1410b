"""The pure parts of the runtime: policy, users, restart delays, log records, detach keys, items."""

from __future__ import annotations

from pathlib import Path

import pytest

from lxcwrap.actions.stop import signal_number
from lxcwrap.errors import RuntimeFailure, Unsupported, UsageError
from lxcwrap.model.container import Mount, MountKind, Namespaces, Resources, Security
from lxcwrap.runtime import apparmor, config, limits, namespaces, policy, seccomp
from lxcwrap.runtime.config import Host
from lxcwrap.runtime.detach import Matcher, parse
from lxcwrap.runtime.frames import INPUT, Decoder, encode
from lxcwrap.runtime.logfile import NAME, LogFile, timestamp
from lxcwrap.runtime.restart import Counter
from lxcwrap.runtime.users import UnknownUser, resolve

PASSWD = "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:6::/var/d:/bin/false\nbroken\n"
GROUP = "root:x:0:\ndisk:x:6:root,daemon\nextra:x:40:daemon\n"
V2 = Host("x86_64", True, frozenset(("memory", "cpu", "pids")), True, False, 41)
V1 = Host("x86_64", False, frozenset(("memory", "cpu", "pids", "cpuset")), False, False, 41)


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("", (0, 0, (0, 6), "/root")),
        ("daemon", (1, 6, (6, 40), "/var/d")),
        ("1", (1, 6, (6, 40), "/var/d")),
        ("daemon:extra", (1, 40, (40,), "/var/d")),
        ("77:88", (77, 88, (88,), "/")),
        ("77", (77, 0, (0,), "/")),
    ],
)
def test_users(user: str, expected: tuple[object, ...]) -> None:
    found = resolve(user, (), PASSWD, GROUP)
    assert (found.uid, found.gid, found.groups, found.home) == expected


def test_unknown_users_and_groups() -> None:
    with pytest.raises(UnknownUser, match="nobody-here"):
        resolve("nobody-here", (), PASSWD, GROUP)
    with pytest.raises(UnknownUser, match="no-group"):
        resolve("root", ("no-group",), PASSWD, GROUP)


def test_default_capabilities_are_podmans_eleven() -> None:
    assert len(policy.capabilities(Security(), system=False)) == 11


@pytest.mark.parametrize(
    ("security", "kept"),
    [
        (Security(cap_drop=("ALL",)), set()),
        (Security(cap_drop=("ALL",), cap_add=("CHOWN",)), {"CHOWN"}),
        (Security(cap_add=("ALL",), cap_drop=("SYS_ADMIN",)), set(policy.ALL_CAPABILITIES) - {"SYS_ADMIN"}),
        (Security(privileged=True), set(policy.ALL_CAPABILITIES)),
    ],
)
def test_capabilities(security: Security, kept: set[str]) -> None:
    assert set(policy.capabilities(security, system=False)) == kept


def test_capability_that_the_kernel_lacks() -> None:
    with pytest.raises(Unsupported, match="CHECKPOINT_RESTORE"):
        policy.capabilities(Security(cap_add=("CHECKPOINT_RESTORE",)), system=False, known=38)


def test_seccomp_follows_capabilities() -> None:
    plain = seccomp.profile(frozenset(), "x86_64").splitlines()
    admin = seccomp.profile(frozenset(("SYS_ADMIN",)), "x86_64").splitlines()
    assert plain[:3] == ["2", "allowlist errno 1", "[all]"]
    assert "mount" not in plain and "mount" in admin
    assert "clone3 errno 38" in plain and "clone3 errno 38" not in admin
    assert "io_uring_setup" not in admin


def test_limits_on_both_cgroup_versions() -> None:
    resources = Resources(memory=64 << 20, memory_swap=128 << 20, nano_cpus=5 * 10**8, pids_limit=-1)
    assert config.limits(resources, V2) == [
        ("lxc.cgroup2.memory.max", str(64 << 20)),
        ("lxc.cgroup2.memory.swap.max", str(64 << 20)),
        ("lxc.cgroup2.cpu.max", "50000 100000"),
        ("lxc.cgroup2.pids.max", "max"),
    ]
    with pytest.raises(Unsupported, match="--memory-swap"):
        config.limits(resources, V1)
    with pytest.raises(Unsupported, match="--cpuset-cpus"):
        config.limits(Resources(cpuset_cpus="0"), V2)


def test_mount_entries_escape_blanks() -> None:
    assert config.mount_entry("/a b", "/c#d", "none", "bind")[1] == "/a\\040b c\\043d none bind 0 0"


@pytest.mark.parametrize("key", ["kernel.panic", "vm.swappiness", "net.../x"])
def test_sysctls_of_the_host_are_refused(key: str) -> None:
    with pytest.raises(UsageError):
        config.sysctls(Security(sysctls=((key, "1"),)), own_network=True)


def test_old_logs_are_compressed_and_none_is_kept_twice(tmp_path: Path) -> None:
    import gzip

    log = LogFile(str(tmp_path), max_size=100, max_file=4)
    for number in range(20):
        log.write("stdout", b"%03d %s\n" % (number, b"x" * 60))
        names = sorted(path.name for path in tmp_path.iterdir())
        assert names == [NAME, NAME + ".1", NAME + ".2.gz", NAME + ".3.gz"][: number + 1]
    assert b"F 017 " in gzip.decompress((tmp_path / f"{NAME}.2.gz").read_bytes())
    assert b"F 018 " in (tmp_path / f"{NAME}.1").read_bytes()
    plain = LogFile(str(tmp_path), max_size=100, max_file=4, compress=False)
    for _ in range(5):
        plain.write("stdout", b"y" * 90)
    assert not list(tmp_path.glob("*.gz"))


def test_restart_on_failure_counts() -> None:
    counter = Counter({"kind": "on-failure", "limit": 2})
    assert counter.again(0, stopped=False, now=0.0) is None
    assert counter.again(1, stopped=False, now=0.0) is not None
    counter.count = 2
    assert counter.again(1, stopped=False, now=0.0) is None


def test_log_records_and_rotation(tmp_path: Path) -> None:
    log = LogFile(str(tmp_path), max_size=200, max_file=2)
    log.write("stdout", b"one\ntwo")
    log.write("stderr", b"bad\r\n")
    records = [line.split(b" ", 1)[1] for line in (tmp_path / NAME).read_bytes().splitlines()]
    assert records == [b"stdout F one", b"stdout P two", b"stderr F bad"]
    for _ in range(9):
        log.write("stdout", b"x" * 60 + b"\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == [NAME, NAME + ".1"]
    assert timestamp(1_000_000_001) == "1970-01-01T00:00:01.000000001Z"


@pytest.mark.parametrize(
    ("typed", "passed", "found"),
    [
        (b"abc", b"abc", False),
        (b"a\x10b", b"a\x10b", False),
        (b"a\x10\x11z", b"a", True),
        (b"\x10\x10\x11", b"\x10", True),
    ],
)
def test_detach_keys(typed: bytes, passed: bytes, found: bool) -> None:
    assert Matcher(parse("ctrl-p,ctrl-q")).feed(typed) == (passed, found)


def test_frames_survive_any_cut() -> None:
    stream = encode(INPUT, b"hello") + encode(INPUT)
    decoder = Decoder()
    frames = [frame for byte in stream for frame in decoder.feed(bytes([byte]))]
    assert frames == [(INPUT, b"hello"), (INPUT, b"")]


@pytest.mark.parametrize(("text", "number"), [("TERM", 15), ("sigkill", 9), ("1", 1), ("SIGRTMIN+3", 37)])
def test_signals(text: str, number: int) -> None:
    assert signal_number(text) == number


@pytest.mark.parametrize(
    ("security", "system", "start"),
    [
        (Security(), False, "lxcwrap-default-"),
        (Security(), True, "lxcwrap-system-"),
        (Security(privileged=True), False, "unconfined"),
        (Security(security_opt=("apparmor=unconfined",)), False, "unconfined"),
        (Security(security_opt=("apparmor:mine",)), False, "mine"),
        (Security(privileged=True, security_opt=("apparmor=mine",)), True, "mine"),
    ],
)
def test_every_container_has_a_profile_unless_asked_otherwise(security: Security, system: bool, start: str) -> None:
    name = apparmor.name_for(security, system=system)
    assert name.startswith(start)
    with_it = Host("x86_64", True, frozenset(), True, True, 41)
    assert ("lxc.apparmor.profile", name) in config.confinement(security, with_it, system=system)


def _profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listed: str, exit_code: int) -> Path:
    """A list of loaded profiles, and a parser that keeps what it is given."""
    (tmp_path / "list").write_text(listed)
    parser = tmp_path / "parser"
    parser.write_text(f"#!/bin/sh\ncat >{tmp_path}/loaded\necho 'bad line' >&2\nexit {exit_code}\n")
    parser.chmod(0o755)
    monkeypatch.setattr(apparmor, "LOADED", str(tmp_path / "list"))
    monkeypatch.setattr(apparmor, "_PARSERS", (str(parser),))
    return tmp_path / "loaded"


@pytest.mark.parametrize("system", [False, True])
def test_a_profile_is_loaded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: bool) -> None:
    name = apparmor.name_for(Security(), system=system)
    loaded = _profiles(tmp_path, monkeypatch, "other (enforce)\n", 0)
    apparmor.ensure(name, system=system)
    text = loaded.read_text()
    assert f"profile {name} flags=" in text
    assert f"signal (send, receive) peer={name}," in text
    assert ("deny mount," in text) is not system
    loaded.unlink()
    (tmp_path / "list").write_text(f"other (enforce)\n{name} (enforce)\n")
    apparmor.ensure(name, system=system)
    assert not loaded.exists()


def test_no_container_without_its_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = apparmor.name_for(Security(), system=False)
    _profiles(tmp_path, monkeypatch, "other (enforce)\n", 1)
    with pytest.raises(RuntimeFailure, match="bad line"):
        apparmor.ensure(name, system=False)
    with pytest.raises(Unsupported, match="mine: no such profile"):
        apparmor.ensure("mine", system=False)
    apparmor.ensure("other", system=False)
    monkeypatch.setattr(apparmor, "_PARSERS", ())
    with pytest.raises(RuntimeFailure, match="no apparmor_parser"):
        apparmor.ensure(name, system=False)
    monkeypatch.setattr(apparmor, "LOADED", str(tmp_path / "none"))
    with pytest.raises(RuntimeFailure, match="AppArmor"):
        apparmor.ensure(name, system=False)
    apparmor.ensure("unconfined", system=False)


def test_rare_limits_on_both_cgroup_versions() -> None:
    io = Host("x86_64", True, frozenset(("io", "cpu", "memory")), True, False, 41)
    assert limits.items(Resources(blkio_weight=1000), io) == [
        ("--blkio-weight", ("lxc.cgroup2.io.weight", "default 10000"))
    ]
    assert (limits.weight_v2(10), limits.weight_v2(500)) == (1, 4950)
    for resources, flag in (
        (Resources(memory_swappiness=0), "--memory-swappiness"),
        (Resources(oom_kill_disable=True), "--oom-kill-disable"),
        (Resources(cpu_rt_runtime=1000), "--cpu-rt-runtime"),
    ):
        with pytest.raises(Unsupported, match=f"{flag}: cgroup v2"):
            limits.items(resources, io)
        assert limits.items(resources, V1)[0][0] == flag
    with pytest.raises(Unsupported, match="--blkio-weight: this kernel's cgroups have no blkio"):
        limits.items(Resources(blkio_weight=100), V1)


@pytest.mark.parametrize(
    ("text", "parent"), [("/a/b/", "a/b"), ("a-b.slice", "a.slice/a-b.slice"), ("x.slice/y", "x.slice/y")]
)
def test_parents_of_control_groups(text: str, parent: str) -> None:
    assert limits.parent(text) == parent


def test_what_is_kept_is_all_that_is_not_made_anew() -> None:
    wanted = Namespaces(pid="host", ipc="container:abc")
    assert namespaces.items(wanted, {"abc": 7}, own_users=False, own_network=True) == [
        ("lxc.namespace.share.ipc", "7"),
        ("lxc.namespace.keep", "pid time user"),
    ]
    assert namespaces.items(Namespaces(), {}, own_users=True, own_network=False) == []


def test_what_goes_onto_a_late_volume_is_not_liblxcs_to_mount() -> None:
    outer = Mount(MountKind.VOLUME, "/dev/v", "outer")
    inner = Mount(MountKind.VOLUME, "/dev/v/sub/inner", "inner")
    memory = Mount(MountKind.TMPFS, "/dev/v/t")
    beside = Mount(MountKind.TMPFS, "/dev/t")
    ordinary = Mount(MountKind.VOLUME, "/data", "data")
    mounts = (inner, memory, outer, beside, ordinary)
    assert config.late(mounts) == ([outer], [(memory, 0), (inner, 0)])
    entries = [value for _, value in config.late_mounts(mounts, "/place")]
    assert entries == [
        "tmpfs dev/t tmpfs nosuid,nodev,rw,create=dir 0 0",
        "/place/late/0 dev/v none rbind,create=dir 0 0",
    ]


def test_control_groups_of_version_1_are_mounted_read_only() -> None:
    entries = [value for _, value in config.control_groups(("name=systemd", "cpu,cpuacct", ""), "/empty")]
    flags = "ro,nosuid,nodev,noexec"
    assert entries == [
        f"/empty sys/fs/cgroup none bind,{flags} 0 0",
        f"cgroup sys/fs/cgroup/systemd cgroup {flags},name=systemd 0 0",
        f"cgroup sys/fs/cgroup/cpu,cpuacct cgroup {flags},cpu=,cpuacct= 0 0",
        f"cgroup sys/fs/cgroup/unified cgroup2 {flags} 0 0",
    ]


@pytest.mark.parametrize("number", ["²", "9" * 5000, "4294967295", "-1", "1_0", ""])
def test_no_id_but_a_plain_number(number: str) -> None:
    with pytest.raises(UnknownUser):
        resolve("odd", (), f"odd:x:{number}:0::/:\n", "")
    with pytest.raises(UnknownUser):
        resolve(number or "none", (), "", "")
