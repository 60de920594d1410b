"""Cache keys: digests of all that a step's result depends on, chained from step to step.  Pure."""

from __future__ import annotations

import json
from typing import Any

from lxcwrap.build.steps import Copy, MakeDirectory, Run, Step
from lxcwrap.model.digest import of

_VERSION = 2  # a builder that does something else for the same instruction counts up


def base_key(chain_id: str | None, epoch: int | None) -> str:
    """Where a stage begins; ``epoch`` is SOURCE_DATE_EPOCH, for it shows in the layers' times."""
    return digest("base", _VERSION, chain_id, epoch)


def step_key(before: str, chain_id: str | None, step: Step, content: str = "", network: str = "") -> str:
    """``before`` is the key of the step before, ``chain_id`` its layers; ``content`` what a COPY or ADD takes."""
    return digest("step", before, chain_id, *_definition(step, content, network))


def image_key(before: str, chain_id: str | None, config: dict[str, Any], history: list[str]) -> str:
    """Of a finished image, so that the same build gives the same image again."""
    return digest("image", before, chain_id, config, history)


def download_key(url: str) -> str:
    return digest("download", url)


def _definition(step: Step, content: str, network: str) -> tuple[object, ...]:
    if isinstance(step, Run):
        env = sorted(set(step.env) - set(step.unkeyed))
        return "RUN", step.argv, env, step.working_dir, step.user, network
    if isinstance(step, Copy):
        return "ADD" if step.unpacks else "COPY", content, step.target, step.owner, step.mode
    if isinstance(step, MakeDirectory):
        return "WORKDIR", step.path, step.owner
    return ("", step.created_by)


def digest(*parts: object) -> str:
    return of(json.dumps(parts, sort_keys=True).encode("utf-8", "surrogateescape"))
