"""What every command gets: the state root, opened when it is first needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lxcwrap.model.paths import DEFAULT_ROOT, Paths

if TYPE_CHECKING:
    from lxcwrap.store.database import Store


class App:
    """The global options of one command line.  ``store`` opens the state on first use.

    ``host``: what -H says, to commands that drive hosts themselves; ``given``: the options to be passed on to those.
    """

    def __init__(
        self,
        root: str | None,
        storage_driver: str | None,
        debug: bool,
        host: str = "",
        given: tuple[str, ...] = (),
    ) -> None:
        self.paths = Paths(root or DEFAULT_ROOT)
        self.storage_driver = storage_driver
        self.debug = debug
        self.host = host
        self.given = given
        self._store: Store | None = None

    @property
    def store(self) -> Store:
        if self._store is None:
            from lxcwrap.store.database import Store

            self._store = Store(self.paths)
        return self._store


pass_app = click.make_pass_decorator(App)
