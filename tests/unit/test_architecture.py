"""The shape of the code, read from its syntax trees: who imports whom, how long things are, what is not written."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
PACKAGE = CHECKOUT / "lxcwrap"
SOURCES = sorted(PACKAGE.rglob("*.py"))

LEVELS = (
    ("errors", "model"),
    ("kernel", "archive"),
    ("store", "storage", "network", "registry", "runtime", "remote"),
    ("build", "deploy"),
    ("actions",),
    ("cli",),
)
LEVEL = {name: level for level, names in enumerate(LEVELS) for name in names}
SIBLINGS = {("model", "errors"), ("archive", "kernel"), ("storage", "store"), ("network", "store")}
ONLY_IN = {"lxc": "runtime/lxc.py", "_lxc": "runtime/lxc.py", "paramiko": "remote/ssh.py"}
ONLY_CLI = ("click", "rich")


def _name(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def _imports(path: Path) -> Iterator[tuple[int, str]]:
    """(line, module) of everything that a source imports, at any depth."""
    parts = path.relative_to(CHECKOUT).with_suffix("").parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(parts[: len(parts) - node.level]) if node.level else ""
            module = ".".join(filter(None, (base, node.module)))
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_imports_point_down(path: Path) -> None:
    mine = path.relative_to(PACKAGE).with_suffix("").parts[0]
    upward = []
    for line, module in _imports(path):
        bits = module.split(".")
        if bits[0] != "lxcwrap" or len(bits) < 2 or bits[1] not in LEVEL or mine not in LEVEL:
            continue
        if bits[1] != mine and (mine, bits[1]) not in SIBLINGS and LEVEL[bits[1]] >= LEVEL[mine]:
            upward.append(f"line {line}: {mine} imports {module}")
    assert not upward


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_heavy_modules_stay_in_their_place(path: Path) -> None:
    foreign = [
        f"line {line}: {module}"
        for line, module in _imports(path)
        if ONLY_IN.get(module.split(".")[0], _name(path)) != _name(path)
        or (module.split(".")[0] in ONLY_CLI and not _name(path).startswith("cli/"))
    ]
    assert not foreign


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_files_and_functions_are_short(path: Path) -> None:
    text = path.read_text()
    long = [
        f"line {node.lineno}: {node.name} has {node.end_lineno - node.lineno + 1} lines"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef) and node.end_lineno and node.end_lineno - node.lineno + 1 > 60
    ]
    assert not long
    assert text.count("\n") <= 500


@pytest.mark.parametrize("path", [path for path in SOURCES if path.name == "__init__.py"], ids=_name)
def test_packages_re_export_nothing(path: Path) -> None:
    assert not list(_imports(path))


def test_every_folder_of_the_package_has_a_level() -> None:
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders <= set(LEVEL)


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_no_shell_and_no_blind_except(path: Path) -> None:
    assert not [f"line {node.lineno}" for node in ast.walk(ast.parse(path.read_text())) if _is_unwanted(node)]


def _is_unwanted(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        called = ast.unparse(node.func)
        by_shell = called.startswith("subprocess.") and any(keyword.arg == "shell" for keyword in node.keywords)
        return by_shell or called == "os.system"
    if isinstance(node, ast.ExceptHandler):
        return node.type is None or ast.unparse(node.type) == "Exception"
    return False
