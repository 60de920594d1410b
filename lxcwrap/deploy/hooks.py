"""Hooks: commands before and after a deployment, here or in a container of a service's new image."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lxcwrap.deploy import words
from lxcwrap.deploy.application import Hook
from lxcwrap.deploy.host import Host, HostFailed, run, together
from lxcwrap.deploy.plan import Plan
from lxcwrap.deploy.slot import Slots, last_lines, replicas_of
from lxcwrap.deploy.written import plain_of, to_json

BEFORE, AFTER = "before-deploy", "after-deploy"


@dataclass(frozen=True)
class Hooks:
    """``note`` records that one has been run.  ``done``: keys of those that an interrupted deployment has run."""

    slots: Slots
    plan: Plan
    images: Mapping[str, str]  # IDs by service
    done: tuple[str, ...]
    note: Callable[[str], None]

    def run(self, when: str) -> None:
        """Raises HostFailed, Unreachable."""
        for number, hook in enumerate(self.slots.application.hooks):
            if hook.when != when:
                continue
            key = self._key(number, hook)
            if key in self.done:
                self.slots.tell("here", hook.when, f"{hook.words[0]} has been run before the interruption")
            elif hook.service:
                self._in_container(hook, key)
                self.note(key)
            else:
                self._here(hook)
                self.note(key)

    def _key(self, number: int, hook: Hook) -> str:
        """Of this hook in this very deployment, begun once or again."""
        plain = [number, plain_of(hook), to_json(self.slots.application), dict(self.images)]
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:12]

    def _here(self, hook: Hook) -> None:
        self.slots.tell("here", hook.when, " ".join(hook.words))
        try:
            done = subprocess.run(
                hook.words, stdin=subprocess.DEVNULL, capture_output=True, timeout=hook.timeout, start_new_session=True
            )
        except OSError as error:
            raise HostFailed(f"the {hook.when} hook {hook.words[0]} cannot be run: {error.strerror}") from None
        except subprocess.TimeoutExpired:
            raise HostFailed(f"the {hook.when} hook {hook.words[0]} took more than {hook.timeout:g} s") from None
        for line in (done.stdout + done.stderr).decode(errors="replace").splitlines():
            self.slots.tell("here", hook.when, line)
        if done.returncode:
            raise HostFailed(f"the {hook.when} hook {hook.words[0]} ended with exit code {done.returncode}")

    def _in_container(self, hook: Hook, key: str) -> None:
        """Its container is the record of it: found again after an interruption, it is not run twice."""
        service = self.slots.application.service(hook.service)
        if not service:
            raise HostFailed(f"the {hook.when} hook is for {hook.service}, which is no service of this application")
        host = self._host_of(hook)
        name = self._name(key)
        self.slots.tell(host.name, hook.when, " ".join(hook.words))
        if host.run(("container", "inspect", name)).code:
            binds = words.binds(self.slots.application, service, self.slots.states[host.name])
            run(host, *words.once(self.slots.application.name, service, name, hook.words, binds))
        state = run(host, "container", "inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", name).decode().split()
        if state[0] == "created" or (state[0] == "exited" and state[1] != "0"):
            run(host, "start", name)
        code = int(run(host, "wait", name, timeout=hook.timeout).split()[0])
        for line in last_lines(host, name):
            self.slots.tell(host.name, hook.when, line)
        if code:
            raise HostFailed(
                f"{host.name}: the {hook.when} hook {hook.words[0]} ended with exit code {code}",
                hint=f"its container {name} is kept there for a look",
            )

    def _host_of(self, hook: Hook) -> Host:
        """Where a container of the service is, or will be."""
        for change in self.plan.changes:
            if change.service == hook.service and change.host in self.slots.hosts:
                return self.slots.hosts[change.host]
        for name, _ in replicas_of(self.slots.states, hook.service):
            return self.slots.hosts[name]
        return next(iter(self.slots.hosts.values()))

    def clear(self, *, others: bool = False) -> None:
        """Remove the containers of hooks; with ``others`` only those of deployments that were given up."""
        app = self.slots.application.name
        keep = {self._name(self._key(*item)) for item in enumerate(self.slots.application.hooks)} if others else set()

        def one(host: Host) -> None:
            line = ("ps", "-a", "--filter", f"label={words.HOOK}={app}", "--format", "{{.Names}}")
            for name in run(host, *line).decode().split():
                if name not in keep:
                    run(host, "rm", "-f", name)

        for name, error in together(self.slots.hosts.values(), one).items():
            if error:
                self.slots.tell(name, "hooks", f"not removed: {error.message}")

    def _name(self, key: str) -> str:
        return f"{self.slots.application.name}-hook-{key}"
