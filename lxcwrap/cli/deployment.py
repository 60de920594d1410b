"""What the commands that drive an application's hosts share: which hosts, progress, Ctrl-C, and how it ended."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass

from lxcwrap.cli.app import App
from lxcwrap.cli.terminal import printable
from lxcwrap.deploy.host import Host
from lxcwrap.deploy.images import Copier
from lxcwrap.errors import LxcwrapError, NotFound

CHANGES = 2  # exit code of ``plan --detailed-exitcode`` and ``drift`` when there is something to do


@dataclass(frozen=True)
class Chosen:
    """The hosts of an application, and this machine where it has images."""

    hosts: tuple[Host, ...]
    here: Host | None
    copier: Copier

    def close(self) -> None:
        for host in (*self.hosts, *filter(None, (self.here,))):
            host.close()

    def named(self, name: str) -> Host:
        return next(host for host in self.hosts if host.name == name)


@contextmanager
def chosen(app: App, wanted: str = "", *, builds: bool = False, local: bool = False) -> Iterator[Chosen]:
    """The hosts that -H names, else those that ``wanted`` names, else all; this machine where no hosts are known.

    ``local``: this machine unless -H says otherwise; ``builds``: this machine is needed besides.
    """
    from lxcwrap.actions.engines.local import LocalHost

    text = app.host or os.environ.get("LXCWRAP_HOST", "")
    here = LocalHost(("--root", app.paths.root))
    if local and not text:
        found = Chosen((here,), here, copier(app))
    else:
        hosts = _far(app, text or wanted)
        with_here = not hosts or builds or os.path.exists(app.paths.database)
        found = Chosen(hosts or (here,), here if with_here else None, copier(app))
    try:
        yield found
    finally:
        found.close()


def copier(app: App) -> Copier:
    """Brings images of this machine to others, as ``image copy`` does."""

    def copy(reference: str, hosts: Sequence[Host]) -> None:
        from lxcwrap.actions import image_copy
        from lxcwrap.actions.engines.ssh import SshHost
        from lxcwrap.storage import driver as drivers

        engines = {host.target: host for host in hosts if isinstance(host, SshHost)}
        driver = drivers.choose(app.store, app.storage_driver)
        ask = next(iter(engines.values())).ask
        done = image_copy.copy(
            app.store, driver, [reference], list(engines), ask,
            connect=lambda target: nullcontext(engines[target].connection()),
        )  # fmt: skip
        for result in done:
            if result.failure:
                raise result.failure

    return copy


def _far(app: App, text: str) -> tuple[Host, ...]:
    from lxcwrap.model import hosts as model
    from lxcwrap.remote import hosts

    inventory = hosts.read()
    if not text and not inventory.hosts:
        return ()
    from lxcwrap.actions.engines.ssh import SshHost
    from lxcwrap.cli.keyboard import Keyboard

    ask = Keyboard()
    return tuple(SshHost(host, ask, app.given) for host in model.select(inventory, text or model.ALL))


def who() -> str:
    """The operator, as locks and records name them."""
    import pwd

    caller = os.environ.get("SUDO_UID", "")
    uid = int(caller) if os.geteuid() == 0 and caller.isdigit() else os.geteuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    return f"{name}@{os.uname().nodename}"


class Lines:
    """Progress, a line for each thing that happened; on standard error, where a log may follow it."""

    def __init__(self, names: Sequence[str], *, quiet: bool = False) -> None:
        self._width = max((len(name) for name in (*names, "here")), default=0)
        self._quiet = quiet
        self._lock = threading.Lock()

    def __call__(self, where: str, what: str, text: str, /) -> None:
        if self._quiet:
            return
        line = f"{where:{self._width}} | {what}: {text}" if where else text
        with self._lock:
            print(printable(line), file=sys.stderr, flush=True)


@contextmanager
def interruptible(chosen: Chosen) -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets.  The second ends the process at once: what runs on hosts is killed."""
    stopping = threading.Event()

    def asked(number: int, frame: object) -> None:
        if stopping.is_set():
            with suppress(LxcwrapError, OSError):
                chosen.close()
            os.write(2, b"lxcwrap: stopped at once; the next deployment finds out what is there and carries on\n")
            os._exit(130)
        stopping.set()
        os.write(2, b"lxcwrap: stopping after the present step (Ctrl-C again: at once)\n")

    before = signal.signal(signal.SIGINT, asked)
    try:
        yield stopping
    finally:
        signal.signal(signal.SIGINT, before)


def finish(app: str, report: object) -> int:
    """Say how a deployment went; its exit code."""
    from lxcwrap.deploy.deployment import Report

    assert isinstance(report, Report)
    for problem in report.unreachable:
        print(f"lxcwrap: {printable(problem)}: left out", file=sys.stderr)
    if not report.changed:
        print(f"{app}: nothing to do")
        return 0
    for failure in report.outcome.failures:
        _failed(failure)
    done = f"{report.outcome.done} changed"
    failed = f", {len(report.outcome.failures)} failed" if report.outcome.failures else ""
    back = f", back to release {report.back_to}" if report.back_to else ""
    print(f"{app}: release {report.number} {report.status}: {done}{failed}{back}")
    return int(bool(report.outcome.failures))


def _failed(failure: object) -> None:
    from lxcwrap.deploy.slot import Failure

    assert isinstance(failure, Failure)
    change = failure.change
    print(f"lxcwrap: {change.service}-{change.slot}: {printable(failure.reason)}", file=sys.stderr)
    for line in failure.log:
        print(f"  {printable(line)}", file=sys.stderr)
    if failure.container:
        short = failure.container[:12]
        print(f"  kept for a look: lxcwrap -H {change.host} logs {short}", file=sys.stderr)


def moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds)) if seconds else ""


def host_of(chosen: Chosen, name: str) -> Host:
    found = next((host for host in chosen.hosts if host.name == name), None)
    if not found:
        raise NotFound(f"{name} is not one of the hosts", hint="lxcwrap host ls shows them")
    return found
