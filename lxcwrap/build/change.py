"""Instructions given one by one to ``commit --change`` and ``import --change``."""

from __future__ import annotations

from lxcwrap.build import keywords
from lxcwrap.build.parser import parse_line
from lxcwrap.build.stage import Stage
from lxcwrap.errors import UsageError
from lxcwrap.model.image import RunConfig

ALLOWED = (
    "CMD", "ENTRYPOINT", "ENV", "EXPOSE", "HEALTHCHECK", "LABEL", "ONBUILD", "SHELL", "STOPSIGNAL", "USER", "VOLUME",
    "WORKDIR",
)  # fmt: skip


def apply(config: RunConfig, changes: tuple[str, ...]) -> RunConfig:
    """The configuration after the changes, in their order.  Raises BuildError or UsageError."""
    stage = Stage(config)
    for number, change in enumerate(changes, 1):
        if not change.strip():
            raise UsageError("--change is empty", exit_code=1)
        line = parse_line(change, "--change", number, number)
        if line.keyword not in ALLOWED:
            raise UsageError(f"--change {line.keyword} is not allowed: only {', '.join(ALLOWED)}", exit_code=1)
        keywords.instruction(line).plan(stage)
    return stage.config
