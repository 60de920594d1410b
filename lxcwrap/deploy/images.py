"""Images of an application: built here, and brought to the hosts that lack them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from lxcwrap.deploy.application import Application
from lxcwrap.deploy.host import Host, HostFailed, run, together
from lxcwrap.deploy.plan import Item
from lxcwrap.errors import LxcwrapError

_LONG = 3600.0  # seconds for a build, a pull or a copy

Say = Callable[[str, str, str], None]
Copier = Callable[[str, Sequence[Host]], None]  # brings an image of this machine to hosts


def build(here: Host, application: Application, say: Say) -> dict[str, str]:
    """Build what has a ``build`` section, on this machine; IDs by reference.  Raises HostFailed."""
    found: dict[str, str] = {}
    for service in application.services:
        if not service.build or service.image in found or service.pull == "never":
            continue
        say("here", service.name, f"building {service.image}")
        words = ("build", "--quiet", *service.build.words, service.build.context)
        result = here.run(words, service.build.dockerfile.encode(), _LONG)
        if result.code:
            said = "\n".join(result.err.strip().splitlines()[-20:])
            raise HostFailed(f"{service.name}: its image cannot be built: {said.removeprefix('lxcwrap: ')}")
        found[service.image] = identity(here, service.image)
    return found


def identity(here: Host, reference: str) -> str:
    """The ID of an image of this machine; '' when it has none of that name."""
    result = here.run(("image", "inspect", "-f", "{{.Id}}", reference))
    return result.out.decode().strip() if not result.code else ""


def is_from_here(here: Host, reference: str) -> bool:
    """Whether this machine has it, and no registry that is known."""
    result = here.run(("image", "inspect", "-f", "{{len .RepoDigests}}", reference))
    return not result.code and result.out.strip() == b"0"


class Images:
    """``built``: IDs by reference of those made here; ``wanted``: IDs that a rollback goes back to."""

    def __init__(
        self, here: Host | None, built: dict[str, str], wanted: dict[str, str], say: Say, copier: Copier
    ) -> None:
        self._here = here
        self._built = built
        self._wanted = wanted
        self._say = say
        self._copier = copier

    def bring(self, hosts: Iterable[Host], items: Sequence[Item]) -> None:
        """Raises HostFailed, Unreachable."""
        lacking = [item for item in items if item.kind == "image"]
        for reference in dict.fromkeys(item.name for item in lacking):
            names = {item.host for item in lacking if item.name == reference}
            self._bring(reference, [host for host in hosts if host.name in names])

    def _bring(self, reference: str, hosts: list[Host]) -> None:
        if reference in self._wanted:
            hosts = _left(hosts, lambda host: _tagged(host, self._wanted[reference], reference))
        if not hosts:
            return
        if self._here and (reference in self._built or is_from_here(self._here, reference)):
            self._copy(self._here, reference, hosts)
            return
        self._pull(reference, hosts)

    def pull(self, hosts: Sequence[Host], application: Application) -> None:
        """What has to be asked for at the registry each time."""
        for reference in {service.image for service in application.services if service.pull == "always"}:
            if reference not in self._built:
                self._pull(reference, list(hosts))

    def _pull(self, reference: str, hosts: list[Host]) -> None:
        def pull(host: Host) -> None:
            self._say(host.name, reference, "pulling")
            run(host, "pull", "--quiet", reference, timeout=_LONG)

        failed = {name: one for name, one in together(hosts, pull).items() if isinstance(one, LxcwrapError)}
        if not failed:
            return
        if self._here and identity(self._here, reference):
            self._copy(self._here, reference, [host for host in hosts if host.name in failed])
            return
        raise next(iter(failed.values()))

    def _copy(self, here: Host, reference: str, hosts: list[Host]) -> None:
        others = [host for host in hosts if host is not here]
        for host in others:
            self._say(host.name, reference, "copying from here")
        if others:
            self._copier(reference, others)


def _tagged(host: Host, image: str, reference: str) -> bool:
    return not host.run(("tag", image, reference)).code


def _left(hosts: list[Host], work: Callable[[Host], bool]) -> list[Host]:
    """Those for which it did not work."""
    done = together(hosts, work)
    return [host for host in hosts if done[host.name] is not True]
