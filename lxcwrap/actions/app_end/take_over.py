"""One container takes over from another: name, published ports and aliases, in one step.

A transaction changes what is stored; firewall, names and supervisors follow.  A take-over that was killed in between
is finished by the next one, and by whoever looks at the application's state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from lxcwrap.actions import ports, start
from lxcwrap.actions.app_end import drain, supervisors
from lxcwrap.errors import Conflict, NotFound, UsageError
from lxcwrap.kernel import lock
from lxcwrap.model.container import ContainerConfig, NetworkConfig, Port
from lxcwrap.model.names import check_hostname, check_name
from lxcwrap.network import addresses, default, links, publish, several, user
from lxcwrap.network import plan as plans
from lxcwrap.runtime import state
from lxcwrap.store import containers
from lxcwrap.store.containers import Container
from lxcwrap.store.database import Store

Aliases = Mapping[str, tuple[str, ...]]  # by network
_Change = Callable[[str, tuple[str, ...]], tuple[str, ...]]  # a network's name and the aliases there


def take_over(
    store: Store, new_word: str, old_word: str, name: str, wanted: tuple[Port, ...], aliases: Aliases
) -> Container:
    """Make the new container serve in the old one's place (``-``: there is none); it is then called ``name``.

    Run again with the same words it does nothing.  Raises NotFound, Conflict or UsageError; then nothing has changed.
    """
    check_name(name, "container", exit_code=1)
    for alias in (alias for known in aliases.values() for alias in known):
        check_hostname(alias)
    with lock.held(_lock(store)):
        _finish_all(store)
        new = _find_new(store, new_word)
        old = _find_old(store, old_word, new, name)
        after = _serving(new.config, wanted, aliases)
        if new.name == name and new.config == after:
            return new
        _check(store, new, old, name, after)
        with _claimed(store, *filter(None, (new, old))):
            _switch(store, new, old, name, after, aliases)
            _finish(store, new.id)
        return containers.resolve(store, new.id)


def finish_interrupted(store: Store) -> None:
    """Finish what was killed in between.  Does nothing while one is at work."""
    if not _pending(store):
        return
    try:
        with lock.held(_lock(store), wait=False):
            _finish_all(store)
    except lock.Busy:
        return


def _lock(store: Store) -> str:
    return f"{store.paths.run}/apps/.take-over"


@contextmanager
def _claimed(store: Store, *both: Container) -> Iterator[None]:
    """Nobody starts or edits them meanwhile."""
    try:
        for container in sorted(both, key=lambda one: one.id):
            ports.claim(store, container.id)
        yield
    finally:
        for container in both:
            ports.settled(container.id)


def _find_new(store: Store, word: str) -> Container:
    """By its incoming name, too, once it has another."""
    try:
        return containers.resolve(store, word)
    except NotFound:
        row = store.db.execute("SELECT container_id FROM take_overs WHERE incoming = ?", (word,)).fetchone()
        if not row:
            raise
        return containers.resolve(store, row["container_id"])


def _find_old(store: Store, word: str, new: Container, name: str) -> Container | None:
    """None for ``-``, and for one that the new container has taken over from already."""
    if word == "-":
        return None
    try:
        found = containers.resolve(store, word)
    except NotFound:
        if new.name != name:
            raise
        return None
    return found if found.id != new.id else None


def _serving(config: ContainerConfig, wanted: tuple[Port, ...], aliases: Aliases) -> ContainerConfig:
    known = {item.name for item in config.network.attachments}
    for name in aliases:
        if name not in known:
            raise NotFound(f"the container is not on network {name}, in which it is to have an alias")
    network = _with_aliases(config.network, lambda name, found: tuple(dict.fromkeys((*found, *aliases.get(name, ())))))
    return replace(config, network=replace(network, ports=wanted, publish_all=False))


def _retired(config: ContainerConfig, aliases: Aliases) -> ContainerConfig:
    network = _with_aliases(
        config.network, lambda name, found: tuple(alias for alias in found if alias not in aliases.get(name, ()))
    )
    return replace(config, network=replace(network, ports=(), publish_all=False))


def _with_aliases(network: NetworkConfig, change: _Change) -> NetworkConfig:
    if not network.attachments:
        return network
    more = tuple(replace(item, aliases=change(item.name, item.aliases)) for item in network.more)
    return replace(network, aliases=change(network.mode, network.aliases), more=more)


def _check(store: Store, new: Container, old: Container | None, name: str, after: ContainerConfig) -> None:
    holder = containers.find_name(store, name)
    if holder and holder.id not in (new.id, old.id if old else ""):
        raise containers.name_taken(store, name)
    if old and state.read(store.paths, old.id).live and not state.read(store.paths, new.id).live:
        raise Conflict(
            f"container {new.name} is not running: it cannot take over from {old.name}, which is",
            hint=f"start it: lxcwrap start {new.name}",
        )
    if after.network.ports and after.network.mode.startswith("container:"):
        raise UsageError("a container that shares another's network cannot publish ports")
    if after.network.ports and start.has_names(new):
        changed = replace(new, config=after)
        several.describe(store, changed, several.joined(store, changed))  # refuses what cannot be published


def _switch(
    store: Store, new: Container, old: Container | None, name: str, after: ContainerConfig, aliases: Aliases
) -> None:
    """The transaction, and the firewall's."""

    def record() -> None:
        if old:
            containers.reconfigure(store, old.id, _retired(old.config, aliases))
            _rename(store, old, f"{name}-old-{old.id[:12]}")
        containers.reconfigure(store, new.id, after)
        _rename(store, new, name)
        store.db.execute(
            "INSERT OR REPLACE INTO take_overs VALUES (?, ?, ?, 1)", (new.id, old.id if old else "", new.name)
        )

    live = state.read(store.paths, new.id).live
    if live and after.network.ports:
        default.ensure(store)  # its table has the maps of published ports
        links.open_hairpins(_hairpins(store, new))
    publish.hand_over(
        store,
        old.id if old else "",
        new.id,
        after.network.ports if live else (),
        addresses.way_in(store, new.id),
        record,
        is_running=lambda other: ports.is_held(store, other),
    )


