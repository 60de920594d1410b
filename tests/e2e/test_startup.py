"""What the command costs before it does anything: modules that hot commands must not load."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
HEAVY = {"paramiko", "ssl", "yaml", "tarfile", "rich", "lxc", "urllib3", "http.client", "asyncio", "importlib.metadata"}


def loaded_modules(root: str, *words: str) -> set[str]:
    """Names in sys.modules after one command line."""
    script = (
        "import sys\n"
        "from lxcwrap.cli.main import run\n"
        "code = run(sys.argv[1:])\n"
        "print('\\nMODULES', *sys.modules)\n"
        "sys.exit(code)\n"
    )
    environment = {**os.environ, "LXCWRAP_ROOT": root, "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, env=environment, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    before = subprocess.run([sys.executable, "-c", "import sys; print(*sys.modules)"], capture_output=True, check=True)
    return set(done.stdout.decode().rpartition("MODULES ")[2].split()) - set(before.stdout.decode().split())


@pytest.mark.parametrize("words", [("ps",), ("ps", "-a"), ("ps", "-q"), ("images",)], ids=" ".join)
def test_listings_load_nothing_heavy(root: str, words: tuple[str, ...]) -> None:
    loaded = loaded_modules(root, *words)
    assert "lxcwrap.cli.main" in loaded
    assert not loaded & HEAVY


def test_only_the_named_command_is_loaded(root: str) -> None:
    commands = {name for name in loaded_modules(root, "ps") if name.startswith("lxcwrap.cli.commands.")}
    assert commands == {"lxcwrap.cli.commands.ps"}


def test_ps_loads_no_openssl(root: str) -> None:
    assert "_hashlib" not in loaded_modules(root, "ps")
