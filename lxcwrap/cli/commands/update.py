"""``lxcwrap update``."""

from __future__ import annotations

from typing import Any

import click

from lxcwrap.cli.app import App, pass_app
from lxcwrap.cli.refused import refused
from lxcwrap.cli.several import each
from lxcwrap.errors import UsageError

group = "container"

_KEPT = {
    "ulimit": (), "shm_size": "", "memory_swappiness": -1, "oom_kill_disable": False, "oom_score_adj": 0,
    "cgroup_parent": "", "blkio_weight_device": (), "device_read_bps": (), "device_read_iops": (),
    "device_write_bps": (), "device_write_iops": (),
}  # fmt: skip
EXAMPLES = """\b
Examples:
  lxcwrap update --memory 512m --cpus 1.5 web
  lxcwrap update --restart unless-stopped web db
"""


@click.command(epilog=EXAMPLES)
@click.option("--blkio-weight", type=int, default=0, metavar="N", help="Block I/O weight, 10 to 1000.")
@click.option("--cpu-period", type=int, default=0, metavar="US", help="Length of a cpu period in microseconds.")
@click.option("--cpu-quota", type=int, default=0, metavar="US", help="Cpu time in each period in microseconds.")
@click.option("--cpu-rt-period", type=int, default=0, metavar="US", help="Real-time period (cgroup v1).")
@click.option("--cpu-rt-runtime", type=int, default=0, metavar="US", help="Real-time cpu time in each (cgroup v1).")
@click.option("-c", "--cpu-shares", type=int, default=0, metavar="N", help="Relative cpu weight (1024 is usual).")
@click.option("--cpus", default="", metavar="N", help="Number of cpus, such as 1.5.")
@click.option("--cpuset-cpus", default="", metavar="LIST", help="Cpus to run on: 0-2,4.")
@click.option("--cpuset-mems", default="", metavar="LIST", help="Memory nodes to use.")
@click.option("-m", "--memory", default="", metavar="SIZE", help="Memory limit: 512m, 2g.")
@click.option("--memory-reservation", default="", metavar="SIZE", help="Memory soft limit.")
@click.option("--memory-swap", default="", metavar="SIZE", help="Memory and swap together; -1: unlimited swap.")
@click.option("--pids-limit", type=int, default=0, metavar="N", help="Number of processes; -1: unlimited.")
@click.option("--restart", default="", metavar="POLICY", help="no, on-failure[:N], always or unless-stopped.")
@refused("--kernel-memory", reason="kernels do not have it any more")
@click.argument("containers", nargs=-1, required=True, metavar="CONTAINER...")
@pass_app
def command(app: App, containers: tuple[str, ...], restart: str, **options: Any) -> int:
    """Change limits and the restart policy of containers, also of those that run.

    What is not named stays.  When the kernel refuses a value, nothing of that container is changed.
    """
    from lxcwrap.actions.update import update
    from lxcwrap.cli.container_options import resources
    from lxcwrap.model import run_flags
    from lxcwrap.store.containers import resolve

    if not restart and not any(options.values()):
        raise UsageError("nothing to change was named", hint="see: lxcwrap update --help", exit_code=1)
    asked = resources({**options, **_KEPT})
    policy = run_flags.restart(restart) if restart else None
    return each(containers, lambda name: update(app.store, resolve(app.store, name), asked, policy))
