"""What an application's containers print, side by side."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from lxcwrap.cli.app import App


def follow(
    app: App, name: str, services: Sequence[str] = (), words: Sequence[str] = ("--follow",), *, local: bool = False
) -> int:
    """Until all have been shown, or Ctrl-C."""
    from lxcwrap.cli.deployment import chosen, host_of
    from lxcwrap.cli.labelled import Labelled
    from lxcwrap.cli.replicas import on
    from lxcwrap.cli.several import report
    from lxcwrap.errors import LxcwrapError

    with chosen(app, local=local) as hosts:
        replicas, failed = on(hosts, name, services)
        width = max((len(one.name) for _, one in replicas), default=0)
        failures: list[LxcwrapError] = []

        def show(where: str, container: str, label: str) -> None:
            output = Labelled(f"{label:{width}}")
            try:
                host_of(hosts, where).follow(["logs", *words, container], output.out)
            except LxcwrapError as error:
                failures.append(error)
            finally:
                output.end()

        threads = [
            threading.Thread(target=show, args=(where, one.id, one.name), daemon=True) for where, one in replicas
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                thread.join(0.5)
    for error in failures:
        report(error)
    return int(bool(failed or failures))
