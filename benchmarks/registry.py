"""A real docker-registry on loopback, emptied between pushes."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path


class Registry:
    def __init__(self, place: Path) -> None:
        self.place = place
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.host = f"localhost:{self.port}"

    def start(self) -> None:
        self.place.mkdir(parents=True, exist_ok=True)
        config = self.place / "config.yml"
        config.write_text(
            "version: 0.1\n"
            "log: {level: error, accesslog: {disabled: true}}\n"
            f"storage: {{filesystem: {{rootdirectory: {self.place}/storage}}}}\n"
            f"http: {{addr: '127.0.0.1:{self.port}'}}\n"
        )
        with open(self.place / "log", "wb") as log:
            self.server = subprocess.Popen(["docker-registry", "serve", str(config)], stdout=log, stderr=log)
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise SystemExit(f"benchmarks: docker-registry does not answer; see {self.place}/log")

    def clear(self) -> None:
        shutil.rmtree(self.place / "storage", ignore_errors=True)

    def stop(self) -> None:
        self.server.send_signal(signal.SIGTERM)
        self.server.wait(timeout=20)
