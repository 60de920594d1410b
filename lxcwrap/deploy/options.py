"""What may be asked of a plan besides the application."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from lxcwrap.deploy.application import Application
from lxcwrap.deploy.present import Places


class Unreachable(enum.Enum):
    """What becomes of containers on a host that does not answer."""

    REFUSE = "refuse"  # nothing is deployed before it answers
    LEAVE = "leave"  # they are taken to be there; everything else is deployed
    MOVE = "move"  # they are made anew on other hosts


@dataclass(frozen=True)
class Options:
    """``only``: names of services, all if empty.  ``drained``: hosts that count as drained besides those that are.

    ``previous`` and ``placed`` are of the last release: what it was, for reasons in words, and where its slots were.
    """

    only: tuple[str, ...] = ()
    recreate: bool = False  # containers are replaced even if nothing differs
    drained: tuple[str, ...] = ()
    unreachable: Unreachable = Unreachable.REFUSE
    rolling_back: bool = False  # the order is rollback_config's
    leave_volumes: bool = False  # containers may move away from what is in their volumes
    previous: Application | None = None
    placed: Places = ()


NO_OPTIONS = Options()
