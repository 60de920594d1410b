"""The state of one stage while it is planned: configuration, arguments, and the steps so far."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lxcwrap.build.expansion import expand, expand_words
from lxcwrap.build.line import Line
from lxcwrap.build.steps import Metadata, Step
from lxcwrap.model.image import Platform, RunConfig

DEFAULT_SHELL = ("/bin/sh", "-c")
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PROXIES = frozenset(
    name
    for word in ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy")
    for name in (word, word.upper())
)


@dataclass(frozen=True)
class Arguments:
    """Where ARG finds values: ``given`` by --build-arg, ``outer`` declared before the first FROM, ``platform``."""

    given: Mapping[str, str] = field(default_factory=dict)
    outer: Mapping[str, str | None] = field(default_factory=dict)
    platform: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Stage:
    """Instructions change it in their order; what remains is the plan."""

    config: RunConfig
    arguments: Arguments = field(default_factory=Arguments)
    author: str = ""
    platform: Platform = field(default_factory=Platform)
    steps: list[Step] = field(default_factory=list)
    args: dict[str, str | None] = field(default_factory=dict)  # declared here; None: no value
    covering: set[str] = field(default_factory=set)  # ARGs declared after an ENV of their name: they win over it
    last: dict[str, Line] = field(default_factory=dict)  # CMD and the like, where they stood last

    @property
    def environment(self) -> dict[str, str]:
        """ENV by name."""
        return dict(item.partition("=")[::2] for item in self.config.env)

    @property
    def values(self) -> dict[str, str]:
        """What ``$NAME`` stands for here: of an ENV and an ARG the later one."""
        return {**self._declared, **self.environment, **self._covering}

    @property
    def _declared(self) -> dict[str, str]:
        return {name: value for name, value in self.args.items() if value is not None}

    @property
    def _covering(self) -> dict[str, str]:
        return {name: value for name, value in self._declared.items() if name in self.covering}

    def declare(self, name: str, value: str | None) -> None:
        """ARG: it does not change the image's own environment."""
        self.args[name] = value
        if value is not None and name in self.environment:
            self.covering.add(name)

    @property
    def shell(self) -> tuple[str, ...]:
        return self.config.shell or DEFAULT_SHELL

    @property
    def working_dir(self) -> str:
        return self.config.working_dir or "/"

    def expand(self, text: str, line: Line) -> str:
        return expand(text, self.values, line)

    def expand_words(self, text: str, line: Line) -> list[str]:
        return expand_words(text, self.values, line)

    def configure(self, **changes: Any) -> None:
        """Change fields of the image's RunConfig."""
        self.config = replace(self.config, **changes)

    def remember(self, line: Line, created_by: str) -> None:
        """A line of history without a layer."""
        self.steps.append(Metadata(line, created_by))

    def path(self, text: str) -> str:
        """``text`` made absolute by WORKDIR; a slash at its end is kept, for it says "a directory"."""
        absolute = posixpath.normpath(posixpath.join("/", self.working_dir, text))
        absolute = "/" + absolute.lstrip("/")
        directory = text.endswith(("/", "/.")) or text in (".", "..", "")
        return absolute.rstrip("/") + "/" if directory else absolute

    def set_environment(self, pairs: list[tuple[str, str]]) -> None:
        merged = {**self.environment, **dict(pairs)}
        self.covering -= dict(pairs).keys()
        self.configure(env=tuple(f"{name}={value}" for name, value in merged.items()))

    def run_environment(self) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
        """For RUN: the whole environment, the proxies in it, and the declared arguments as history shows them."""
        environment = self.environment
        declared = {
            name: value for name, value in self._declared.items() if name not in environment or name in self.covering
        }
        proxies = {
            name: value
            for name, value in _proxies(self.arguments.given).items()
            if name not in environment and name not in declared
        }
        merged = {"PATH": DEFAULT_PATH, **proxies, **declared, **environment, **self._covering}
        return (
            tuple(f"{name}={value}" for name, value in merged.items()),
            tuple(f"{name}={value}" for name, value in proxies.items()),
            tuple(f"{name}={value}" for name, value in declared.items()),
        )


def _proxies(given: Mapping[str, str]) -> dict[str, str]:
    """The predefined proxy arguments that were given; each in both spellings, for programs read one or the other."""
    proxies = {name: value for name, value in given.items() if name in PROXIES}
    spelled = {name.swapcase(): value for name, value in proxies.items()}
    return {**spelled, **proxies}
