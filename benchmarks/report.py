"""The results as a reStructuredText page."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from cases import Case

PEERS = ("lxcwrap", "dockerd", "podman")

HEAD = """\
Results
=======

lxcwrap beside dockerd and podman (whose builds are buildah's), measured in one run on one machine: the same Debian
minbase image in each, the programs taking turns in a new order every round, wall time, medians.  Written by::

    sudo benchmarks/run --rounds {rounds}

{machine}

Absolute times drift from machine to machine; the ratios are what to compare.
"""


def one_line(samples: Mapping[str, Sequence[float]]) -> str:
    return "  ".join(f"{name} {milliseconds(median(times))}" for name, times in samples.items())


def milliseconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def render(results: Mapping[str, Any], cases: Iterable[Case], rounds: int) -> str:
    parts = [HEAD.format(rounds=rounds, machine=machine(results))]
    parts.append(section("Time", _times(results["times"], cases)))
    if "memory" in results:
        parts.append(section("Memory", _memory(results["memory"])))
        parts.append("Summed PSS of every process that is kept for the containers, the workload itself not counted.\n")
    notes = Path(__file__).with_name("notes.rst")
    if notes.exists():
        parts.append(notes.read_text())
    return "\n".join(parts)


def machine(results: Mapping[str, Any]) -> str:
    """What was measured on, and with which versions, as a list."""
    facts = [f"kernel {platform.release()}", f"{os.cpu_count()} cores", f"load {results['load']:.1f} at the start"]
    versions = [f"{name}: {text}" for name, text in results["versions"].items()]
    return "\n".join(f"- {fact}" for fact in (", ".join(facts), *versions))


def _times(times: Mapping[str, Mapping[str, Sequence[float]]], cases: Iterable[Case]) -> list[list[str]]:
    rows = [["what", *PEERS, "ratio", "wanted"]]
    for case in cases:
        middle = {name: median(samples) for name, samples in times[case.name].items()}
        row = [case.title, *(milliseconds(middle[peer]) if peer in middle else "" for peer in PEERS)]
        if "lxcwrap" in middle and case.against in middle:
            against = "" if case.against == "dockerd" else f" of {case.against} ({milliseconds(middle[case.against])})"
            ratio = middle["lxcwrap"] / middle[case.against]
            row += [f"{ratio:.2f}{against}", f"{'met' if ratio <= case.limit else 'missed'} (at most {case.limit:g})"]
        rows.append(row + [""] * (len(rows[0]) - len(row)))
    return rows


def _memory(memory: Mapping[str, Mapping[str, Sequence[int]]]) -> list[list[str]]:
    rows = [["50 containers", *PEERS, "ratio", "wanted"]]
    for title, kept in memory.items():
        cells = [f"{kept[peer][0] / 1024:.0f} MiB in {kept[peer][1]}" if peer in kept else "" for peer in PEERS]
        ratio = kept["lxcwrap"][0] / kept["dockerd"][0] if {"lxcwrap", "dockerd"} <= set(kept) else 0.0
        verdict = [f"{ratio:.2f}", f"{'met' if ratio <= 1 else 'missed'} (at most 1)"] if ratio else ["", ""]
        rows.append([title, *cells, *verdict])
    return rows


def section(title: str, rows: Sequence[Sequence[str]]) -> str:
    """A heading and a table, its first row the title."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    rule = "  ".join("=" * width for width in widths)
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    table = "\n".join([rule, lines[0], rule, *lines[1:], rule])
    return f"{title}\n{'-' * len(title)}\n\n{table}\n"
