"""COPY and ADD: what a step takes, its digest, and how it gets into the rootfs; WORKDIR's directory too."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from lxcwrap.build import cache, download, unpack
from lxcwrap.build.download import Remote
from lxcwrap.build.steps import Copy, MakeDirectory
from lxcwrap.build.transfer import Attributes, Transfer, owner
from lxcwrap.build.tree import Found, Tree, is_wild
from lxcwrap.build.workspace import Workspace, prepare
from lxcwrap.errors import Corrupt, Unsafe
from lxcwrap.store import buildcache
from lxcwrap.store.buildcache import CachedStep

if TYPE_CHECKING:
    from lxcwrap.build.executor import StageWork


@dataclass(frozen=True)
class Item:
    """One thing to copy: a path of a tree, or a downloaded file; ``name`` is what it is called in a directory."""

    tree: Tree
    path: str
    name: str
    downloaded: bool = False


class Content:
    """What one COPY or ADD takes."""

    def __init__(self, work: StageWork, step: Copy) -> None:
        self.work = work
        self.step = step
        self.line = step.line
        self._remotes: dict[str, Remote] = {}
        self._exact = ""

    def key(self, *, exact: bool) -> str:
        """What decides about the cache.

        ``exact``: the digest of the files.  Otherwise, for COPY --from, which layers they are taken out of, which
        costs nothing to know.
        """
        if not exact and self.step.origin:
            return cache.digest("from", self._origin_chain(), self.step.sources)
        if not self._exact:
            self._exact = self._digest()
        return self._exact

    def transfer(self, workspace: Workspace) -> None:
        """Copy everything into the rootfs.  Raises BuildError, Corrupt, Unsafe or OSError."""
        step = self.step
        with workspace.mounted() as rootfs, self._items() as items:
            identity = owner(rootfs, step.owner, self.line) if step.owner else None
            transfer = Transfer(rootfs, self.line, Attributes(identity, step.mode))
            try:
                for item in items:
                    self._one(transfer, item, identity)
            finally:
                transfer.close()

    def _one(self, transfer: Transfer, item: Item, identity: tuple[int, int] | None) -> None:
        target = self.step.target
        if self.step.unpacks and not item.downloaded and unpack.is_archive(item.tree, item.path):
            directory = transfer.make_directory(target)
            try:
                unpack.unpack(item.tree, item.path, directory, identity)
            except (Corrupt, Unsafe) as error:
                raise self.line.error(f"ADD {item.path}: {error.message}", error.hint) from error
            finally:
                os.close(directory)
            return
        if item.downloaded and not target.endswith("/"):
            target = "/".join(transfer.place(target, item.name))
        elif item.downloaded:
            target += item.name
        transfer.copy(item.tree, item.path, item.name, target)

    def _digest(self) -> str:
        parts: list[str] = []
        with self._items(content=False) as items:
            for item in items:
                if item.downloaded:
                    remote = self._remotes[item.path]
                    parts.append(f"{item.name} {remote.digest} {remote.modified}")
                else:
                    parts.append(self.work.execution.fingerprints.of(item.tree, item.path, item.name))
        return cache.digest(*parts)

    # -- where the files are

    @contextmanager
    def _items(self, *, content: bool = True) -> Iterator[list[Item]]:
        """The sources found.  ``content`` False: what is downloaded need not be here, only be known."""
        with self._tree() as tree:
            items: list[Item] = []
            for source in self.step.sources:
                if self.step.unpacks and download.is_url(source):
                    items.append(self._download(source, content))
                    continue
                items += [Item(tree, one.path, one.name) for one in self._found(tree, source)]
            self._check_target(items)
            yield items

    def _found(self, tree: Tree, source: str) -> list[Found]:
        """A wildcard may fit nothing, as in BuildKit (``COPY package.json yarn.lock* ./``).  Raises BuildError."""
        try:
            found = tree.find(source)
        except FileNotFoundError as error:
            raise self._missing(tree, str(error.filename)) from None
        if not found and not is_wild(source):
            raise self._missing(tree, source)
        return found

    def _check_target(self, items: list[Item]) -> None:
        target = self.step.target
        if len(items) > 1 and not target.endswith("/"):
            raise self.line.error(f"several files need a directory as target: {target}/", "end the target with a slash")

    @contextmanager
    def _tree(self) -> Iterator[Tree]:
        if not self.step.origin:
            yield self.work.execution.context
            return
        settings = self.work.settings
        place = f"{settings.staging}/from-{os.urandom(6).hex()}"
        workspace = prepare(self.work.store, settings.driver, place, self._origin_chain(), None)
        with workspace.mounted() as rootfs:
            tree = Tree(rootfs)
            try:
                yield tree
            finally:
                tree.close()

    def _origin_chain(self) -> str | None:
        """The layers that COPY --from takes files out of; waits for the stage that makes them."""
        return self.work.origin_chain(self.step.origin)

    def _missing(self, tree: Tree, source: str) -> Exception:
        keyword = self.line.keyword
        if self.step.origin:
            return self.line.error(f"{keyword}: {source} is not in {self.step.origin}")
        unfiltered = Tree(tree.root)
        try:
            ignored = bool(unfiltered.find(source))
        finally:
            unfiltered.close()
        if ignored:
            return self.line.error(f"{keyword}: {source} is left out of the context by .dockerignore")
        return self.line.error(f"{keyword}: {source} is not in the context", "paths are relative to the build context")

    # -- downloads

    def _download(self, url: str, content: bool) -> Item:
        folder = f"{self.work.settings.staging}/download-{cache.download_key(url)[7:23]}-{self.work.number}"
        os.makedirs(folder, exist_ok=True)
        name = download.name_of(url, self.line) if self.step.target.endswith("/") else "download"
        path = f"{folder}/content"
        known = None if content else self._known(url)
        if not os.path.exists(path):
            remote = download.fetch(url, path, self.line, known)
            self._remotes[url] = remote
            if remote is not known:
                self._learn(url, remote)
        if not content:
            return Item(self.work.execution.context, url, name, downloaded=True)
        return Item(Tree(folder, is_context=True), "content", name, downloaded=True)

    def _known(self, url: str) -> Remote | None:
        row = buildcache.find(self.work.store, cache.download_key(url)) if self.work.settings.use_cache else None
        return Remote(**row.facts) if row else None

    def _learn(self, url: str, remote: Remote) -> None:
        buildcache.add(self.work.store, [CachedStep(cache.download_key(url), None, asdict(remote))])


def content(work: StageWork, step: Copy) -> Content:
    return Content(work, step)


def make_directory(step: MakeDirectory, workspace: Workspace) -> None:
    """WORKDIR.  Raises BuildError."""
    with workspace.mounted() as rootfs:
        identity = owner(rootfs, step.owner, step.line) if step.owner else None
        transfer = Transfer(rootfs, step.line, Attributes(identity))
        try:
            os.close(transfer.make_directory(step.path))
        finally:
            transfer.close()
