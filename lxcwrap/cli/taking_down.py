"""``down``: an application's containers first, then what was theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lxcwrap.cli.app import App

if TYPE_CHECKING:
    from lxcwrap.deploy.application import Application, Network, Volume
    from lxcwrap.deploy.release import Records


def take_down(app: App, name: str, *, volumes: bool, quiet: bool) -> int:
    from lxcwrap.cli.deployment import Lines, chosen, finish, interruptible, who
    from lxcwrap.deploy import release, removal
    from lxcwrap.deploy.application import Application
    from lxcwrap.deploy.deployment import Deployment, Wish

    with chosen(app) as found, interruptible(found) as stopping:
        say = Lines([host.name for host in found.hosts], quiet=quiet)
        known = _described(release.all_records(found.hosts, name), name)
        why = "down --volumes" if volumes else "down"
        wish = Wish(Application(name), why, who(), fresh=False, may_roll_back=False)
        report = Deployment(found.hosts, found.here, say, stopping, found.copier).carry_out(wish)
        if not report.outcome.failures:
            removal.clear(found.hosts, known, say, volumes=volumes)
    return finish(name, report)


def _described(records: list[Records], name: str) -> Application:
    """With all networks and volumes that its releases have had."""
    from lxcwrap.deploy.application import Application

    networks: dict[str, Network] = {}
    volumes: dict[str, Volume] = {}
    for one in records:
        networks |= {network.key: network for network in one.release.application.networks}
        volumes |= {volume.key: volume for volume in one.release.application.volumes}
    return Application(name, networks=tuple(networks.values()), volumes=tuple(volumes.values()))
