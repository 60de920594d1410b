"""One command in a fresh container, in the foreground: what a build's RUN is.

It is started by the same program that supervises containers, without a log, a restart policy or a row in the
database.  Whoever calls it prepared the directory (``driver.prepare``) and takes the changes out of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lxcwrap.model.container import Mount, Resources, Security

if TYPE_CHECKING:
    from lxcwrap.runtime.nursery import Nursery


@dataclass(frozen=True)
class Step:
    """What to run and where.  ``directory`` is ``<anything>/<name>``, the place given to ``driver.prepare``."""

    directory: str
    driver: str  # storage driver's name
    lowers: tuple[str, ...]  # layers' diff directories, lowest first
    id_base: int | None  # first host id of the container's user namespace
    argv: tuple[str, ...]
    env: tuple[str, ...] = ()
    working_dir: str = "/"
    user: str = ""
    hostname: str = "buildkitsandbox"
    mounts: tuple[Mount, ...] = ()
    network: tuple[tuple[str, str], ...] = ()  # liblxc items of the NetworkPlan; empty: loopback only
    hosts: str = ""  # content of /etc/hosts
    resolv_conf: str = ""  # content of /etc/resolv.conf
    resources: Resources = field(default_factory=Resources)
    security: Security = field(default_factory=Security)


def run(
    step: Step,
    output: Callable[[bytes], None],
    started: Callable[[Callable[[], None]], None] | None = None,
    nursery: Nursery | None = None,
) -> int:
    """Run the step; ``output`` gets its stdout and stderr as they come, interleaved.

    ``nursery`` makes the second step and all after it quicker.  ``started`` is given a function that kills the
    step, for other threads to call.
    Returns the exit status (128+n for a signal).  Raises RuntimeFailure (125, 126, 127) when it cannot start.
    Safe to call from several threads at once with different directories.
    """
    from lxcwrap.runtime import plans, spawn

    plan = plans.for_step(step)
    with nursery.supervisor() if nursery else spawn.supervisor(sealed=step.id_base is None) as channel:
        channel.send_plan(plan)
        if started:
            started(channel.kill)
        return channel.follow(output, output).code