def _rename(store: Store, container: Container, name: str) -> None:
    if container.name != name:
        containers.rename(store, container.id, name)


def _pending(store: Store) -> list[str]:
    return [row["container_id"] for row in store.db.execute("SELECT container_id FROM take_overs WHERE pending")]


def _finish_all(store: Store) -> None:
    """Those that were killed: the firewall may not know of them yet."""
    found = _pending(store)
    if not found:
        return
    definition = default.find(store)
    if definition:
        default.ensure(store)
        default.restore(store, definition)
    for container_id in found:
        _finish(store, container_id)


def _finish(store: Store, new_id: str) -> None:
    """What follows the transaction; as often as one likes."""
    row = store.db.execute("SELECT old_id FROM take_overs WHERE container_id = ?", (new_id,)).fetchone()
    new = containers.resolve(store, new_id)
    old = _if_known(store, row["old_id"])
    hairpins = _hairpins(store, new) if new.config.network.ports else ()
    links.open_hairpins(hairpins)
    supervisors.tell(store, new, old, {pair: plans.hairpin_item(pair)[1] for pair in hairpins})
    for container in filter(None, (new, old)):
        several.open_directly(store, container)
        if state.read(store.paths, container.id).live:
            several.announce(store, container, lambda other: ports.is_held(store, other))
    if old and not state.read(store.paths, old.id).live:
        drain.forget_datagrams(store, old)
    with store.transaction() as db:
        db.execute("UPDATE take_overs SET pending = 0 WHERE container_id = ?", (new_id,))


def _if_known(store: Store, container_id: str) -> Container | None:
    try:
        return containers.resolve(store, container_id) if container_id else None
    except NotFound:
        return None


def _hairpins(store: Store, container: Container) -> tuple[str, ...]:
    """The host's ends of its devices on bridges."""
    found = [plans.pair_name(container.id)]
    for item in container.config.network.attachments:
        definition = default.find(store) if item.name == default.NAME else user.find(store, item.name)
        if definition and definition.driver == "bridge":
            found.append(several.pair_name(container.id, definition))
    return tuple(found)
