"""What goes with an application's last container: its networks, its secrets and, when asked for, its volumes."""

from __future__ import annotations

from collections.abc import Sequence

from lxcwrap.deploy.application import Application
from lxcwrap.deploy.fleet import observe
from lxcwrap.deploy.host import Host, run, together
from lxcwrap.deploy.slot import Tell
from lxcwrap.errors import LxcwrapError


def clear(hosts: Sequence[Host], application: Application, tell: Tell, *, volumes: bool) -> None:
    """Raises LxcwrapError for the first that cannot be removed, once all have been tried."""
    states = {state.name: state for state in observe(hosts, application)}
    own = {one.key for one in application.networks if not one.external}
    data = {one.key for one in application.volumes if not one.external} if volumes else set()

    def one(host: Host) -> None:
        state = states[host.name]
        for kind, names in (("network", own & set(state.networks)), ("volume", data & set(state.volumes))):
            for name in sorted(names):
                run(host, kind, "rm", name)
                tell(host.name, name, f"{kind} removed")
        if state.secrets:
            run(host, "app-end", "secret-rm", application.name)

    for result in together(hosts, one).values():
        if isinstance(result, LxcwrapError):
            raise result
