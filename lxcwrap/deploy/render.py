"""Plans and drift for people: what is added (+), changed (~) and removed (-), where, and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from lxcwrap.deploy.application import Order
from lxcwrap.deploy.drift import Difference, Kind
from lxcwrap.deploy.plan import Action, Change, Item, Leftover, Plan

SIGNS = {Action.CREATE: "+", Action.REMOVE: "-"}
NAMED = 4  # hosts on one line
BROUGHT = ("image", "secret", "config")


@dataclass(frozen=True)
class Row:
    """A line of columns, and lines of reasons below it."""

    sign: str
    columns: tuple[str, str, str]
    reasons: tuple[str, ...] = ()


def lines(plan: Plan) -> Iterator[str]:
    """What has to be brought to the hosts, then containers, then problems and a summary."""
    rows = [*_items(plan.items), *map(_change, plan.changes), *map(_leftover, plan.leftovers)]
    yield from _table(rows)
    if rows:
        yield ""
    yield from (f"! {problem}" for problem in plan.problems)
    yield summary(plan)


def summary(plan: Plan) -> str:
    """``3 to create, 2 to replace, 1 to remove, 4 unchanged``"""
    counts = {action: sum(change.action is action for change in plan.changes) for action in Action}
    counts[Action.REMOVE] += len(plan.leftovers)
    words = [f"{count} to {action.value}" for action, count in counts.items() if count]
    if plan.kept or not words:
        words.append(f"{plan.kept} unchanged")
    if plan.problems:
        words.append("1 problem" if len(plan.problems) == 1 else f"{len(plan.problems)} problems")
    return ", ".join(words)


def drift_lines(differences: Sequence[Difference]) -> Iterator[str]:
    """One for each difference, and how many there are."""
    signs = {Kind.MISSING: "-", Kind.EXTRA: "+", Kind.UNKNOWN: "?"}
    yield from _table(
        Row(signs.get(one.kind, "~"), (one.what, one.kind.value, one.host), (one.detail,) if one.detail else ())
        for one in differences
    )
    count = len(differences)
    yield "as it was deployed" if not count else f"{count} difference{'s' if count > 1 else ''}"


def _table(rows: Iterable[Row]) -> Iterator[str]:
    rows = list(rows)
    widths = [max((len(row.columns[at]) for row in rows), default=0) for at in range(3)]
    for row in rows:
        cells = (f"{column:{width}}" for column, width in zip(row.columns, widths, strict=True))
        yield f"{row.sign} {'  '.join(cells)}".rstrip()
        yield from (f"      {reason}" for reason in row.reasons)


def _items(items: Sequence[Item]) -> Iterator[Row]:
    """The same thing on many hosts is one line."""
    hosts: dict[tuple[str, str], list[str]] = {}
    for item in items:
        hosts.setdefault((item.kind, item.name), []).append(item.host)
    for (kind, name), names in hosts.items():
        rest = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        yield Row("+", (f"{kind} {name}", "bring" if kind in BROUGHT else "create", ", ".join(names[:NAMED]) + rest))


def _change(change: Change) -> Row:
    where = f"{change.from_host} → {change.host}" if change.from_host else change.host
    how = ", stop-first" if change.order is Order.STOP_FIRST else ""
    sign = SIGNS.get(change.action, "~")
    return Row(sign, (f"{change.service} {change.slot}", change.action.value + how, where), change.reasons)


def _leftover(leftover: Leftover) -> Row:
    return Row("-", (leftover.name, "remove", leftover.host), (leftover.reason,))
