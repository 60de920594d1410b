"""Go's text/template as ``--format`` takes it: the tree of gosyntax, carried out over plain data.

A document is plain JSON-like data with Go's field names.  A value that is callable is a method:
``.Label "x"``.  A GoMap is a Go map, any other dict a struct, whose unknown fields are errors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from lxcwrap.cli import goprint, gosyntax
from lxcwrap.cli.gofunctions import FUNCTIONS, HEADER_FUNCTIONS, Function, true
from lxcwrap.cli.gosyntax import Node, TemplateError
from lxcwrap.model.godata import NIL, GoMap, GoStruct

MISSING = object()  # no last argument of a pipe


def render(template: str, value: object, *, header: bool = False) -> str:
    """The text that the template makes of a value.  Raises TemplateError (a UsageError), in one line."""
    tree = compile_template(template)
    frame = Frame(value, HEADER_FUNCTIONS if header else FUNCTIONS)
    try:
        frame.walk(tree, value)
    except RecursionError:
        raise TemplateError("template: nested too deep") from None
    except (Break, Continue):
        raise TemplateError("template: {{break}} or {{continue}} outside {{range}}") from None
    return "".join(frame.out)


@lru_cache(maxsize=4)
def compile_template(template: str) -> Node:
    """The tree, which is the same for every row.  Raises TemplateError."""
    return gosyntax.parse(template)


class Break(Exception):
    """``{{break}}``."""


class Continue(Exception):
    """``{{continue}}``."""


class Frame:
    """One rendering: the output so far and the variables, innermost last."""

    def __init__(self, value: object, functions: Mapping[str, Function]) -> None:
        self.out: list[str] = []
        self.variables: list[tuple[str, Any]] = [("$", value)]
        self.functions = functions

    def walk(self, node: Node, dot: Any) -> None:
        if node.kind == "list":
            for part in node.parts:
                self.walk(part, dot)
        elif node.kind == "text":
            self.out.append(node.parts[0])
        elif node.kind == "pipeline":
            value = self.pipeline(node, dot)
            if not node.parts[0]:
                self.out.append(goprint.shown(value))
        elif node.kind == "break":
            raise Break
        elif node.kind == "continue":
            raise Continue
        else:
            mark = len(self.variables)
            (self.loop if node.kind == "range" else self.branch)(node, dot)
            del self.variables[mark:]

    def branch(self, node: Node, dot: Any) -> None:
        head, body, otherwise = node.parts
        value = self.pipeline(head, dot)
        if true(value):
            self.walk(body, value if node.kind == "with" else dot)
        else:
            self.walk(otherwise, dot)

    def loop(self, node: Node, dot: Any) -> None:
        head, body, otherwise = node.parts
        names, declares, _ = head.parts
        items = _items(self.commands(head, dot))
        if not items:
            self.walk(otherwise, dot)
        mark = len(self.variables)
        for key, item in items:
            for name, value in zip(names, (key, item)[-len(names) :], strict=False):
                self.assign(name, value, declares)
            try:
                self.walk(body, item)
            except Continue:
                pass
            except Break:
                break
            finally:
                del self.variables[mark:]

    def pipeline(self, node: Node, dot: Any) -> Any:
        """The value of a pipeline; its variable, if it has one, is set."""
        value = self.commands(node, dot)
        names, declares, _ = node.parts
        for name in names:
            self.assign(name, value, declares)
        return value

    def assign(self, name: str, value: Any, declares: bool) -> None:
        if declares:
            self.variables.append((name, value))
            return
        for place in range(len(self.variables) - 1, -1, -1):
            if self.variables[place][0] == name:
                self.variables[place] = (name, value)
                return
        raise TemplateError(f"template: undefined variable {name}")

    def commands(self, node: Node, dot: Any) -> Any:
        last: Any = MISSING
        for command in node.parts[2]:
            last = self.command(command, dot, last)
        return last

    def command(self, node: Node, dot: Any, last: Any) -> Any:
        first, *rest = node.parts
        if first.kind == "call":
            return self.call(first.parts[0], rest, dot, last)
        value = self.value(first, dot, final=False)
        if callable(value):
            return _applied(_name(first), value, self.arguments(rest, dot, last))
        if rest or last is not MISSING:
            raise TemplateError(f"template: can't give argument to non-function {_name(first)}")
        if first.kind == "nil":
            raise TemplateError("template: nil is not a command")
        return value

    def arguments(self, nodes: list[Node], dot: Any, last: Any) -> list[Any]:
        return [self.value(node, dot) for node in nodes] + ([] if last is MISSING else [last])

    def call(self, name: str, nodes: list[Node], dot: Any, last: Any) -> Any:
        if name in ("and", "or"):
            return self.shortcut(name, nodes, dot, last)
        if name not in self.functions:
            raise TemplateError(f"template: function {name!r} not defined")
        return _applied(name, self.functions[name], self.arguments(nodes, dot, last))

    def shortcut(self, name: str, nodes: list[Node], dot: Any, last: Any) -> Any:
        """``and`` and ``or`` give the argument that decides and look no further."""
        value: Any = MISSING
        for node in nodes:
            value = self.value(node, dot)
            if true(value) == (name == "or"):
                return value
        if last is not MISSING:
            return last
        if value is MISSING:
            raise TemplateError(f"template: wrong number of args for {name}: want at least 1 got 0")
        return value

    def value(self, node: Node, dot: Any, *, final: bool = True) -> Any:
        """An operand.  A method is called when it is ``final``, that is when no arguments can follow."""
        value = self.operand(node, dot)
        return _applied(_name(node), value, []) if final and callable(value) else value

    def operand(self, node: Node, dot: Any) -> Any:
        kind, parts = node
        if kind == "dot":
            return dot
        if kind in ("literal", "nil"):
            return parts[0]
        if kind == "field":
            return _fields(dot, parts, "".join("." + part for part in parts))
        if kind == "variable":
            return self.variable(parts[0])
        if kind == "chain":
            return _fields(self.value(parts[0], dot), parts[1:], _name(node))
        if kind == "pipeline":
            return self.pipeline(node, dot)
        return self.call(parts[0], [], dot, MISSING)

    def variable(self, name: str) -> Any:
        for known, value in reversed(self.variables):
            if known == name:
                return value
        raise TemplateError(f"template: undefined variable {name!r}")


def _items(value: Any) -> list[tuple[Any, Any]]:
    if value is None or value is NIL:
        return []
    if isinstance(value, dict):
        return [(key, value[key]) for key in sorted(value) if not callable(value[key])]
    if isinstance(value, (list, tuple)):
        return list(enumerate(value))
    raise TemplateError(f"template: range can't iterate over {goprint.plain(value)}")


def _fields(value: Any, names: tuple[str, ...], path: str) -> Any:
    for name in names:
        if callable(value):
            value = _applied(name, value, [])
        if isinstance(value, dict) and name in value:
            value = value[name]
        elif isinstance(value, GoMap):
            value = None
        elif isinstance(value, GoStruct) and name in value.omitted:
            value = NIL
        elif isinstance(value, dict):
            raise TemplateError(f"template: at <{path}>: no such field {name!r}")
        elif value is NIL:
            raise TemplateError(f"template: at <{path}>: nil pointer evaluating {name!r}")
        else:
            raise TemplateError(f"template: at <{path}>: can't find {name!r} in a {goprint.type_name(value)}")
    return value


def _applied(name: str, function: Callable[..., Any], arguments: list[Any]) -> Any:
    try:
        return function(*arguments)
    except TypeError as error:  # the wrong number of arguments
        raise TemplateError(f"template: {name}: wrong arguments ({len(arguments)} given)") from error


def _name(node: Node) -> str:
    if node.kind == "field":
        return "".join("." + part for part in node.parts)
    if node.kind == "chain":
        return _name(node.parts[0]) + "".join("." + part for part in node.parts[1:])
    if node.kind in ("variable", "call", "literal"):
        return str(node.parts[0])
    return "(…)" if node.kind == "pipeline" else "."
