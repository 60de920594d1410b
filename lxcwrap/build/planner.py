"""A stage's instructions and its base's configuration into a plan: pure, and decided before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from lxcwrap.build import keywords
from lxcwrap.build.line import Line
from lxcwrap.build.parser import parse_line
from lxcwrap.build.stage import DEFAULT_PATH, Arguments, Stage
from lxcwrap.build.stages import Dockerfile, StageSource, origin_stage, platform_arguments
from lxcwrap.build.steps import Copy, Metadata, Step
from lxcwrap.model.image import Platform, RunConfig


@dataclass(frozen=True)
class StagePlan:
    """What to do for one stage, in order, and what the image will say in the end."""

    source: StageSource
    steps: tuple[Step, ...]
    config: RunConfig
    author: str
    args: Mapping[str, str | None]

    @property
    def count(self) -> int:
        """Steps that show a number: all with work to do, and FROM."""
        return 1 + sum(not isinstance(step, Metadata) for step in self.steps)

    def needs(self, stages: tuple[StageSource, ...]) -> set[int]:
        """Indexes of the stages whose files or base this one uses."""
        found = {self.source.parent}
        for step in self.steps:
            if isinstance(step, Copy) and step.origin:
                found.add(origin_stage(stages, self.source.index, step.origin))
        return {index for index in found if index is not None}

    def images(self, stages: tuple[StageSource, ...]) -> dict[str, Line]:
        """References of the images that COPY --from takes files from, and the lines that name them."""
        return {
            step.origin: step.line
            for step in reversed(self.steps)
            if isinstance(step, Copy) and step.origin and origin_stage(stages, self.source.index, step.origin) is None
        }


def plan_stage(
    dockerfile: Dockerfile,
    source: StageSource,
    base: RunConfig,
    author: str,
    given: Mapping[str, str],
    build: Platform,
    parent_args: Mapping[str, str | None],
) -> StagePlan:
    """Carry out the base's ONBUILD triggers and the stage's instructions.  Raises BuildError.

    ``parent_args`` are the arguments that the stage it builds on had declared: they stay declared.
    """
    target = dockerfile.platform.get("TARGETSTAGE", "")
    predefined = platform_arguments(build, source.platform, target)
    if not base.env:
        base = replace(base, env=(f"PATH={DEFAULT_PATH}",))
    stage = Stage(replace(base, on_build=()), Arguments(given, dockerfile.outer, predefined), author, source.platform)
    stage.args.update(parent_args)
    for trigger in base.on_build:
        line = parse_line(trigger, source.line.file, source.line.number, source.line.last, source.line.escape)
        keywords.instruction(line).plan(stage)
    for item in source.instructions:
        item.plan(stage)
    return StagePlan(source, tuple(stage.steps), stage.config, stage.author, stage.args)


def check_circles(plans: Mapping[int, StagePlan], stages: tuple[StageSource, ...]) -> None:
    """A stage may take files from a later one, but no stage may wait for itself.  Raises BuildError."""
    waiting = {index: plan.needs(stages) for index, plan in plans.items()}
    while ready := [index for index, needs in waiting.items() if not needs & waiting.keys()]:
        for index in ready:
            del waiting[index]
    if not waiting:
        return
    path: list[int] = []
    index = min(waiting)
    while index not in path:
        path.append(index)
        index = min(waiting[index] & waiting.keys())
    circle = [stages[one] for one in [*path[path.index(index) :], index]]
    names = " needs ".join(stage.label for stage in circle)
    raise circle[0].line.error(f"the stages need each other's files in a circle: {names:.300}")
