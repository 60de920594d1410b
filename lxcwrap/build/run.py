"""RUN: a command in a container like any other, without a row, a log or a restart policy."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lxcwrap.build.steps import Run
from lxcwrap.build.workspace import Workspace
from lxcwrap.errors import RuntimeFailure, Unsafe
from lxcwrap.model.image import Platform
from lxcwrap.model.names import check_text
from lxcwrap.storage.driver import name_of

if TYPE_CHECKING:
    from lxcwrap.build.executor import StageWork

_NO_PROGRAM = os.strerror(errno.ENOEXEC)
TAIL = 64 * 1024  # bytes of output that an error can quote


@dataclass(frozen=True)
class StepNetwork:
    """The network that steps share: liblxc items, and the files that go with it."""

    items: tuple[tuple[str, str], ...] = ()
    hosts: str = ""
    resolv_conf: str = ""


def no_network() -> StepNetwork:
    return StepNetwork()


class Running:
    """The commands that run now, so that they can be stopped from another thread."""

    def __init__(self) -> None:
        self._kills: dict[int, Callable[[], None]] = {}
        self._stopped = False
        self._lock = threading.Lock()

    def add(self, kill: Callable[[], None]) -> None:
        """The calling thread runs something that ``kill`` ends."""
        with self._lock:
            self._kills[threading.get_ident()] = kill
            stopped = self._stopped
        if stopped:
            kill()

    def remove(self) -> None:
        with self._lock:
            self._kills.pop(threading.get_ident(), None)

    def stop(self) -> None:
        """Kill all, and whatever is added from now on."""
        with self._lock:
            self._stopped = True
            kills = list(self._kills.values())
        for kill in kills:
            kill()


def execute(work: StageWork, step: Run, workspace: Workspace, number: int) -> None:
    """Run it.  Raises BuildError with the line, the exit code and the last output when it fails."""
    from lxcwrap.runtime import step as runtime

    _check(step)
    report = work.execution.report
    tail = bytearray()

    def output(content: bytes) -> None:
        tail.extend(content)
        del tail[:-TAIL]
        report.output(number, content)

    network = work.settings.network()
    wanted = runtime.Step(
        directory=workspace.place,
        driver=name_of(workspace.driver),
        lowers=workspace.lowers,
        id_base=workspace.id_base,
        argv=step.argv,
        env=step.env,
        working_dir=step.working_dir,
        user=step.user,
        network=network.items,
        hosts=network.hosts,
        resolv_conf=network.resolv_conf,
    )
    try:
        code = runtime.run(wanted, output, work.execution.running.add, work.execution.nursery)
    except RuntimeFailure as error:
        hint = _foreign(work.plan.source.platform) if _NO_PROGRAM in error.message else error.hint
        raise step.line.error(f"{step.line.text:.200}: {error.message}", hint) from error
    finally:
        work.execution.running.remove()
    work.execution.check_stopped()
    if code:
        raise step.line.error(f"{step.line.text:.200}: exit code {code}{_quoted(bytes(tail))}")


def _foreign(wanted: Platform) -> str:
    host = Platform.host()
    return f"the stage is for {wanted}, this host is {host}" if not host.matches(wanted) else ""


def _check(step: Run) -> None:
    """Nothing with control characters reaches liblxc, whose configuration is made of lines.  Raises BuildError."""
    try:
        for item in step.env:
            check_text(item, f"environment variable {item.partition('=')[0][:40]!r}")
        check_text(step.user, "user")
        check_text(step.working_dir, "working directory")
    except Unsafe as error:
        raise step.line.error(error.message) from None


def _quoted(tail: bytes) -> str:
    lines = tail.decode(errors="replace").strip().splitlines()
    return f": {lines[-1].strip():.300}" if lines else ""
