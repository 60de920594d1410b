"""A hundred lives of containers from eight processes at once: none fails, and nothing of them is left in the kernel."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.crash.kernel_lists import KernelLists, leaked

WORKERS, ROUNDS = 8, 13


def life(cli: Any, worker: int) -> list[str]:
    """Complaints of one process's share: run, stop, start, exec, remove; each with a published port."""
    complaints = []
    for number in range(ROUNDS):
        name = f"w{worker}-{number}"
        for words in (
            ("run", "-d", "--name", name, "-p", "80", "busybox", "sleep", "600"),
            ("exec", name, "true"),
            ("stop", "-t", "0", name),
            ("start", name),
            ("rm", "-f", name),
        ):
            done = cli(*words, check=False, timeout=120)
            if done.code:
                complaints.append(f"{' '.join(words)}: {done.code} {done.err}")
    return complaints


def test_eight_processes_at_once(cli: Any, busybox: str) -> None:
    cli("run", "--rm", busybox, "true")  # the bridge stays from the first on
    before = KernelLists.settled(cli.root)
    with ThreadPoolExecutor(WORKERS) as pool:
        complaints = [line for lines in pool.map(lambda worker: life(cli, worker), range(WORKERS)) for line in lines]
    assert complaints == []
    assert cli("ps", "-aq").out == ""
    assert leaked(cli.root, before) == ""
