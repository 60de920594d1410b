"""One container's supervised life: an event loop over its output, its clients and its end.

Loaded into supervisors.
"""

from __future__ import annotations

import json
import os
import select
import time
from collections.abc import Callable
from typing import Any

from lxcwrap.kernel import journal, mount, process
from lxcwrap.runtime import birth, executable, frames, launch, lxc, program, restart, statefile, users
from lxcwrap.runtime.client import Client, Clients
from lxcwrap.runtime.rootfs import CannotMount, Rootfs
from lxcwrap.runtime.streams import Streams

_SIGKILL = 9
_FOREVER = float("inf")
_LONGEST = 2**31 - 1  # milliseconds that poll takes
_HALTED = 2  # how an init ends that asked to halt or power off (pid_namespaces(7))
_LOOK = 1.0  # seconds between two looks at a container that does not run yet
_LOOKS = 5  # so often its first process is seen dead before liblxc is taken to wait in vain


class Failed(Exception):
    """The container cannot be started; ``code`` is the command's exit code."""

    def __init__(self, message: str, code: int = 125) -> None:
        super().__init__(message)
        self.code = code


class Session:
    """The supervisor's state."""

    def __init__(self, plan: dict[str, Any], channel: int) -> None:
        self.plan = plan
        self.poll = select.poll()
        self.handlers: dict[int, Callable[[int], None]] = {}
        self.clients = Clients(self)
        self.first = self.clients.add(channel, attached=True)
        self.rootfs = Rootfs(plan)
        self.streams = Streams(self)
        self.monitor: launch.Monitor | None = None
        self.child = 0
        self.init_pid = 0  # 0 also when it was too quick to be seen
        self.began = False
        self.looks = 0  # at a container whose first process is dead, though it does not run yet
        self.status: int | None = None  # the wait status of the init that ended
        self.restarts = restart.Counter(plan["restart"])
        self.wake: float | None = None  # monotonic time of the next start
        self.health: Any = None  # runtime.health.Health while a container with a check runs
        self.killing: float | None = None  # monotonic time at which patience with a stop signal ends
        self.oom = -1
        self.relays: list[Any] = []  # runtime.relay.Relay: ports on ::1
        self.group = ""
        self.stopping = False
        self.over = False
        self.state: dict[str, Any] = {"restart_count": 0, "oom_killed": False, "exit_code": 0, "status": ""}

    # --- the loop -------------------------------------------------------------------------------------------

    def run(self) -> None:
        """See the container through to its last end."""
        try:
            self._prepare()
            self._begin()
        except (Failed, CannotMount, users.UnknownUser, executable.CannotExecute, lxc.LxcError, OSError) as error:
            self._fail(error)
            return
        while not self.over:
            self._turn()
        self._finish()

    def watch(self, descriptor: int, handler: Callable[[int], None], events: int = select.POLLIN) -> None:
        self.handlers[descriptor] = handler
        self.poll.register(descriptor, events)

    def unwatch(self, descriptor: int) -> None:
        if self.handlers.pop(descriptor, None):
            self.poll.unregister(descriptor)

    def _turn(self) -> None:
        happened = self.poll.poll(self._timeout())
        if not happened and self._is_starting():
            self._look()
        for descriptor, events in happened:
            handler = self.handlers.get(descriptor)
            if handler:
                handler(events)
        now = time.monotonic()
        if self.wake is not None and now >= self.wake:
            self.wake = None
            self._again()
        if self.killing is not None and now >= self.killing:
            self.killing = None
            self.signal(_SIGKILL)
        if self.health and now >= self.health.due:
            self.health.tick()

    def _timeout(self) -> float | None:
        """Milliseconds until something is to be done; None: nothing is."""
        moments = [at for at in (self.wake, self.killing, self.health and self.health.due) if at is not None]
        if self._is_starting():
            moments.append(time.monotonic() + _LOOK)
        soonest = min(moments, default=_FOREVER)
        return None if soonest == _FOREVER else min(max(0.0, (soonest - time.monotonic()) * 1000 + 1), _LONGEST)

    def _is_starting(self) -> bool:
        return bool(self.child) and not self.began and self.status is None

    def _look(self) -> None:
        """End liblxc's process when it waits for a first process that was killed."""
        self.looks = self.looks + 1 if launch.is_stillborn(self.child) else 0
        if self.looks >= _LOOKS:
            os.kill(self.child, _SIGKILL)

    # --- beginning ------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        plan = self.plan
        lxc.load()
        if plan["run"]:
            self._listen()
        os.makedirs(f"{plan['lxcpath']}/{plan['name']}", 0o755, exist_ok=True)
        self.rootfs.mount()
        self.identity = launch.identify(plan, self.rootfs)
        self.rootfs.make_working_directory(plan["working_dir"], self.identity.uid, self.identity.gid)
        self.command_path = launch.check_command(plan, self.rootfs)
        if plan.get("read_only"):
            self.rootfs.seal()
        launch.relay_ports(self, plan.get("relays"))

    def _listen(self) -> None:
        from lxcwrap.kernel import lock

        os.makedirs(self.plan["run"], 0o711, exist_ok=True)
        self.lock = lock.take(self.plan["run"] + "/lock")
        self.clients.listen(self.plan["run"] + "/socket")

    def _begin(self) -> None:
        plan = self.plan
        self.status, self.init_pid, self.began, self.looks = None, 0, False, 0
        try:
            os.unlink(plan["directory"] + "/lxc.log")
        except FileNotFoundError:
            pass
        entered = self.rootfs.settled(plan["working_dir"])  # asked again: the last run may have put a link there
        self.started = launch.settled(plan, self.identity, self.command_path, entered)  # what liblxc is given
        self.monitor = launch.Monitor(plan["lxcpath"])
        self.watch(self.monitor.descriptor, self._heard)
        stdio, console = self.streams.open()
        self.streams.give(stdio, (plan["id_base"] or 0) + self.identity.uid)
        self.child = launch.start(self.started, self.identity, stdio, console)
        self.streams.started(stdio)
        self.child_fd = os.pidfd_open(self.child)
        self.watch(self.child_fd, self._child_ended)

    def _again(self) -> None:
        """Start once more, by the restart policy."""
        launch.clear(self.plan)
        try:
            self._begin()
        except OSError as error:
            self._over(str(error))

    # --- what liblxc says -----------------------------------------------------------------------------------

    def _heard(self, events: int) -> None:
        assert self.monitor
        for kind, value in self.monitor.messages():
            if kind == launch.STATE and value == launch.RUNNING:
                self._running()
            elif kind == launch.EXIT_CODE and self.began:
                self._ended(value)

    def _running(self) -> None:
        if self.began:
            return
        self.began = True
        self.init_pid = launch.init_of(self.child)
        self.restarts.started(time.monotonic())
        self.oom = self._watch_memory()
        self.group = self._own_group()
        self.state.update(pid=self.init_pid, started_at=time.time(), finished_at=0.0, error="")
        self._watch_health()
        self.save("running")
        self.event("start")
        self.clients.announce(frames.STARTED, {"pid": self.init_pid})
        if self.plan["bound"] and not self.clients.knows(self.first):  # who it is bound to left meanwhile
            self.signal(_SIGKILL)

    def _watch_health(self) -> None:
        if self.plan.get("health"):
            from lxcwrap.runtime import execute, health  # noqa: F401  before a check needs it

            self.health = health.Health(self)

    def health_changed(self, status: str, on_failure: str) -> None:
        """The checks' verdict is another now; ``on_failure``: none, kill, stop or restart when it is unhealthy."""
        self.state["health"] = status
        self.save(self.state["status"])
        self.event(f"health_status: {status}")
        self.clients.announce_health(status)
        if status != "unhealthy" or on_failure == "none" or not self.init_pid or self.status is not None:
            return
        if on_failure == "kill":
            self.signal(_SIGKILL)
            return
        if on_failure == "stop":
            self.stopping = True
        else:
            self.restarts.forced = True
        self.killing = time.monotonic() + self.plan["stop"]["timeout"] if self.plan["stop"]["timeout"] >= 0 else None
        self.signal(self.plan["stop"]["signal"])

    def _watch_memory(self) -> int:
        limits = ("memory.limit_in_bytes", "memory.max")
        if not self.init_pid or not any(key.endswith(limits) for key, _ in self.plan["items"]):
            return -1
        from lxcwrap.runtime import oom

        try:
            return oom.watch(self.init_pid, self.plan["name"])
        except OSError:  # it has ended already
            return -1

    def _own_group(self) -> str:
        """Where processes are looked for that the end of the init does not end; '' when there are none."""
        if not self.plan.get("foreign_pids"):
            return ""
        from lxcwrap.runtime import leftovers

        try:
            return leftovers.parent(self.child, self.plan["name"])
        except OSError:  # liblxc's process was killed, and the container with it
            return ""

    def _ended(self, status: int) -> None:
        """The init is gone; liblxc still takes the network down."""
        if self.status is not None:
            return
        if self.plan.get("system") and os.WIFSIGNALED(status) and os.WTERMSIG(status) == _HALTED:
            status = 0
        self.status, self.killing = status, None
        if self.health:
            self.health.close()
            self.health = None
        if self.oom >= 0:
            from lxcwrap.runtime import oom

            self.state["oom_killed"] = oom.happened(self.oom)
            self.oom = -1
            if self.state["oom_killed"]:
                self.event("oom")
        if self.group:
            from lxcwrap.runtime import leftovers

            leftovers.kill(self.group, self.plan["name"])
        self.streams.drain()
        self.state.update(exit_code=launch.exit_code(status), finished_at=time.time(), pid=0)
        duration = str(int(self.state["finished_at"] - self.state.get("started_at", 0)))
        self.event("die", exitCode=str(self.state["exit_code"]), execDuration=duration)
        if not self._restarts():
            self._report()

    def _restarts(self) -> bool:
        assert self.status is not None
        return self.restarts.again(launch.exit_code(self.status), self.stopping, time.monotonic()) is not None

    def _child_ended(self, events: int) -> None:
        self._heard(0)
        self.unwatch(self.child_fd)
        os.close(self.child_fd)
        _, ended = os.waitpid(self.child, 0)
        self.child = 0
        self.streams.close()
        assert self.monitor
        self.unwatch(self.monitor.descriptor)
        self.monitor.close()
        if self.status is None:
            self._child_killed()
        if self.status is None:
            self._child_failed(ended)
            return
        delay = self.restarts.again(launch.exit_code(self.status), self.stopping, time.monotonic())
        if delay is None:
            self.over = True
            return
        self.restarts.restarting(delay)
        self.state["restart_count"] = self.restarts.count
        self.save("restarting")
        self.wake = time.monotonic() + delay

    def _child_killed(self) -> None:
        """liblxc's process gave no exit status: the container, if it ran, was killed with it."""
        from lxcwrap.runtime import aftermath

        if self.began:
            self._ended(_SIGKILL)
        aftermath.clear(self.plan)

    def _child_failed(self, ended: int) -> None:
        """liblxc's process died or gave up before the container ran."""
        message = launch.last_error(self.plan["directory"] + "/lxc.log") or f"liblxc's process ended with {ended}"
        if self.looks >= _LOOKS:
            message = "its first process was killed while it was set up (is the memory limit too small?)"
        if any(key.startswith("lxc.prlimit.") for key, _ in self.plan["items"]):
            message += " (is a --ulimit too small? It holds while liblxc sets the container up)"
        self._over(f"the container could not be started: {message}")

    # --- the end --------------------------------------------------------------------------------------------

    def _report(self) -> None:
        self.save("exited")
        self.rootfs.unmount()
        self.clients.announce(frames.EXITED, self.state)

    def _over(self, message: str) -> None:
        self._fail(Failed(message))
        self.over = True

    def _fail(self, error: Exception) -> None:
        code = getattr(error, "code", 125)
        message = str(error) if not isinstance(error, OSError) else f"{error.filename or 'start'}: {error.strerror}"
        self.state.update(error=message, exit_code=code, finished_at=time.time(), pid=0)
        self.save("exited")
        self.clients.announce(frames.FAILED, {"message": message, "code": code})
        self.over = True

    def _finish(self) -> None:
        """Leave what follows to the client that is attached, or do it."""
        if self.plan["after"] and not self.clients.wait_done(self.first):
            os.set_inheritable(self.lock, True)  # nobody starts the container anew before that is done
            os.execv(self.plan["after"][0], self.plan["after"])

    def event(self, action: str, **attributes: str) -> None:
        """Say in the state's journal what happened."""
        known = self.plan.get("events")
        if known:
            journal.record(known["path"], "container", action, self.plan["name"], {**known["attributes"], **attributes})

    def save(self, status: str) -> None:
        """Write state.json."""
        if self.plan["run"]:
            self.state.update(status=status, supervisor=os.getpid())
            statefile.write(self.plan["directory"] + "/state.json", self.state)

    def received(self, client: Client, kind: bytes, payload: bytes) -> None:
        """A frame from a client."""
        if kind == frames.INPUT:
            self.streams.feed(payload)
        elif kind == frames.INPUT_END:
            self.streams.end_input()
        elif kind == frames.SIZE:
            rows, columns = payload.split()
            self.streams.resize(int(rows), int(columns), self.child)
        elif kind == frames.SIGNAL:
            self.signal(int(payload))
        elif kind == frames.STOPPING:
            self._stop_wanted()
        elif kind == frames.ATTACH:
            self.clients.attach(client, json.loads(payload))
        elif kind == frames.PAUSE:
            client.froze = payload == frames.FREEZE_FOR_ME
            self._pause(payload != frames.THAW)
        elif kind == frames.EXEC:
            from lxcwrap.runtime import entering

            entering.execute(self, client, json.loads(payload))
        elif kind == frames.UPDATE:
            self._update(client, json.loads(payload))
        elif kind == frames.BEAR:
            self._bear(client, payload.decode(errors="replace"))

    def _update(self, client: Client, wish: dict[str, Any]) -> None:
        """Another name, or other limits (which the client has set in the kernel) and another restart policy."""
        if "name" in wish:
            self.plan["events"]["attributes"]["name"] = wish["name"]
            self.clients.tell(client, frames.UPDATED, {})
            return
        if "handover" in wish:
            from lxcwrap.runtime import handover

            handover.happened(self, client, wish["handover"])
            return
        if "network" in wish:
            launch.rewire(self, wish)
        self.restarts.kind, self.restarts.limit = wish["restart"]["kind"], wish["restart"]["limit"]
        for one in (self.plan, self.started):
            kept = [item for item in one["items"] if item[0] not in wish["items"]]
            one["items"] = [*kept, *(list(item) for item in wish["items"].items())]
        if self.oom < 0 and self.began and self.status is None:
            self.oom = self._watch_memory()
        self.clients.tell(client, frames.UPDATED, {})

    def signal(self, number: int) -> None:
        """Send a signal to the container's init."""
        if self.init_pid and self.status is None:
            try:
                os.kill(self.init_pid, number)
                self.event("kill", signal=str(number))
            except ProcessLookupError:
                pass
            if number == _SIGKILL and self.state["status"] == "paused":
                self._pause(False)  # what is frozen does not die

    def _stop_wanted(self) -> None:
        self.stopping = True
        if self.wake is not None:  # between two runs
            self.wake = None
            self._report()
            self.over = True

    def _pause(self, paused: bool) -> None:
        from lxcwrap.runtime import freezer

        try:
            done = bool(self.init_pid) and freezer.change(self.init_pid, self.plan["name"], paused)
        except OSError:
            done = False
        if done:
            self.save("paused" if paused else "running")
            self.event("pause" if paused else "unpause")
        self.clients.announce(frames.PAUSED, {"done": done})

    def _bear(self, client: Client, identity: str) -> None:
        """Fork a supervisor for another container, for a client that runs the same program as this one."""
        descriptors, client.received_fds = client.received_fds, []
        if descriptors and identity == program.IDENTITY:
            birth.give(descriptors[0])
        for descriptor in descriptors:
            os.close(descriptor)

    def leave(self) -> None:
        """In a forked child: let go of everything whose closing means something."""
        self.clients.close_all()
        self.streams.close_copies()
        launch.leave_relays(self)
        if self.plan["run"]:
            os.close(self.lock)


def supervise() -> None:
    """Read the plan from descriptor 0 and see it through."""
    mount.unshare_mounts()
    received = frames.read_one(0)
    if received is None or received[0] != frames.PLAN:
        return
    plan: dict[str, Any] = json.loads(received[1])
    Session(plan, process.leave_stdin()).run()
