"""A plan: what has to change, where, in which order, and why.  ``planner`` makes it, ``executor`` carries it out."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, ClassVar

from lxcwrap.deploy.application import Order
from lxcwrap.model.record import Record


class Action(enum.Enum):
    """What happens to a slot."""

    CREATE = "create"  # nothing serves it yet
    REPLACE = "replace"  # on the same host
    MOVE = "move"  # to another host: there first or here first, as ``order`` says
    START = "start"  # it is as wanted but does not run
    REMOVE = "remove"


@dataclass(frozen=True)
class Change(Record):
    """One slot's change.  ``container`` (ID) and ``from_host`` are the present one's, '' for CREATE."""

    nested: ClassVar[dict[str, type[Any]]] = {"action": Action, "order": Order}

    action: Action
    service: str
    slot: int
    host: str
    container: str = ""
    from_host: str = ""
    order: Order = Order.START_FIRST
    incoming: str = ""  # ID of a container that an interrupted deployment left and that is as wanted: it is used
    spec: str = ""  # digest for the new container's label
    reasons: tuple[str, ...] = ()  # "image sha256:ab… → sha256:cd…", "environment changed", "host web2 is drained"


@dataclass(frozen=True)
class Item(Record):
    """A network, volume, image or secret that a host lacks."""

    kind: str  # network, volume, image, secret, config
    host: str
    name: str  # key; an image's reference


@dataclass(frozen=True)
class Leftover(Record):
    """A container that nothing wants: of an interrupted deployment, or of a service that is gone.

    One that ``serves`` has traffic: it goes after the changes, with its connections drained; others go before them.
    """

    host: str
    container: str
    name: str
    reason: str
    serves: bool = False


@dataclass(frozen=True)
class Plan(Record):
    """``changes`` are in order: service by service, as they depend on each other; removals come last."""

    nested: ClassVar[dict[str, type[Any]]] = {"items": Item, "changes": Change, "leftovers": Leftover}

    app: str
    release: int
    items: tuple[Item, ...] = ()
    changes: tuple[Change, ...] = ()
    leftovers: tuple[Leftover, ...] = ()
    kept: int = 0  # containers that stay as they are
    problems: tuple[str, ...] = ()  # why it cannot be carried out: no host qualifies, …

    @property
    def is_empty(self) -> bool:
        return not (self.items or self.changes or self.leftovers)
