"""What ``--filter`` means: labels, yes-or-no values, moments."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from lxcwrap.errors import UsageError

_TRUTH = {"1": True, "t": True, "true": True, "0": False, "f": False, "false": False}


def labels_match(wanted: Iterable[str], labels: Mapping[str, str]) -> bool:
    """Whether every ``name`` or ``name=value`` of the label filter is among the labels."""
    for item in wanted:
        name, equals, value = item.partition("=")
        if name not in labels or (equals and labels[name] != value):
            return False
    return True


def truth(values: tuple[str, ...], name: str) -> bool:
    """The value of a yes-or-no filter such as ``dangling``.  Raises UsageError."""
    answers = {_TRUTH.get(value.lower()) for value in values}
    if len(answers) != 1 or None in answers:
        raise UsageError(f"filter {name}={','.join(values)} is not true or false", exit_code=1)
    return bool(answers.pop())


def moment(text: str, now: float) -> float:
    """A time as ``--since`` and ``until`` take it, in seconds since the epoch.

    A duration before ``now`` (``10m``), a Unix time (``1700000000.5``), or a date with or without time and zone
    (local where there is none).  Raises UsageError.
    """
    from datetime import datetime

    from lxcwrap.model.units import parse_duration

    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    if re.fullmatch(r"[\d.a-zµ]+", text):
        try:
            return now - parse_duration(text, "time") / 1e9
        except UsageError as error:
            error.exit_code = 1
            raise
    known = re.fullmatch(r"(\d{4}-\d\d-\d\d)(?:T(\d\d)(?::(\d\d))?(?::(\d\d))?(\.\d+)?(Z|[+-]\d\d:\d\d)?)?", text)
    if not known:
        raise UsageError(f"{text!r} is not a time", hint="write 10m, 2026-01-02T15:04:05 or a Unix time", exit_code=1)
    day, hour, minute, second, fraction, zone = known.groups()
    iso = f"{day}T{hour or '00'}:{minute or '00'}:{second or '00'}" + ("+00:00" if zone == "Z" else zone or "")
    try:
        return datetime.fromisoformat(iso).astimezone().timestamp() + float(fraction or 0)
    except (ValueError, OverflowError):
        raise UsageError(f"{text!r} is not a time", exit_code=1) from None
