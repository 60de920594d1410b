"""install.sh on a minimal Debian (no pip, compiler, make or git), which is a container here."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
INSTALL = CHECKOUT / "install.sh"
LEFT = "/opt/lxcwrap /usr/local/bin/lxcwrap /usr/local/share/man/man1/lxcwrap.1"


@pytest.fixture(scope="module")
def minimal(cli, debian: str) -> Iterator[str]:
    """A running container with the checkout in /src and nothing of lxcwrap installed."""
    cli("run", "-d", "--name", "minimal", "-v", f"{CHECKOUT}:/src:ro", debian, "sleep", "infinity")
    yield "minimal"
    cli("rm", "-f", "minimal")


def test_install_again_and_uninstall(cli, minimal: str) -> None:
    def inside(script: str) -> str:
        return cli("exec", minimal, "bash", "-c", script, timeout=280).out

    assert inside("type -P pip make gcc git; true") == ""
    packages = "dpkg-query -W -f '${Package}\\n' | sort"
    before = inside(packages)
    inside("echo somebody:1000000000:65536 | tee /etc/subuid >/etc/subgid")

    said = inside("/src/install.sh 2>&1")
    assert "is installed: /usr/local/bin/lxcwrap" in said
    assert inside("lxcwrap --version").startswith("lxcwrap ")
    assert "busybox" in inside("lxcwrap template ls")
    assert inside("cat /etc/subuid") == "somebody:1000000000:65536\nroot:1000065536:655360000\n"
    assert inside("cat /etc/subuid") == inside("cat /etc/subgid")
    assert "complete" in inside("cat /usr/local/share/bash-completion/completions/lxcwrap")
    assert ".TH" in inside("cat /usr/local/share/man/man1/lxcwrap-run.1")

    again = inside("/src/install.sh 2>&1")
    assert "Installing packages" not in again
    assert "Granting" not in again

    kept = inside("mkdir -p /var/lib/lxcwrap/volumes/kept && /src/install.sh uninstall 2>&1")
    assert "keeping the images and volumes" in kept
    assert inside("ls /var/lib/lxcwrap/volumes; grep -c ^root: /etc/subuid") == "kept\n1\n"
    assert inside(f"ls -d {LEFT} 2>/dev/null; true") == ""
    assert inside(packages) == before
    assert inside("/src/install.sh uninstall --yes; ls -d /var/lib/lxcwrap 2>/dev/null; true").endswith("uninstalled\n")


def run(*words: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **({"PATH": path} if path else {})}
    return subprocess.run(["bash", str(INSTALL), *words], capture_output=True, text=True, env=environment, timeout=60)


def test_an_unknown_word_is_refused() -> None:
    done = run("frobnicate")
    assert done.returncode == 1
    assert done.stderr.startswith("install.sh: unknown word 'frobnicate'")


def test_help_lists_what_it_can_do() -> None:
    done = run("--help")
    assert done.returncode == 0
    assert all(word in done.stdout for word in ("demo", "test", "uninstall", "dnf"))


def test_a_system_with_neither_apt_nor_dnf_is_refused_with_what_is_needed(tmp_path: Path) -> None:
    """The script as it is, with the few programs that it needs on PATH and no package manager."""
    for program in ("bash", "id", "sed", "dirname", "grep"):
        (tmp_path / program).symlink_to(f"/usr/bin/{program}")
    script = tmp_path / "install.sh"
    script.write_text(INSTALL.read_text().replace("export PATH=", f"export PATH={tmp_path} UNUSED="))
    (tmp_path / "lxcwrap").mkdir()
    done = subprocess.run(["/bin/bash", str(script)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "neither apt-get nor dnf here" in done.stderr
    assert all(name in done.stderr for name in ("liblxc", "nftables", "click", "newuidmap", "pip install ."))


def test_only_root_may_install() -> None:
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "bash", str(INSTALL)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "sudo ./install.sh" in done.stderr
