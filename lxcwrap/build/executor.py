"""Plans carried out: a thread per stage, steps from the cache where it has them, layers otherwise."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from lxcwrap.build import cache, files, run
from lxcwrap.build.fingerprint import Fingerprints
from lxcwrap.build.planner import StagePlan
from lxcwrap.build.report import Report
from lxcwrap.build.stages import StageSource, origin_stage
from lxcwrap.build.steps import Copy, MakeDirectory, Metadata, Run, Step
from lxcwrap.build.tree import Tree
from lxcwrap.build.workspace import Workspace, prepare
from lxcwrap.errors import Unsafe
from lxcwrap.kernel import mount
from lxcwrap.model.image import History, ImageConfig
from lxcwrap.model.paths import Paths
from lxcwrap.runtime.nursery import Nursery
from lxcwrap.storage.driver import Driver
from lxcwrap.store import buildcache
from lxcwrap.store.buildcache import CachedStep
from lxcwrap.store.database import Store

_TURN = 0.1  # seconds


class Stopped(Exception):
    """Another stage failed, or the user interrupted: this one ends."""


@dataclass(frozen=True)
class Settings:
    """What a build's user chose and what this host is like.

    ``staging`` is a directory of the build's own on the state's file system.  ``epoch`` is SOURCE_DATE_EPOCH.
    """

    paths: Paths
    driver: Driver
    staging: str
    id_base: int | None = None
    use_cache: bool = True
    epoch: int | None = None
    network: Callable[[], run.StepNetwork] = run.no_network
    network_mode: str = "default"


@dataclass(frozen=True)
class Base:
    """What a stage begins with: an image, or nothing."""

    title: str
    chain_id: str | None
    config: ImageConfig


@dataclass(frozen=True)
class StageResult:
    """A finished stage.  ``key`` stands for all steps so far, ``created`` (RFC 3339) is the last step's time."""

    key: str
    chain_id: str | None
    history: tuple[History, ...]
    created: str


@dataclass
class Outcome:
    """How a stage ended: neither is there before it did."""

    result: StageResult | None = None
    error: BaseException | None = None

    @property
    def done(self) -> bool:
        return self.result is not None or self.error is not None


@dataclass
class Execution:
    """One run of several plans.  ``bases``: by stage index, for stages that build on an image or on nothing."""

    settings: Settings
    stages: tuple[StageSource, ...]
    plans: Mapping[int, StagePlan]
    bases: Mapping[int, Base]
    images: Mapping[str, Base]  # what COPY --from names that is no stage
    context: Tree
    fingerprints: Fingerprints
    report: Report
    results: dict[int, Outcome] = field(default_factory=dict)
    settled: threading.Condition = field(default_factory=threading.Condition)
    stopped: threading.Event = field(default_factory=threading.Event)
    running: run.Running = field(default_factory=run.Running)
    nursery: Nursery = field(init=False)

    def __post_init__(self) -> None:
        self.nursery = Nursery(sealed=self.settings.id_base is None)

    def execute(self, target: int) -> StageResult:
        """All stages, the independent ones side by side; the target's result.

        Raises what the first failing step raised; then all others have ended.
        """
        self.results = {index: Outcome() for index in self.plans}
        threads = [
            threading.Thread(target=self._work, args=(index,), name=f"stage-{index}", daemon=True)
            for index in sorted(self.plans)
        ]
        for thread in threads:
            thread.start()
        try:
            self._wait_until_over()
        finally:
            self.stopped.set()
            self._end(threads)
            self.nursery.close()
        failures = [outcome.error for outcome in self.results.values() if outcome.error]
        for error in sorted(failures, key=lambda error: isinstance(error, Stopped)):
            raise error
        return self.result_of(target)

    def _end(self, threads: list[threading.Thread]) -> None:
        """Wait for all; a command that is only about to start cannot be killed yet, so it is tried again."""
        while any(thread.is_alive() for thread in threads):
            self.running.stop()
            for thread in threads:
                thread.join(_TURN)

    def result_of(self, index: int) -> StageResult:
        """The stage's result, waiting for it.  Raises Stopped when there is none to come."""
        outcome = self.results[index]
        with self.settled:
            while not outcome.done:
                self.check_stopped()
                self.settled.wait(_TURN)
        if outcome.result is None:
            raise Stopped()
        return outcome.result

    def _wait_until_over(self) -> None:
        """Until all are done or one has failed."""
        with self.settled:
            while not all(outcome.done for outcome in self.results.values()):
                if any(outcome.error for outcome in self.results.values()):
                    break
                self.settled.wait(_TURN)  # in turns, so that Ctrl-C is noticed

    def _work(self, index: int) -> None:
        outcome = Outcome()
        try:
            mount.unshare_mounts()
            store = Store(self.settings.paths)
            try:
                outcome.result = StageWork(self, store, self.plans[index]).work()
            finally:
                store.close()
        except BaseException as error:
            outcome = Outcome(error=error)
        with self.settled:
            self.results[index].result, self.results[index].error = outcome.result, outcome.error
            self.settled.notify_all()

    def check_stopped(self) -> None:
        if self.stopped.is_set():
            raise Stopped()


