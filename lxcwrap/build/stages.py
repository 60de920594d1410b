"""Lines into stages: what stands before the first FROM, which stage builds on which, which ones a target needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lxcwrap.build import keywords
from lxcwrap.build.expansion import expand
from lxcwrap.build.instructions.arg import Arg
from lxcwrap.build.instructions.copy import Copy
from lxcwrap.build.instructions.from_ import From
from lxcwrap.build.keywords import Instruction
from lxcwrap.build.line import Line
from lxcwrap.errors import BuildError
from lxcwrap.model.image import Platform

SCRATCH = "scratch"
STAGE_LIMIT = 500  # each has a thread


@dataclass(frozen=True)
class StageSource:
    """A stage as written, its FROM expanded.

    ``base`` is an image's reference, or '' for scratch or when ``parent`` (a stage's index) is given.
    """

    index: int
    name: str
    line: Line
    base: str
    parent: int | None
    platform: Platform
    instructions: tuple[Instruction, ...]

    @property
    def label(self) -> str:
        return self.name or f"stage-{self.index}"


@dataclass(frozen=True)
class Dockerfile:
    """All stages; ``outer`` are the arguments declared before the first FROM, ``platform`` the predefined ones."""

    file: str
    stages: tuple[StageSource, ...]
    outer: Mapping[str, str | None] = field(default_factory=dict)
    platform: Mapping[str, str] = field(default_factory=dict)

    def find(self, name: str) -> StageSource | None:
        """By name or number; the last of several with the same name."""
        for stage in reversed(self.stages):
            if stage.name and stage.name == name.lower():
                return stage
        if name.isascii() and name.isdigit() and int(name) < len(self.stages):
            return self.stages[int(name)]
        return None

    def target(self, name: str) -> StageSource:
        """The stage to build; '' is the last.  Raises BuildError."""
        if not name:
            return self.stages[-1]
        found = self.find(name)
        if not found:
            from difflib import get_close_matches

            near = get_close_matches(name, [stage.name for stage in self.stages if stage.name], n=1)
            guess = f" (did you mean {near[0]}?)" if near else ""
            raise BuildError(f"{self.file}: there is no stage {name!r:.100}{guess}")
        return found


def platform_arguments(build: Platform, target: Platform, stage: str = "") -> dict[str, str]:
    """The predefined arguments (the Dockerfile reference, "Automatic platform ARGs in the global scope")."""
    values = {"TARGETSTAGE": stage or "default"}
    for prefix, platform in (("BUILD", build), ("TARGET", target)):
        values[f"{prefix}PLATFORM"] = str(platform)
        values[f"{prefix}OS"] = platform.os
        values[f"{prefix}ARCH"] = platform.architecture
        values[f"{prefix}VARIANT"] = platform.variant
    return values


def resolve(
    lines: tuple[Line, ...], given: Mapping[str, str], target: str, build: Platform, wanted: Platform
) -> Dockerfile:
    """Check every line and sort them into stages.  Raises BuildError."""
    instructions = [keywords.instruction(line) for line in lines]
    first = next((at for at, item in enumerate(instructions) if isinstance(item, From)), len(instructions))
    predefined = platform_arguments(build, wanted, target)
    outer = _outer(instructions[:first], given, predefined)
    values = {**predefined, **{name: value for name, value in outer.items() if value is not None}}
    if first == len(instructions):
        raise BuildError(f"{lines[0].file}:{lines[-1].number}: no stage: FROM is missing")
    stages: list[StageSource] = []
    begins = [at for at in range(first, len(instructions)) if isinstance(instructions[at], From)]
    if len(begins) > STAGE_LIMIT:
        raise instructions[begins[STAGE_LIMIT]].line.error(f"there are more than {STAGE_LIMIT} stages")
    for begin, end in zip(begins, [*begins[1:], len(instructions)], strict=True):
        head = instructions[begin]
        assert isinstance(head, From)
        stages.append(_stage(head, tuple(instructions[begin + 1 : end]), stages, values, wanted))
    _check_origins(stages)
    return Dockerfile(lines[0].file, tuple(stages), outer, predefined)


def _outer(
    instructions: list[Instruction], given: Mapping[str, str], predefined: Mapping[str, str]
) -> dict[str, str | None]:
    """ARG before the first FROM; nothing else may stand there."""
    outer: dict[str, str | None] = {}
    for item in instructions:
        if not isinstance(item, Arg):
            raise item.line.error(f"{item.line.keyword} stands before the first FROM", "only ARG may stand there")
        for name, default in item.names:
            known = {key: value for key, value in {**predefined, **outer}.items() if value is not None}
            value = None if default is None else expand(default, known, item.line)
            outer[name] = given.get(name, value if value is not None else predefined.get(name))
    return outer


def _stage(
    head: From,
    instructions: tuple[Instruction, ...],
    before: list[StageSource],
    values: Mapping[str, str],
    wanted: Platform,
) -> StageSource:
    base = expand(head.base, values, head.line)
    if not base:
        hint = "an ARG before FROM without a default needs --build-arg"
        raise head.line.error(f"FROM {head.base} names no image after its variables were filled in", hint)
    platform = _platform(head, values) or wanted
    parent = next((stage.index for stage in reversed(before) if stage.name and stage.name == base.lower()), None)
    image = "" if parent is not None or base == SCRATCH else base
    return StageSource(len(before), head.name, head.line, image, parent, platform, instructions)


def _platform(head: From, values: Mapping[str, str]) -> Platform | None:
    if not head.platform:
        return None
    text = expand(head.platform, values, head.line)
    try:
        return Platform.parse(text)
    except ValueError as error:
        raise head.line.error(str(error)) from None


def _check_origins(stages: list[StageSource]) -> None:
    """COPY --from=NUMBER must name a stage."""
    for stage in stages:
        for item in stage.instructions:
            number = item.origin if isinstance(item, Copy) and item.origin.isascii() and item.origin.isdigit() else ""
            if number and int(number) >= len(stages):
                raise item.line.error(f"--from={number:.40}: there is no such stage")


def origin_stage(stages: tuple[StageSource, ...], index: int, origin: str) -> int | None:
    """The stage that ``COPY --from=origin`` in stage ``index`` names, an earlier one first; None: it is an image."""
    for stage in (*reversed(stages[:index]), *stages[index:]):
        if stage.name and stage.name == origin.lower():
            return stage.index
    if origin.isascii() and origin.isdigit() and int(origin) < len(stages):
        return int(origin)
    return None
