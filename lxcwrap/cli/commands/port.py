"""lxcwrap port."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from lxcwrap.cli.app import App, pass_app

if TYPE_CHECKING:
    from lxcwrap.model.container import Port

group = "container"

COLUMNS = (("CONTAINER", "Container"), ("PORT", "Port"), ("REACHED FROM", "From"))
_WIDTH = 100  # columns of the report, ...
_PORT = 40  # ... and of a port in it

EXAMPLES = """\b
Examples:
  lxcwrap port web
  lxcwrap port web 80/tcp
  lxcwrap port --audit
  lxcwrap port --audit --format json web api
"""


@click.command(epilog=EXAMPLES)
@click.argument("names", nargs=-1, metavar="CONTAINER [PRIVATE_PORT[/PROTO]]")
@click.option("--audit", is_flag=True, help="From where the ports of all (or the named) containers are reached.")
@click.option(
    "--format", "template", default="", metavar="TEMPLATE", help="With --audit: table, json or a Go template."
)
@pass_app
def command(app: App, names: tuple[str, ...], audit: bool, template: str) -> None:
    """List a container's published ports, or where one of them is published.

    With --audit it tries who reaches the ports of containers that run: packets are sent in a copy of this host's
    network and firewall, and nothing on the host is touched.
    """
    from lxcwrap.errors import UsageError

    if audit:
        _audit(app, names, template)
        return
    if template:
        raise UsageError("--format goes with --audit", exit_code=1)
    if not names:
        raise click.UsageError("Missing argument 'CONTAINER'.")
    if len(names) > 2:
        raise click.UsageError(f"Got unexpected extra argument ({names[2]})")
    _list(app, names[0], names[1] if len(names) > 1 else "")


def _list(app: App, container: str, private_port: str) -> None:
    from lxcwrap.actions import ports as holders
    from lxcwrap.errors import NotFound
    from lxcwrap.network import publish
    from lxcwrap.store import containers

    found = containers.resolve(app.store, container)
    holders.release_dead(app.store)
    ports = publish.published(app.store, found.id)
    if not private_port:
        for port in ports:
            click.echo(f"{port.container_port}/{port.protocol} -> {_shown(port)}")
        return
    number, protocol = _parse(private_port)
    chosen = [port for port in ports if (port.container_port, port.protocol) == (number, protocol)]
    if not chosen:
        raise NotFound(f"no public port '{number}/{protocol}' published for {container}")
    for port in chosen:
        click.echo(_shown(port))


def _shown(port: Port) -> str:
    host = f"[{port.host_ip}]" if ":" in port.host_ip else port.host_ip
    return f"{host}:{port.host_port}"


def _parse(text: str) -> tuple[int, str]:
    from lxcwrap.errors import UsageError

    number, _, protocol = text.partition("/")
    if not number.isascii() or not number.isdigit() or protocol not in ("", "tcp", "udp", "sctp"):
        raise UsageError(f"{text!r:.40} is not a port such as 80 or 53/udp", exit_code=1)
    return int(number), protocol or "tcp"


def _audit(app: App, names: tuple[str, ...], template: str) -> None:
    from lxcwrap.actions import audit
    from lxcwrap.cli import output

    found = audit.run(app.store, names)
    if template.strip() in ("", "table"):
        output.write_lines(_report(found.rows, found.problems))
    else:
        output.show(found.rows, COLUMNS, template=template)


def _report(rows: list[dict[str, Any]], problems: tuple[str, ...]) -> list[str]:
    """The table, and below it what there is to say about some of its lines; nothing wider than a page."""
    import textwrap

    from lxcwrap.cli.output import aligned, shortened
    from lxcwrap.cli.terminal import printable

    cells = [[shortened(printable(row["Container"]), 24), row["Port"], row["From"]] for row in rows]
    left = sum(max([len(row[at]) for row in cells if len(row[at]) <= _PORT] + [10]) + 3 for at in (0, 1))
    lines = [[header for header, _ in COLUMNS]]
    for name, port, text in cells:
        parts = textwrap.wrap(text, _WIDTH - left, break_on_hyphens=False) or [""]
        if len(port) > _PORT:  # a long IPv6 address has its line alone
            lines.append([name, port])
            name = port = ""
        lines.append([name, port, parts[0]])
        lines += [["", "", part] for part in parts[1:]]
    about: dict[str, list[str]] = {}
    for row in rows:
        for note in row["Notes"]:
            about.setdefault(note, []).append(f"{printable(row['Container'])} {row['Port']}")
    said = [f"{', '.join(places)}: {note}" for note, places in about.items()]
    said += [f"cannot tell: {problem}" for problem in problems]
    return aligned(lines) + [line for text in said for line in ("", *_paragraph(text))]


def _paragraph(text: str) -> list[str]:
    import textwrap

    return textwrap.wrap(text, _WIDTH, break_on_hyphens=False, break_long_words=False)