class StageWork:
    """One stage, in its own thread with its own connection to the state."""

    def __init__(self, execution: Execution, store: Store, plan: StagePlan) -> None:
        self.execution = execution
        self.settings = execution.settings
        self.store = store
        self.plan = plan
        self.history: list[History] = []
        self.number = 1
        self.key = ""
        self.chain_id: str | None = None
        self.created = ""
        self._hits: list[str] = []

    def work(self) -> StageResult:
        self._begin()
        for step in self.plan.steps:
            self.execution.check_stopped()
            if isinstance(step, Metadata):
                self._remember(step, empty=True)
            else:
                self.number += 1
                self._step(step)
        if self._hits:
            buildcache.touch(self.store, self._hits)
        return StageResult(self.key, self.chain_id, tuple(self.history), self.created)

    def _begin(self) -> None:
        parent = self.plan.source.parent
        if parent is not None:
            result = self.execution.result_of(parent)
            self.key, self.chain_id, self.created = result.key, result.chain_id, result.created
            self.history = list(result.history)
            return
        base = self.execution.bases[self.plan.source.index]
        self.key = cache.base_key(base.chain_id, self.settings.epoch)
        self.chain_id, self.created = base.chain_id, base.config.created
        self.history = list(base.config.history)
        number = self.execution.report.start(f"[{self._place()}] {base.title}")
        self.execution.report.done(number, cached=True)

    def origin_chain(self, origin: str) -> str | None:
        """The layers of what COPY --from names; waits for the stage that makes them."""
        index = origin_stage(self.execution.stages, self.plan.source.index, origin)
        return self.execution.images[origin].chain_id if index is None else self.execution.result_of(index).chain_id

    def _place(self) -> str:
        count = f"{self.number}/{self.plan.count}"
        alone = len(self.execution.plans) == 1 and not self.plan.source.name
        return count if alone else f"{self.plan.source.label} {count}"

    def _remember(self, step: Step, *, empty: bool) -> None:
        self.history.append(
            History(created=self.created, created_by=step.created_by, comment="lxcwrap", empty_layer=empty)
        )

    def _step(self, step: Run | Copy | MakeDirectory) -> None:
        report = self.execution.report
        content = self._content(step)
        number = report.start(f"[{self._place()}] {step.line.text}")
        try:
            cached = self._from_cache(step, content)
            if not cached:
                self._carry_out(step, content, number)
        except BaseException as error:
            failure = self._understood(step, error)
            report.failed(number, str(failure))
            if failure is error:
                raise
            raise failure from error
        report.done(number, cached=cached)

    def _understood(self, step: Step, error: BaseException) -> BaseException:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            hint = "free some space: lxcwrap image prune"
            return step.line.error(f"the disk that holds {self.settings.paths.root} is full", hint)
        if isinstance(error, Unsafe):
            return step.line.error(f"{step.line.keyword}: {error.message}", error.hint)
        return error

    def _content(self, step: Step) -> files.Content | None:
        return files.content(self, step) if isinstance(step, Copy) else None

    def _from_cache(self, step: Step, content: files.Content | None) -> bool:
        """Take the result over when it is known; by what a COPY --from names first, then by what that holds."""
        if not self.settings.use_cache:
            return False
        for quick in (True, False):
            what = content.key(exact=not quick) if content else ""
            found = buildcache.find(self.store, self._key(step, what))
            if found:
                self._adopt(step, found)
                return True
            if not content:
                break
        return False

    def _key(self, step: Step, content: str) -> str:
        return cache.step_key(self.key, self.chain_id, step, content, self.settings.network_mode)

    def _adopt(self, step: Step, found: CachedStep) -> None:
        self._hits.append(found.key)
        self._advance(step, str(found.facts["key"]), found.chain_id, str(found.facts["created"]))

    def _advance(self, step: Step, key: str, chain_id: str | None, created: str) -> None:
        empty = chain_id == self.chain_id
        self.key, self.chain_id, self.created = key, chain_id, created
        self._remember(step, empty=empty)

    def _carry_out(self, step: Run | Copy | MakeDirectory, content: files.Content | None, number: int) -> None:
        index = self.plan.source.index
        id_base = self.settings.id_base if isinstance(step, Run) else None
        place = f"{self.settings.staging}/s{index}-{self.number}"
        workspace = prepare(self.store, self.settings.driver, place, self.chain_id, id_base)
        if isinstance(step, Run):
            run.execute(self, step, workspace, number)
        elif isinstance(step, Copy):
            assert content
            content.transfer(workspace)
        else:
            files.make_directory(step, workspace)
        self.execution.check_stopped()
        self._keep(step, content, workspace)

    def _keep(self, step: Step, content: files.Content | None, workspace: Workspace) -> None:
        chain_id = workspace.seal(self.store, self.chain_id, self.settings.epoch)
        created = timestamp(self.settings.epoch)
        key = self._key(step, content.key(exact=True) if content else "")
        names = {key, self._key(step, content.key(exact=False)) if content else key}
        facts = {"key": key, "created": created, "step": step.line.text[:200]}
        buildcache.add(self.store, [CachedStep(name, chain_id, facts) for name in names])
        self._advance(step, key, chain_id, created)


def timestamp(epoch: int | None) -> str:
    """Now, or SOURCE_DATE_EPOCH, as images have it."""
    if epoch is not None:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch))
    now = time.time_ns()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now // 10**9)) + f".{now % 10**9:09d}Z"


def finish(plan: StagePlan, result: StageResult, diff_ids: tuple[str, ...], created: str) -> ImageConfig:
    """The image that a stage's result is."""
    return ImageConfig(
        platform=plan.source.platform,
        created=created,
        author=plan.author,
        config=plan.config,
        diff_ids=diff_ids,
        history=tuple(replace(line, created=line.created or created) for line in result.history),
    )
