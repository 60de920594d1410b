"""lxcwrap app-end release-put."""

from __future__ import annotations

import click

from lxcwrap.cli.app import App, pass_app


@click.command()
@click.argument("application")
@pass_app
def command(app: App, application: str) -> None:
    """Record a release, which comes as JSON on standard input."""
    import json
    import sys

    from lxcwrap.actions.app_end import releases
    from lxcwrap.cli.documents import plain_json
    from lxcwrap.errors import UsageError

    try:
        record = json.load(sys.stdin)
    except ValueError as error:
        raise UsageError(f"a release is JSON: {error}") from None
    if not isinstance(record, dict):
        raise UsageError("a release is an object in JSON")
    plain_json({"number": releases.put(app.store, application, record)})
