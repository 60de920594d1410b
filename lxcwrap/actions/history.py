"""What containers used over the last looks: what the live view draws.  Pure but for ``stats``' samples."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from lxcwrap.actions.stats import Sample, cpu_share

LENGTH = 120  # looks that are remembered: more than any terminal shows


def _series() -> deque[float]:
    return deque(maxlen=LENGTH)


@dataclass
class Track:
    """One container's course: percent of a processor, bytes of memory, bytes a second on the network."""

    name: str
    cpu: deque[float] = field(default_factory=_series)
    memory: deque[float] = field(default_factory=_series)
    network: deque[float] = field(default_factory=_series)
    limit: int = 0  # of memory, bytes; 0: none
    pids: int = 0
    last: Sample | None = None

    def add(self, sample: Sample) -> None:
        before, self.last, self.name = self.last, sample, sample.name
        if not sample.usage:
            return
        self.limit, self.pids = sample.usage.limit, sample.usage.pids
        self.memory.append(sample.usage.memory)
        if before and before.usage:
            self.cpu.append(cpu_share(before, sample))
            self.network.append(_rate(before, sample))


def _rate(before: Sample, now: Sample) -> float:
    """Bytes a second in both directions; 0 when the counters began anew."""
    seconds = now.moment - before.moment
    moved = now.received + now.sent - before.received - before.sent
    return max(moved, 0) / seconds if seconds > 0 else 0.0


class History:
    """The courses of all containers that run, by ID."""

    def __init__(self) -> None:
        self.tracks: dict[str, Track] = {}

    def add(self, samples: Iterable[Sample]) -> None:
        """One more look; who is not in it is forgotten."""
        running = {sample.id: sample for sample in samples if sample.usage}
        self.tracks = {each: self.tracks.get(each) or Track(sample.name) for each, sample in running.items()}
        for each, sample in running.items():
            self.tracks[each].add(sample)

    def ordered(self, key: str) -> list[Track]:
        """By ``name``, or the busiest first by ``cpu``, ``memory`` or ``network``."""
        if key == "name":
            return sorted(self.tracks.values(), key=lambda track: track.name)
        return sorted(self.tracks.values(), key=lambda track: (-latest(getattr(track, key)), track.name))


def latest(series: deque[float]) -> float:
    return series[-1] if series else 0.0
