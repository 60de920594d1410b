"""A host as deployment sees it: lxcwrap command lines run there, and nothing else.  ``actions/engines`` has them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol, TypeVar

from lxcwrap.errors import LxcwrapError

AT_ONCE = 32  # hosts
USUAL = 120.0  # seconds that a command may take

T = TypeVar("T")
Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Result:
    code: int
    out: bytes
    err: str

    @property
    def reason(self) -> str:
        """The line that says what went wrong."""
        lines = [line for line in self.err.strip().splitlines() if line.strip()]
        return lines[-1].removeprefix("lxcwrap: ") if lines else f"exit code {self.code}"


class Holding(Protocol):
    """A command that goes on until it is closed.  ``line``: the first that it printed; ``beat`` sends it a byte."""

    @property
    def line(self) -> bytes: ...
    @property
    def is_alive(self) -> bool: ...
    def beat(self) -> None: ...
    def close(self) -> None: ...


class Host(Protocol):
    """Methods are called from several threads.  Each raises Unreachable when the host does not answer (in time)."""

    @property
    def name(self) -> str: ...
    @property
    def labels(self) -> Pairs: ...
    def run(self, words: Sequence[str], stdin: bytes | BinaryIO = b"", timeout: float = USUAL) -> Result: ...
    def follow(self, words: Sequence[str], out: Callable[[bytes], None]) -> int: ...
    def hold(self, words: Sequence[str], timeout: float = USUAL) -> Holding: ...
    def close(self) -> None: ...


class HostFailed(LxcwrapError):
    """A command failed on a host."""


def run(host: Host, *words: str, stdin: bytes | BinaryIO = b"", timeout: float = USUAL) -> bytes:
    """What it prints.  Raises HostFailed, Unreachable."""
    result = host.run(words, stdin, timeout)
    if result.code:
        raise HostFailed(f"{host.name}: {result.reason}")
    return result.out


def ask(host: Host, *words: str, stdin: bytes = b"", timeout: float = USUAL) -> Any:
    """The JSON that it prints.  Raises HostFailed, Unreachable."""
    return parsed(host, run(host, *words, stdin=stdin, timeout=timeout))


def parsed(host: Host, text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise HostFailed(
            f"{host.name}: its lxcwrap answers {text[:60]!r}", hint=f"lxcwrap host setup {host.name} brings this one"
        ) from None


def together(items: Iterable[Host], work: Callable[[Host], T]) -> dict[str, T | LxcwrapError]:
    """The work's results by the hosts' names, side by side; one that failed delays nobody."""
    hosts = list(items)

    def one(host: Host) -> T | LxcwrapError:
        try:
            return work(host)
        except LxcwrapError as error:
            return error

    with ThreadPoolExecutor(max(1, min(AT_ONCE, len(hosts)))) as pool:
        return dict(zip([host.name for host in hosts], pool.map(one, hosts), strict=True))


def all_of(items: Iterable[Host], work: Callable[[Host], T]) -> dict[str, T]:
    """As ``together``, once all have ended.  Raises the first error."""
    done: dict[str, T] = {}
    for name, result in together(items, work).items():
        if isinstance(result, LxcwrapError):
            raise result
        done[name] = result
    return done
