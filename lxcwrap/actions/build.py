"""``build``: an image from a Dockerfile."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, BinaryIO

from lxcwrap.actions import build_network, images, remains
from lxcwrap.actions.disk import full_is_said
from lxcwrap.build import cache, context, parser, stages
from lxcwrap.build.context import Context
from lxcwrap.build.executor import Base, Execution, Settings, StageResult, finish, timestamp
from lxcwrap.build.fingerprint import Fingerprints
from lxcwrap.build.line import Line
from lxcwrap.build.planner import StagePlan, check_circles, plan_stage
from lxcwrap.build.report import Report
from lxcwrap.build.stage import PROXIES
from lxcwrap.build.stages import SCRATCH, Dockerfile, StageSource
from lxcwrap.errors import LxcwrapError, UsageError
from lxcwrap.kernel import files, idmap
from lxcwrap.model import reference as references
from lxcwrap.model.image import ImageConfig, Platform
from lxcwrap.model.reference import Reference
from lxcwrap.storage import driver as drivers
from lxcwrap.store import buildcache, layers, staging
from lxcwrap.store import images as stored
from lxcwrap.store.buildcache import CachedStep
from lxcwrap.store.database import Store
from lxcwrap.store.images import Image

if TYPE_CHECKING:
    from lxcwrap.storage.driver import Driver

EPOCH = "SOURCE_DATE_EPOCH"


@dataclass(frozen=True)
class Request:
    """What the user asked for.  ``context`` is a folder or ``-``; ``arguments`` are --build-arg's, with values."""

    context: str
    dockerfile: str = ""
    tags: tuple[str, ...] = ()
    arguments: tuple[tuple[str, str], ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    target: str = ""
    platform: str = ""
    network: str = "default"
    extra_hosts: tuple[str, ...] = ()
    use_cache: bool = True
    pull: bool = False


@dataclass(frozen=True)
class Built:
    """The image's ID and the names it got."""

    image_id: str
    tags: tuple[Reference, ...]


def build(store: Store, driver: Driver, request: Request, stdin: BinaryIO, report: Report) -> Built:
    """Build, and give the image its names.  Raises BuildError and what pulling raises; then there is no image."""
    tags = tuple(_tag(text) for text in request.tags)
    platform = _platform(request.platform)
    remains.sweep(store)
    try:
        with full_is_said(store.paths), layers.keeping(store), staging.directory(store.paths, "build") as place:
            os.chmod(place, 0o711)  # containers' roots pass through it
            with context.opened(request.context, request.dockerfile, stdin, place) as given:
                image_id = _Build(store, driver, request, platform, given, report, place).image()
    finally:
        remains.forget_steps(store.paths)
    for tag in tags:
        stored.tag(store, tag.canonical, image_id)
    layers.collect(store)
    return Built(image_id, tags)


def _tag(text: str) -> Reference:
    reference = references.parse(text)
    if reference.digest:
        raise UsageError(f"--tag {text}: a tag cannot have a digest", exit_code=1)
    return reference.with_default_tag()


def _platform(text: str) -> Platform:
    try:
        platform = Platform.parse(text) if text else Platform.host()
    except ValueError as error:
        raise UsageError(f"--platform: {error}", exit_code=1) from None
    if platform.os != "linux":
        raise UsageError(f"--platform {text:.60}: images are built for linux only", exit_code=1)
    return platform


def _epoch(arguments: Mapping[str, str]) -> int | None:
    text = arguments.get(EPOCH) or os.environ.get(EPOCH, "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 11):  # as long as years have four digits
        raise UsageError(f"{EPOCH}={text!r:.40} is not a number of seconds", exit_code=1)
    return int(text)


class _Build:
    """One build: resolve, plan, execute, record."""

    def __init__(
        self,
        store: Store,
        driver: Driver,
        request: Request,
        platform: Platform,
        given: Context,
        report: Report,
        place: str,
    ) -> None:
        self.store = store
        self.driver = driver
        self.request = request
        self.platform = platform
        self.context = given
        self.report = report
        self.place = place
        self.arguments = dict(request.arguments)
        self.bases: dict[int, Base] = {}
        self.images: dict[str, Base] = {}
        self.parents: dict[int, Image] = {}  # the images behind the bases
        self.plans: dict[int, StagePlan] = {}

    def image(self) -> str:
        """Everything up to the image's ID."""
        dockerfile = self._dockerfile()
        target = dockerfile.target(self.request.target)
        self._plan(dockerfile, target)
        check_circles(self.plans, dockerfile.stages)
        self._warn_unused(dockerfile)
        epoch = _epoch(self.arguments)
        execution = self._execution(dockerfile, epoch)
        try:
            result = execution.execute(target.index)
            return self._record(self.plans[target.index], result, epoch)
        finally:
            execution.fingerprints.save()
            execution.nursery.wait()

    def _dockerfile(self) -> Dockerfile:
        number = self.report.start(f"[internal] load build definition from {self.context.name}")
        try:
            lines = parser.parse(self.context.text, self.context.name)
            dockerfile = stages.resolve(lines, self.arguments, self.request.target, Platform.host(), self.platform)
        except LxcwrapError as error:
            self.report.failed(number, error.message)
            raise
        self.report.done(number)
        return dockerfile

    # -- planning

    def _plan(self, dockerfile: Dockerfile, source: StageSource) -> StagePlan:
        """The plan of a stage and of all that it needs; stages that nobody needs have none."""
        if source.index in self.plans:
            return self.plans[source.index]
        if source.parent is not None:
            parent = self._plan(dockerfile, dockerfile.stages[source.parent])
            config, author, args = parent.config, parent.author, parent.args
        else:
            base = self._base(source)
            config, author, args = base.config.config, base.config.author, {}
        plan = plan_stage(dockerfile, source, config, author, self.arguments, Platform.host(), args)
        self.plans[source.index] = plan
        for index in sorted(plan.needs(dockerfile.stages)):
            self._plan(dockerfile, dockerfile.stages[index])
        for name, line in plan.images(dockerfile.stages).items():
            if name not in self.images:
                self.images[name] = self._loaded(name, source.platform, line, f"COPY --from={name}")[0]
        return plan

    def _base(self, source: StageSource) -> Base:
        if not source.base:
            base = Base(f"FROM {SCRATCH}", None, ImageConfig(platform=source.platform))
        else:
            base, self.parents[source.index] = self._loaded(
                source.base, source.platform, source.line, f"FROM {source.base}"
            )
        self.bases[source.index] = base
        return base

    def _loaded(self, name: str, platform: Platform, line: Line, title: str) -> tuple[Base, Image]:
        number = self.report.start(f"[internal] load metadata for {name}")
        try:
            image = self._resolve(name, platform, number)
        except LxcwrapError as error:
            self.report.failed(number, error.message)
            raise line.error(f"{title}: {error.message}", error.hint) from error
        self.report.done(number)
        return Base(title, image.chain_id, stored.config(self.store, image.id)), image

    def _resolve(self, name: str, platform: Platform, number: int) -> Image:
        """Here if it is (for the platform), else from its registry."""
        found = None if self.request.pull else images.find(self.store, name)
        if found and (not self._platform_matters(platform) or _matches(found, platform)):
            return found
        from lxcwrap.actions.build_pull import Pulled
        from lxcwrap.actions.pull import pull

        shown = Pulled(self.report, number)
        try:
            return pull(self.store, self.driver, references.parse(name), platform=platform, progress=shown)
        except LxcwrapError as error:
            if found:
                error.hint = error.hint or f"the one that is here is for {found.platform}, not {platform}"
            raise

    def _platform_matters(self, platform: Platform) -> bool:
        return bool(self.request.platform) or platform != self.platform

    def _warn_unused(self, dockerfile: Dockerfile) -> None:
        declared = {name for plan in self.plans.values() for name in plan.args} | set(dockerfile.outer)
        unused = sorted(set(self.arguments) - declared - PROXIES - {EPOCH} - set(dockerfile.platform))
        if unused:
            self.report.warn(f"one or more build-args {unused} were not consumed")

    # -- executing

    def _execution(self, dockerfile: Dockerfile, epoch: int | None) -> Execution:
        paths = self.store.paths
        settings = Settings(
            paths=paths,
            driver=self.driver,
            staging=self.place,
            id_base=self._id_base(),
            use_cache=self.request.use_cache,
            epoch=epoch,
            network=build_network.shared(paths, self.request.network, self.request.extra_hosts),
            network_mode=" ".join((self.request.network, *self.request.extra_hosts)),
        )
        remembered = f"{paths.root}/build/{cache.digest(self.context.tree.root)[7:23]}.json"
        return Execution(
            settings,
            dockerfile.stages,
            self.plans,
            self.bases,
            self.images,
            self.context.tree,
            Fingerprints(remembered),
            self.report,
        )

    def _id_base(self) -> int | None:
        """Host ids of root in RUN steps: the last range, which containers come to last; None: no user namespaces."""
        if drivers.no_user_namespaces(self.store, self.driver):
            return None
        first, count = idmap.subordinate_range()
        return first + (count - 1) * idmap.RANGE

    # -- the image

    def _record(self, plan: StagePlan, result: StageResult, epoch: int | None) -> str:
        number = self.report.start("exporting to image")
        labels = {**dict(plan.config.labels), **dict(self.request.labels)}
        config = replace(plan.config, labels=tuple(sorted(labels.items())))
        plan = replace(plan, config=config)
        facts = {"config": config.to_json(), "author": plan.author}
        key = cache.image_key(result.key, result.chain_id, facts, [line.created_by for line in result.history])
        known = buildcache.find(self.store, key) if self.request.use_cache else None
        created = str(known.facts["created"]) if known else timestamp(epoch)
        diff_ids = tuple(layer.diff_id for layer in layers.stack(self.store, result.chain_id))
        image_id = images.create_image(self.store, self._ancestor(plan), finish(plan, result, diff_ids, created))
        if not known:
            buildcache.add(self.store, [CachedStep(key, result.chain_id, {"created": created})])
        self.report.output(number, f"writing image {image_id} done\n".encode())
        for tag in self.request.tags:
            self.report.output(number, f"naming to {_tag(tag).canonical} done\n".encode())
        self.report.done(number)
        return image_id

    def _ancestor(self, plan: StagePlan) -> Image | None:
        """The image that the stage builds on, by way of other stages too."""
        source = plan.source
        while source.parent is not None:
            source = self.plans[source.parent].source
        return self.parents.get(source.index)


def _matches(image: Image, platform: Platform) -> bool:
    return Platform.parse(image.platform).matches(platform)


def clear_image_id(path: str) -> None:
    """Before a build with ``--iidfile``: a failed one must not leave another image's ID.  Raises UsageError."""
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        raise UsageError(f"--iidfile {path:.200}: there is no directory {folder:.200}", exit_code=1)
    if os.path.lexists(path) and not _is_device(path):
        os.unlink(path)


def write_image_id(path: str, image_id: str) -> None:
    """``--iidfile``."""
    if not _is_device(path):
        files.write_atomically(path, image_id.encode())
        return
    with open(path, "w", encoding="ascii") as stream:
        stream.write(image_id)


def _is_device(path: str) -> bool:
    """Whether it is there and no file: a pipe or /dev/null is written to, and stays."""
    return os.path.exists(path) and not os.path.isfile(path)
