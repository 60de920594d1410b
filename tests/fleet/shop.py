"""An application to be deployed: a page that says its version, and who asks for it all the time."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.conftest import Result
from tests.fleet.conftest import Fleet

DOCKERFILE = """\
FROM busybox
ARG VERSION
RUN mkdir /www && echo "$VERSION" >/www/index.html
CMD ["httpd", "-f", "-p", "8080", "-h", "/www"]
"""
HEALTHY = "wget -q -O /dev/null http://127.0.0.1:8080/"


class Shop:
    """``hosts``: as x-lxcwrap has them.  What differs from the usual service is given to ``write``."""

    def __init__(self, fleet: Fleet, folder: Path, name: str, port: int, hosts: list[str]) -> None:
        self.fleet = fleet
        self.folder = folder
        self.name = name
        self.port = port
        self.hosts = hosts
        self.file = folder / "compose.yaml"
        (folder / "Dockerfile").write_text(DOCKERFILE)
        self.write()

    def write(self, version: str = "1", web: dict[str, Any] | None = None, **top: Any) -> None:
        update = {"parallelism": 0, "monitor": "500ms"}
        service = {
            "image": f"{self.name}-web:{version}",
            "build": {"context": ".", "args": {"VERSION": version}},
            "ports": [f"{self.port}:8080"],
            "healthcheck": {"test": HEALTHY, "interval": "300ms", "retries": 3},
            "stop_grace_period": "0s",
            "deploy": {"replicas": len(self.hosts), "placement": {"max_replicas_per_node": 1}, "update_config": update},
        }
        plain = {"name": self.name, "services": {"web": _merged(service, web or {})}}
        plain = _merged(plain, top)
        plain.setdefault("x-lxcwrap", {}).setdefault("hosts", self.hosts)
        self.file.write_text(yaml.safe_dump(plain, sort_keys=False))

    def deploy(self, *words: str, **options: Any) -> Result:
        return self.fleet("deploy", self.file, *words, timeout=120, **options)

    def ps(self, form: str = "{{.Host}} {{.Name}} {{.State}} {{.ID}}") -> list[str]:
        return self.fleet("app", "ps", "-p", self.name, "--format", form).lines

    def plan(self) -> Any:
        return json.loads(self.fleet("plan", self.file, "--format", "json").out)

    def page(self, host: str) -> str:
        return fetched(f"http://{self.fleet.addresses[host]}:{self.port}/")

    def down(self) -> None:
        self.fleet("down", "-p", self.name, "--volumes", timeout=120)

    def wipe(self) -> None:
        """No container of it is left."""
        script = f"lxcwrap rm -f $(lxcwrap ps -aq --filter label=lxcwrap.app={self.name})"
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda host: self.fleet.inside(host, "sh", "-c", script, check=False), self.hosts))

    @contextmanager
    def asked(self, *hosts: str) -> Iterator[Asking]:
        """Requests all the time while inside."""
        asking = Asking([f"http://{self.fleet.addresses[host]}:{self.port}/" for host in hosts])
        try:
            yield asking
        finally:
            asking.end()


def _merged(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    both = {key: _merged(value, second[key]) for key, value in first.items()
            if isinstance(value, dict) and isinstance(second.get(key), dict)}  # fmt: skip
    return {key: value for key, value in {**first, **second, **both}.items() if value is not None}


def fetched(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode().strip())


class Asking:
    """A new connection for each request; what came back, and what failed."""

    def __init__(self, urls: list[str]) -> None:
        self.answers: list[str] = []
        self.failures: list[str] = []
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(url,)) for url in urls for _ in range(2)]
        for thread in self._threads:
            thread.start()

    def _ask(self, url: str) -> None:
        while not self._over.is_set():
            try:
                self.answers.append(fetched(url))
            except (OSError, urllib.error.URLError) as error:
                self.failures.append(f"{time.strftime('%X')} {url}: {error}")
            time.sleep(0.005)

    def end(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
