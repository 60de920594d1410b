"""Release records: what was deployed, when, by whom, and how it ended.  Every host that took part keeps them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lxcwrap.deploy.application import Application, Content, Source
from lxcwrap.deploy.host import Host, all_of, ask, run, together
from lxcwrap.deploy.written import from_json, to_json
from lxcwrap.errors import LxcwrapError, NotFound

STARTED, DONE, FAILED, ROLLED_BACK = "started", "done", "failed", "rolled-back"
_KNOWN = {"number", "time", "ended", "who", "why", "status", "application", "images", "hosts", "hooks", "places"}


@dataclass(frozen=True)
class Release:
    """``images``: IDs by service.  ``hosts``: names of those that took part.  ``hooks``: those that were run."""

    number: int
    who: str
    why: str
    application: Application
    status: str = STARTED
    time: float = 0
    ended: float = 0
    images: Mapping[str, str] = field(default_factory=dict)
    hosts: tuple[str, ...] = ()
    hooks: tuple[str, ...] = ()
    places: tuple[tuple[str, int, str], ...] = ()  # service, slot and host, at its end

    def to_json(self) -> dict[str, Any]:
        return {
            "number": self.number, "time": self.time, "ended": self.ended, "who": self.who, "why": self.why,
            "status": self.status, "application": to_json(self.application), "images": dict(self.images),
            "hosts": list(self.hosts), "hooks": list(self.hooks),
            "places": [list(place) for place in self.places],
        }  # fmt: skip

    @classmethod
    def from_json(cls, plain: dict[str, Any], where: str) -> Release:
        """Raises Corrupt."""
        known = {key: value for key, value in plain.items() if key in _KNOWN}
        known |= {key: tuple(known.get(key, ())) for key in ("hosts", "hooks")}
        known["places"] = tuple((str(a), int(b), str(c)) for a, b, c in known.get("places", ()))
        number = known["number"]
        application = from_json(known["application"], f"{where}, release {number}")
        return cls(**{**known, "application": _without_orders(application)})


def _without_orders(application: Application) -> Application:
    """A record comes from a host: what it names of this machine (files, variables, commands) is not read or run."""

    def there(content: Content) -> Content:
        return (
            content
            if content.source is Source.INLINE
            else replace(content, source=Source.EXTERNAL, value="", command=())
        )

    return replace(
        application,
        secrets=tuple(map(there, application.secrets)),
        configs=tuple(map(there, application.configs)),
        hooks=tuple(hook for hook in application.hooks if hook.service),
    )


def put(hosts: Iterable[Host], release: Release) -> None:
    """Record it, or how it goes.  Raises HostFailed, Unreachable."""
    text = json.dumps(release.to_json()).encode()
    all_of(hosts, lambda host: run(host, "app-end", "release-put", release.application.name, stdin=text))


def put_where_possible(hosts: Iterable[Host], release: Release) -> dict[str, LxcwrapError]:
    """As ``put``; why it could not be, by host."""
    text = json.dumps(release.to_json()).encode()
    done = together(hosts, lambda host: run(host, "app-end", "release-put", release.application.name, stdin=text))
    return {name: error for name, error in done.items() if isinstance(error, LxcwrapError)}


@dataclass(frozen=True)
class Records:
    """A release and the hosts that have a record of it."""

    release: Release
    hosts: tuple[str, ...]


def all_records(hosts: Iterable[Host], app: str) -> list[Records]:
    """Oldest first.  Raises HostFailed, Unreachable."""
    return _merged(all_of(hosts, lambda host: _read(host, app)))


def records_where_possible(hosts: Iterable[Host], app: str) -> tuple[list[Records], list[LxcwrapError]]:
    """As ``all_records`` of the hosts that answer; why others do not."""
    answers = together(hosts, lambda host: _read(host, app))
    found = {name: answer for name, answer in answers.items() if not isinstance(answer, LxcwrapError)}
    return _merged(found), [answer for answer in answers.values() if isinstance(answer, LxcwrapError)]


def _read(host: Host, app: str) -> list[Release]:
    answer = ask(host, "app-end", "releases", app)
    found = answer["releases"] if isinstance(answer, dict) else answer
    return [Release.from_json(plain, host.name) for plain in found]


def _merged(found: Mapping[str, list[Release]]) -> list[Records]:
    """Of records that differ the one that ended last counts."""
    merged: dict[int, Records] = {}
    for name, releases in found.items():
        for release in releases:
            known = merged.get(release.number)
            newest = release if not known or release.ended > known.release.ended else known.release
            merged[release.number] = Records(newest, (*(known.hosts if known else ()), name))
    return [merged[number] for number in sorted(merged)]


def wanted(records: list[Records], app: str, number: int = 0) -> Release:
    """The one of that number, or the last that was completed (0).  Raises NotFound."""
    for one in reversed(records):
        if one.release.number == number or (not number and one.release.status == DONE):
            return one.release
    what = f"release {number}" if number else "completed release"
    raise NotFound(f"{app} has no {what} on these hosts", hint="lxcwrap releases shows them")


def before(records: list[Records], app: str) -> Release:
    """The last completed one before the last completed one.  Raises NotFound."""
    done = [one.release for one in records if one.release.status == DONE]
    failed_since = bool(records and done and records[-1].release.status in (FAILED, STARTED))
    if failed_since:
        return done[-1]  # what was begun after it was never completed
    if len(done) < 2:
        raise NotFound(f"{app} has no earlier release to go back to", hint="lxcwrap releases shows them")
    return done[-2]


def now() -> float:
    return round(time.time(), 3)
