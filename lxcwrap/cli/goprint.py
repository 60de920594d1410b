"""How Go prints values: ``{{.X}}``, ``printf`` and ``json``.

Source: the package documentation of Go's fmt and encoding/json.
"""

from __future__ import annotations

import json
import re
from typing import Any

from lxcwrap.cli.gosyntax import TemplateError
from lxcwrap.model.godata import Nil, to_plain

WIDEST = 100_000  # of a printf width or a pad
_VERB = re.compile(r"%(?P<flags>[-+# 0]*)(?P<width>\d*)(?:\.(?P<precision>\d*))?(?P<verb>.?)", re.S)


def plain(value: Any) -> str:
    """``%v``, and what ``{{…}}`` puts out for everything but nil."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, Nil):
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, dict):
        keys = sorted(key for key in value if not callable(value[key]))
        return "map[" + " ".join(f"{key}:{plain(value[key])}" for key in keys) + "]"
    if isinstance(value, (list, tuple)):
        return "[" + " ".join(map(plain, value)) + "]"
    return str(value)


def shown(value: Any) -> str:
    """What an action of a template puts out."""
    return "<no value>" if value is None else plain(value)


def _float(value: float) -> str:
    """Go's shortest form: an exponent below 1e-4 and from 1e21."""
    if value != value or value in (float("inf"), float("-inf")):
        return "NaN" if value != value else ("+Inf" if value > 0 else "-Inf")
    if value == 0 or 1e-4 <= abs(value) < 1e21:
        text = repr(value)
        return (format(value, "f") if "e" in text else text).removesuffix(".0").rstrip()
    return re.sub(r"e([+-])(\d)$", r"e\g<1>0\2", repr(value).replace(".0e", "e"))


def to_json(value: Any) -> str:
    """One line of JSON: a struct's fields in their order, a map's keys sorted, methods left out."""
    return json.dumps(to_plain(value), separators=(",", ":"), ensure_ascii=False)


def type_name(value: Any) -> str:
    """The Go type, for messages."""
    if value is None or isinstance(value, Nil):
        return "<nil>"
    for kind, name in ((bool, "bool"), (str, "string"), (int, "int"), (float, "float64"), (dict, "map")):
        if isinstance(value, kind):
            return name
    return "slice" if isinstance(value, (list, tuple)) else "func"


def quoted(text: str) -> str:
    """``%q`` of a string."""
    return json.dumps(text, ensure_ascii=False).replace("\\u007f", "\\x7f")


def sprintf(form: str, *values: Any) -> str:
    """Go's fmt.Sprintf; like it, never fails but puts what is wrong into the text."""
    left = list(values)

    def one(match: re.Match[str]) -> str:
        verb = match["verb"]
        if verb == "%":
            return "%"
        if not verb:
            return "%!(NOVERB)"
        if not left:
            return f"%!{verb}(MISSING)"
        if int(match["width"] or 0) > WIDEST or int(match["precision"] or 0) > WIDEST:
            return "%!(BADWIDTH)"
        return _formatted(match, left.pop(0))

    text = _VERB.sub(one, form)
    if left:
        text += "%!(EXTRA " + ", ".join(f"{type_name(value)}={plain(value)}" for value in left) + ")"
    return text


def _formatted(match: re.Match[str], value: Any) -> str:
    flags, verb = match["flags"], match["verb"]
    precision = None if match["precision"] is None else int(match["precision"] or 0)
    if isinstance(value, (list, tuple)) and verb in "sqdxX":
        return "[" + " ".join(_formatted(match, item) for item in value) + "]"
    text = _verb(verb, flags, precision, value)
    width = int(match["width"] or 0)
    if "-" in flags:
        return text.ljust(width)
    if "0" in flags and type_name(value) in ("int", "float64"):
        sign = text[0] if text[:1] in ("+", "-") else ""
        return sign + text[len(sign) :].rjust(width - len(sign), "0")
    return text.rjust(width)


def _verb(verb: str, flags: str, precision: int | None, value: Any) -> str:
    kind = type_name(value)
    if verb == "v":
        return "<nil>" if value is None else plain(value)
    if verb == "T":
        return kind
    if verb == "t" and kind == "bool":
        return plain(value)
    if kind == "string" and verb in "sqxX":
        return _text(verb, precision, value)
    if kind == "int" and verb in "dxXobcUq":
        return _integer(verb, flags, value)
    if kind == "float64" and verb in "feEgGF":
        if verb in "gG" and precision is None:
            return plain(value)
        sign = "+" if "+" in flags else ""
        return format(value, f"{sign}.{6 if precision is None else precision}{verb}")
    return f"%!{verb}(<nil>)" if value is None else f"%!{verb}({kind}={plain(value)})"


def _text(verb: str, precision: int | None, value: str) -> str:
    if precision is not None:
        value = value[:precision]
    if verb == "q":
        return quoted(value)
    if verb == "s":
        return value
    digits = value.encode("utf-8", "surrogateescape").hex()
    return digits.upper() if verb == "X" else digits


def _integer(verb: str, flags: str, value: int) -> str:
    if verb in "cqU":
        if not 0 <= value <= 0x10FFFF or 0xD800 <= value < 0xE000:
            value = 0xFFFD
        return {"c": chr(value), "q": f"'{chr(value)}'", "U": f"U+{value:04X}"}[verb]
    text = format(value, verb)
    if "#" in flags and verb in "xX":
        text = text.replace(text.lstrip("-"), "0" + verb + text.lstrip("-"))
    return "+" + text if "+" in flags and value >= 0 else text


def println(*values: Any) -> str:
    return " ".join(map(plain, values)) + "\n"


def print_(*values: Any) -> str:
    """fmt.Sprint: a space only between operands when neither is a string."""
    text = ""
    for place, value in enumerate(values):
        if place and not isinstance(value, str) and not isinstance(values[place - 1], str):
            text += " "
        text += plain(value)
    return text


def pad(text: str, before: int, after: int) -> str:
    """Raises TemplateError for absurd counts."""
    if not 0 <= before <= WIDEST or not 0 <= after <= WIDEST:
        raise TemplateError(f"template: pad of {before} and {after} spaces")
    return " " * before + text + " " * after if text else text
