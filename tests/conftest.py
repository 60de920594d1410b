"""Fixtures for every test: a state root of its own, the installed command, base images, a real registry.

The command under test is ``LXCWRAP_BIN`` (a path; default: this checkout with the running interpreter).
A missing ability skips with its reason, except with ``CI`` set, where a skip is a failure; what no machine of
the usual kind can run (AppArmor, aufs) is marked ``elsewhere`` and may skip there too.
"""

from __future__ import annotations

import fcntl
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pexpect
import pytest

from lxcwrap.model.paths import Paths

CHECKOUT = Path(__file__).resolve().parent.parent
SCRATCH = Path(os.environ.get("LXCWRAP_TEST_SCRATCH", "/var/tmp/lxcwrap-tests"))
CACHE = Path("/var/cache/lxcwrap-tests")
IN_CI = os.environ.get("CI", "").lower() in ("1", "true", "yes")


class Result(NamedTuple):
    """What a command left behind; ``out`` and ``err`` are its whole standard output and error as text."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


class Cli:
    """The installed command on one state root."""

    def __init__(self, root: str) -> None:
        self.root = root
        program = os.environ.get("LXCWRAP_BIN", "")
        self.program = [program] if program else [sys.executable, "-m", "lxcwrap.cli.main"]
        self.environment = {**os.environ, "LXCWRAP_ROOT": root, "PYTHONPATH": "" if program else str(CHECKOUT)}

    def argv(self, *words: object) -> list[str]:
        return [*self.program, *map(str, words)]

    def __call__(
        self,
        *words: object,
        input: bytes | None = None,
        check: bool = True,
        timeout: float = 60,
        env: Mapping[str, str] | None = None,
        cwd: str | Path | None = None,
    ) -> Result:
        """Run it to its end.  With ``check`` any exit code but 0 fails the test and shows both streams."""
        argv = self.argv(*words)
        stdin: dict[str, Any] = {"stdin": subprocess.DEVNULL} if input is None else {"input": input}
        done = subprocess.run(
            argv, capture_output=True, timeout=timeout, env={**self.environment, **(env or {})}, cwd=cwd, **stdin
        )
        result = Result(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))
        if check and result.code:
            pytest.fail(f"{' '.join(argv)} exited {result.code}\n{result.out}\n{result.err}")
        return result

    def popen(self, *words: object, **options: Any) -> subprocess.Popen[bytes]:
        """Start it; the pipes are the caller's to choose."""
        return subprocess.Popen(self.argv(*words), env={**self.environment, **options.pop("env", {})}, **options)

    def terminal(self, *words: object, timeout: float = 30, dimensions: tuple[int, int] = (24, 80)) -> Any:
        """Run it on a real pseudo-terminal (a pexpect child)."""
        argv = self.argv(*words)
        child = pexpect.spawn(argv[0], argv[1:], env=self.environment, timeout=timeout, dimensions=dimensions)
        child.delaybeforesend = None
        return child


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "elsewhere(what): needs a kernel feature that CI machines lack; may skip in CI")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if IN_CI and report.skipped and not hasattr(report, "wasxfail") and not item.get_closest_marker("elsewhere"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not allow: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def missing() -> Callable[[str], None]:
    """``missing(reason)``: this machine cannot run the test (in CI that is a failure)."""

    def skip(reason: str) -> None:
        pytest.skip(reason)

    return skip


@pytest.fixture(scope="session")
def needs() -> Callable[..., None]:
    """``needs("skopeo", "umoci")``: the programs that a test drives."""

    def check(*programs: str) -> None:
        absent = [program for program in programs if not shutil.which(program)]
        if absent:
            pytest.skip(f"not installed: {', '.join(absent)}")

    return check


@contextmanager
def state_root(name: str) -> Iterator[str]:
    if os.geteuid():
        pytest.skip("needs root")
    SCRATCH.mkdir(mode=0o755, parents=True, exist_ok=True)
    place = tempfile.mkdtemp(prefix=f"{name}-", dir=SCRATCH)
    os.chmod(place, 0o711)
    try:
        yield place
    finally:
        _take_down(place)


def _take_down(root: str) -> None:
    """Stop and remove everything of one state root, its bridge and its nftables table too."""
    cli, paths = Cli(root), Paths(root)
    if os.path.exists(paths.database):
        left = cli("ps", "-aq", "--no-trunc", check=False).out.split()
        if left:
            cli("rm", "-f", *left, check=False)
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    if os.path.exists(f"/sys/class/net/{paths.bridge}"):
        subprocess.run(["ip", "link", "delete", paths.bridge], **quiet)
    for family in ("inet", "ip", "ip6", "bridge"):
        subprocess.run(["nft", "delete", "table", family, paths.nft_table], **quiet)
    if os.path.ismount(f"{paths.run}/secrets"):
        subprocess.run(["umount", f"{paths.run}/secrets"], **quiet)
    shutil.rmtree(paths.run, ignore_errors=True)
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(scope="module")
def root(request: pytest.FixtureRequest) -> Iterator[str]:
    """A fresh state root for one test module; everything in it is stopped and removed at the end."""
    with state_root(request.module.__name__.rpartition(".")[2]) as place:
        yield place


@pytest.fixture(scope="module")
def cli(root: str) -> Cli:
    return Cli(root)


@pytest.fixture
def fresh_root(request: pytest.FixtureRequest) -> Iterator[str]:
    """A state root for one test alone."""
    with state_root("fresh") as place:
        yield place


@pytest.fixture
def fresh_cli(fresh_root: str) -> Cli:
    return Cli(fresh_root)


@pytest.fixture(scope="module")
def busybox(cli: Cli) -> str:
    """The busybox base, made from its template."""
    cli("template", "build", "busybox", "-t", "busybox:latest")
    return "busybox:latest"


@pytest.fixture(scope="session")
def debian_archive() -> str:
    """A saved Debian base (debootstrap, once per machine; rebuilt when its template changed)."""
    CACHE.mkdir(parents=True, exist_ok=True)
    archive = CACHE / "debian.tar"
    template = CHECKOUT / "templates" / "debian.yaml"
    with open(CACHE / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not archive.exists() or (template.exists() and template.stat().st_mtime > archive.stat().st_mtime):
            _save_debian(archive)
    return str(archive)


def _save_debian(archive: Path) -> None:
    with state_root("debian") as place:
        maker = Cli(place)
        maker("template", "build", "debian", "-t", "debian:latest", timeout=600)
        maker("save", "-o", f"{archive}.part", "debian:latest", timeout=120)
        os.rename(f"{archive}.part", archive)


@pytest.fixture(scope="module")
def debian(cli: Cli, debian_archive: str) -> str:
    """The Debian base (minbase), loaded into this module's root."""
    cli("load", "-i", debian_archive, timeout=120)
    return "debian:latest"


class Registry(NamedTuple):
    """A running docker-registry: ``host`` is HOST:PORT, ``place`` its storage."""

    host: str
    place: Path


def free_port(count: int = 1) -> int:
    """The first of ``count`` ports in a row that nobody has, none of those that connections get by themselves."""
    while True:
        first = random.randrange(20000, 32000)
        with ExitStack() as probes:
            try:
                for port in range(first, first + count):
                    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                        probes.enter_context(socket.socket(socket.AF_INET, kind)).bind(("", port))
            except OSError:
                continue
            return first


@contextmanager
def run_registry(place: Path, *, users: Mapping[str, str] | None = None) -> Iterator[Registry]:
    """docker-registry on loopback, storing below ``place``; with ``users`` it asks for htpasswd credentials."""
    port = free_port()
    config = [
        "version: 0.1",
        "log: {level: error, accesslog: {disabled: true}}",
        f"storage: {{filesystem: {{rootdirectory: {place}/storage}}, delete: {{enabled: true}}}}",
        f"http: {{addr: '127.0.0.1:{port}'}}",
    ]
    if users is not None:
        _write_passwords(place / "htpasswd", users)
        config.append(f"auth: {{htpasswd: {{realm: tests, path: {place}/htpasswd}}}}")
    (place / "config.yml").write_text("\n".join(config) + "\n")
    with open(place / "log", "wb") as log:
        server = subprocess.Popen(["docker-registry", "serve", str(place / "config.yml")], stdout=log, stderr=log)
    try:
        _wait_for(port, server)
        yield Registry(f"localhost:{port}", place)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=10)


def _write_passwords(path: Path, users: Mapping[str, str]) -> None:
    path.touch()
    for user, password in users.items():
        subprocess.run(["htpasswd", "-iB", str(path), user], input=password.encode(), check=True, capture_output=True)


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        assert server.poll() is None, "docker-registry ended at once"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail("docker-registry does not answer")


@pytest.fixture(scope="session")
def registry(needs: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """localhost:PORT of a real registry that anyone may write to."""
    needs("docker-registry")
    with run_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running.host


@pytest.fixture(scope="session")
def locked_registry(
    needs: Callable[..., None], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str, str]]:
    """(localhost:PORT, user, password) of a registry with htpasswd authentication."""
    needs("docker-registry", "htpasswd")
    with run_registry(tmp_path_factory.mktemp("locked"), users={"alice": "s3cret word"}) as running:
        yield running.host, "alice", "s3cret word"
