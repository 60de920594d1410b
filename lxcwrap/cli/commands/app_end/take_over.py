"""lxcwrap app-end take-over."""

from __future__ import annotations

import click

from lxcwrap.cli.app import App, pass_app


@click.command()
@click.argument("new")
@click.argument("old", metavar="OLD|-")
@click.option("--name", required=True, help="What the new container is called from now on.")
@click.option("--publish", multiple=True, metavar="PORT", help="As run -p has it: [[IP:]PORT:]PORT[/PROTOCOL].")
@click.option("--alias", "aliases", multiple=True, metavar="NETWORK=ALIAS", help="A name that passes to it.")
@pass_app
def command(app: App, new: str, old: str, name: str, publish: tuple[str, ...], aliases: tuple[str, ...]) -> None:
    """Make a container serve in another's place."""
    from lxcwrap.actions.app_end import take_over
    from lxcwrap.cli.documents import plain_json
    from lxcwrap.model import run_flags

    wanted = tuple(dict.fromkeys(port for text in publish for port in run_flags.ports(text)))
    names: dict[str, tuple[str, ...]] = {}
    for text in aliases:
        network, alias = run_flags.pair(text, "--alias")
        names[network] = (*names.get(network, ()), alias)
    found = take_over.take_over(app.store, new, old, name, wanted, names)
    plain_json({"id": found.id, "name": found.name})
