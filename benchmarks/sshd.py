"""A real sshd on loopback, which lets root in with a key made for it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path


class Sshd:
    """``environment``: what a client's HOME must be; ``argv``: an ssh that takes a command."""

    def __init__(self, place: Path, environment: Mapping[str, str], program: str) -> None:
        """Commands there have that environment, and ``program`` as their lxcwrap."""
        self.place = place
        self._there = {**environment, "PATH": f"{place}/bin:{os.environ['PATH']}"}
        self._program = program
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.target = f"root@127.0.0.1:{self.port}"
        self.environment = {"HOME": f"{place}/home", "XDG_CONFIG_HOME": f"{place}/home/.config"}
        known = f"{place}/home/.ssh/known_hosts"
        self.argv = ["ssh", "-F", "none", "-p", str(self.port), "-i", f"{place}/home/.ssh/id_ed25519"]
        self.argv += ["-o", f"UserKnownHostsFile={known}", "-o", "LogLevel=ERROR", "root@127.0.0.1"]

    def start(self) -> None:
        folder = self.place / "home" / ".ssh"
        folder.mkdir(parents=True)
        (self.place / "bin").mkdir()
        (self.place / "bin" / "lxcwrap").symlink_to(self._program)
        for key in (folder / "id_ed25519", self.place / "host_key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        kind, blob = (self.place / "host_key.pub").read_text().split()[:2]
        (folder / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {kind} {blob}\n")
        settings = [
            f"Port {self.port}", "ListenAddress 127.0.0.1", f"HostKey {self.place}/host_key", "PidFile none",
            f"AuthorizedKeysFile {folder}/id_ed25519.pub", "PermitRootLogin yes", "StrictModes no", "UsePAM no",
            "SetEnv " + " ".join(f'{name}="{value}"' for name, value in self._there.items()),
        ]  # fmt: skip
        (self.place / "config").write_text("\n".join(settings) + "\n")
        os.makedirs("/run/sshd", exist_ok=True)
        sshd = shutil.which("sshd", path="/usr/sbin") or "sshd"
        with open(self.place / "log", "wb") as log:
            self._server = subprocess.Popen([sshd, "-D", "-e", "-f", self.place / "config"], stderr=log)
        for _ in range(100):
            if subprocess.run([*self.argv, "true"], capture_output=True).returncode == 0:
                return
            time.sleep(0.05)
        raise SystemExit(f"benchmarks: sshd does not answer; see {self.place}/log")

    def stop(self) -> None:
        self._server.send_signal(signal.SIGTERM)
        self._server.wait(timeout=20)
