"""A plan for people: what is added (+), changed (~) and removed (-), where, and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from lxcwrap.deploy.application import Order
from lxcwrap.deploy.plan import Action, Change, Item, Leftover, Plan

SIGNS = {Action.CREATE: "+", Action.REPLACE: "~", Action.MOVE: "~", Action.START: "~", Action.REMOVE: "-"}
Row = tuple[str, tuple[str, ...], tuple[str, ...]]  # sign, columns, reasons


def lines(plan: Plan) -> Iterator[str]:
    """What has to be brought to the hosts, then containers, then problems and a summary."""
    rows = [*_items(plan.items), *map(_change, plan.changes), *map(_leftover, plan.leftovers)]
    widths = [max((len(columns[at]) for _, columns, _ in rows), default=0) for at in range(3)]
    for sign, columns, reasons in rows:
        text = "  ".join(f"{column:{width}}" for column, width in zip(columns, widths, strict=True))
        yield f"{sign} {text}".rstrip()
        yield from (f"      {reason}" for reason in reasons)
    if rows:
        yield ""
    for problem in plan.problems:
        yield f"! {problem}"
    yield summary(plan)


def summary(plan: Plan) -> str:
    """``3 to create, 2 to replace, 1 to remove, 4 unchanged``"""
    counts = [(action, sum(change.action is action for change in plan.changes)) for action in Action]
    words = [
        f"{count + _extra(action, plan)} to {action.value}" for action, count in counts if count + _extra(action, plan)
    ]
    words += [f"{plan.kept} unchanged"] if plan.kept or not words else []
    words += [_number(len(plan.problems), "problem")] if plan.problems else []
    return ", ".join(words)


def _extra(action: Action, plan: Plan) -> int:
    return len(plan.leftovers) if action is Action.REMOVE else 0


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _items(items: Sequence[Item]) -> Iterator[Row]:
    """The same thing on many hosts is one line."""
    kinds = sorted(items, key=_what)  # stable: hosts keep their order
    turns = {what: turn for turn, what in enumerate(dict.fromkeys(_what(item) for item in items))}
    for what, same in groupby(sorted(kinds, key=lambda item: turns[_what(item)]), key=_what):
        yield "+", (" ".join(what), "", _hosts([item.host for item in same])), ()


def _what(item: Item) -> tuple[str, str]:
    return item.kind, item.name


def _hosts(names: Sequence[str], most: int = 4) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _change(change: Change) -> Row:
    where = f"{change.from_host} → {change.host}" if change.from_host else change.host
    how = ", stop-first" if change.order is Order.STOP_FIRST else ""
    return SIGNS[change.action], (f"{change.service} {change.slot}", change.action.value + how, where), change.reasons


def _leftover(leftover: Leftover) -> Row:
    return "-", (leftover.name, "remove", leftover.host), (leftover.reason,)
