"""The three programs that are measured, each with a state of its own below one scratch directory."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path


class Peer:
    """One program: how it is called, started and cleaned up.  Commands are Docker's in all of them."""

    name = ""
    push_options: tuple[str, ...] = ()
    pull_options: tuple[str, ...] = ()

    def __init__(self, place: Path) -> None:
        self.place = place / self.name
        self.environment = dict(os.environ)

    def program(self) -> list[str]:
        raise NotImplementedError(self.name)

    def daemons(self) -> list[int]:
        """Processes that it keeps whether or not a container runs."""
        return []

    def start(self) -> None:
        self.place.mkdir(parents=True, exist_ok=True)

    def stop(self) -> None:
        self.stop_containers()

    def stop_containers(self) -> None:
        self.quietly("rm", "-f", *self.output("ps", "-aq").split())

    def version(self) -> str:
        return self.output("--version").strip()

    def run(self, *words: str) -> None:
        """Run one command to its end; a failure shows what it said."""
        done = subprocess.run([*self.program(), *words], capture_output=True, env=self.environment)
        if done.returncode:
            message = (done.stderr or done.stdout).decode(errors="replace").strip()[-2000:]
            raise SystemExit(f"benchmarks: {self.name} {' '.join(words)}: exit {done.returncode}\n{message}")

    def quietly(self, *words: str) -> None:
        subprocess.run([*self.program(), *words], capture_output=True, env=self.environment)

    def output(self, *words: str) -> str:
        done = subprocess.run([*self.program(), *words], capture_output=True, env=self.environment)
        return done.stdout.decode(errors="replace")

    def time(self, *words: str) -> float:
        """Seconds of wall time that one command takes."""
        begun = time.perf_counter()
        self.run(*words)
        return time.perf_counter() - begun

    def forget_images(self) -> None:
        """Remove every container and image, so that a pull fetches all of it."""
        self.quietly("rm", "-f", *self.output("ps", "-aq").split())
        self.quietly("rmi", "-f", *sorted(set(self.output("images", "-aq").split())))
        self.quietly("builder", "prune", "-af")


class Lxcwrap(Peer):
    name = "lxcwrap"

    def program(self) -> list[str]:
        return [os.environ.get("LXCWRAP_BIN", "/usr/local/bin/lxcwrap")]

    def start(self) -> None:
        super().start()
        self.environment["LXCWRAP_ROOT"] = str(self.place)


class Docker(Peer):
    """dockerd with its own containerd, data, socket and exec root; BuildKit builds."""

    name = "dockerd"
    options: tuple[str, ...] = ()

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        self.socket = f"unix://{self.place}/docker.sock"
        self.environment |= {"DOCKER_BUILDKIT": "1", "DOCKER_CONFIG": str(self.place / "config")}

    def program(self) -> list[str]:
        return ["/usr/bin/docker", "-H", self.socket]

    def daemons(self) -> list[int]:
        return [self.daemon.pid]

    def version(self) -> str:
        return subprocess.run(["dockerd", "--version"], capture_output=True, text=True).stdout.strip()

    def start(self) -> None:
        super().start()
        argv = ["dockerd", "-H", self.socket, "--data-root", f"{self.place}/data", "--exec-root", f"{self.place}/exec"]
        argv += ["--pidfile", f"{self.place}/pid", "--storage-driver", "overlay2", *self.options]
        with open(self.place / "log", "wb") as log:
            self.daemon = subprocess.Popen(argv, stdout=log, stderr=log, start_new_session=True)
        for _ in range(300):
            if not subprocess.run([*self.program(), "info"], capture_output=True, env=self.environment).returncode:
                break
            time.sleep(0.1)
        else:
            raise SystemExit(f"benchmarks: dockerd does not answer; see {self.place}/log")
        subprocess.run(["iptables", "-P", "FORWARD", "ACCEPT"], check=True)  # dockerd closes it for everybody else

    def stop(self) -> None:
        super().stop()
        self.daemon.send_signal(signal.SIGTERM)
        self.daemon.wait(timeout=60)


class Podman(Peer):
    name = "podman"
    push_options = ("--tls-verify=false",)
    pull_options = ("--tls-verify=false",)

    def program(self) -> list[str]:
        place = self.place
        options = ["--root", f"{place}/data", "--runroot", f"{place}/run", "--tmpdir", f"{place}/tmp"]
        return ["/usr/bin/podman", *options, "--runtime", "runc", "--cgroup-manager", "cgroupfs"]

    def start(self) -> None:
        super().start()
        # its own default limits may be above ours, which runc then refuses
        settings = self.place / "containers.conf"
        settings.write_text('[containers]\ndefault_ulimits = ["nofile=1024:4096", "nproc=1024:4096"]\n')
        self.environment["CONTAINERS_CONF"] = str(settings)


def remove(place: Path) -> None:
    """Take the scratch directory away, mounts first."""
    with open("/proc/self/mounts") as table:
        mounts = [line.split()[1] for line in table]
    for mount in sorted((mount for mount in mounts if mount.startswith(f"{place}/")), reverse=True):
        subprocess.run(["umount", "-l", mount], capture_output=True)
    shutil.rmtree(place, ignore_errors=True)


def all_peers(place: Path, names: Sequence[str]) -> list[Peer]:
    return [kind(place) for kind in (Docker, Podman, Lxcwrap) if kind.name in names]
