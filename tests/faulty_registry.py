"""A small real registry over HTTP that can be told to misbehave: each fault is what a broken or hostile one does."""

from __future__ import annotations

import base64
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from tests.image_files import Image

Fault = Callable[["Handler"], bool]  # True: it has answered


@dataclass
class Seen:
    """A request as it came."""

    method: str
    path: str
    authorization: str
    range: str


@dataclass
class Faulty:
    """What it serves and how it fails; ``host`` is HOST:PORT."""

    host: str
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[tuple[str, str], tuple[str, bytes]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    token: str = ""  # bearer token that is asked for; '' asks for none
    login: str = ""  # user:password that the token's realm asks for; '' gives it to anybody
    realm: str = ""  # where tokens are to be had, when not here
    ranges: bool = True

    def add(self, name: str, tag: str, image: Image) -> None:
        self.blobs |= image.blobs
        for digest, content in image.blobs.items():
            if content.startswith(b"{") and b"schemaVersion" in content:
                kind = str(json.loads(content)["mediaType"])
                self.manifests[name, digest] = (kind, content)
        self.manifests[name, tag] = (image.media_type, image.blobs[image.manifest])

    def paths(self, word: str) -> list[str]:
        return [seen.path for seen in self.seen if word in seen.path]


class Handler(BaseHTTPRequestHandler):
    """The distribution API's reading half, and a token server."""

    protocol_version = "HTTP/1.1"
    faulty: Faulty

    def log_message(self, format: str, *args: object) -> None: ...

    def do_GET(self) -> None:
        self.answer_request()

    def do_HEAD(self) -> None:
        self.answer_request()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.answer_request()

    def answer_request(self) -> None:
        state = self.faulty
        header = self.headers.get
        state.seen.append(Seen(self.command, self.path, header("Authorization", ""), header("Range", "")))
        if any(fault(self) for fault in list(state.faults)):
            return None
        if self.path.startswith("/token"):
            return self.give_token()
        if state.token and header("Authorization", "") != f"Bearer {state.token}":
            realm = state.realm or f"http://{state.host}/token"
            challenge = f'Bearer realm="{realm}",service="test, service",scope="repository:x:pull"'
            body = b'{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}'
            return self.answer(401, body, {"WWW-Authenticate": challenge})
        return self.serve()

    def serve(self) -> None:
        state = self.faulty
        if self.path == "/v2/":
            return self.answer(200, b"{}")
        match = re.fullmatch(r"/v2/(.+)/(manifests|blobs)/([^/]+)", self.path)
        if match and match[2] == "manifests" and (match[1], match[3]) in state.manifests:
            kind, content = state.manifests[match[1], match[3]]
            return self.answer(200, content, {"Content-Type": kind})
        if match and match[2] == "blobs" and match[3] in state.blobs:
            return self.give_blob(state.blobs[match[3]])
        return self.answer(404, b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}')

    def give_blob(self, content: bytes) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if asked and self.faulty.ranges:
            start = int(asked[1])
            what = f"bytes {start}-{len(content) - 1}/{len(content)}"
            return self.answer(206, content[start:], {"Content-Range": what})
        return self.answer(200, content)

    def give_token(self) -> None:
        state = self.faulty
        wanted = "Basic " + base64.b64encode(state.login.encode()).decode()
        if state.login and self.headers.get("Authorization", "") != wanted:
            return self.answer(401, b'{"details":"incorrect username or password"}')
        assert parse_qs(urlsplit(self.path).query)["service"] == ["test, service"]
        return self.answer(200, json.dumps({"token": state.token, "expires_in": 300}).encode())

    def answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def cut(self, body: bytes, length: int) -> None:
        """Promise ``length`` bytes, send these, and hang up."""
        self.send_response(200)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True


@contextmanager
def running(address: str = "127.0.0.1") -> Iterator[Faulty]:
    """One on a free port of a loopback address, until the end."""
    server = ThreadingHTTPServer((address, 0), Handler)
    server.daemon_threads = True
    state = Faulty(f"{address}:{server.server_address[1]}")
    server.RequestHandlerClass = type("Serving", (Handler,), {"faulty": state})
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def status(
    word: str, code: int, body: bytes = b"", *, times: int = 1000, headers: dict[str, str] | None = None
) -> Fault:
    """Answers the first ``times`` requests whose path holds ``word`` with this."""
    left = [times]

    def fault(handler: Handler) -> bool:
        if word not in handler.path or not left[0]:
            return False
        left[0] -= 1
        handler.answer(code, body, headers)
        return True

    return fault


def cuts(digest: str, content: bytes, after: int, *, times: int = 1000) -> Fault:
    """Hangs up ``after`` bytes of a blob, whatever range was asked for."""
    left = [times]

    def fault(handler: Handler) -> bool:
        if digest not in handler.path or not left[0]:
            return False
        left[0] -= 1
        handler.cut(content[:after], len(content))
        return True

    return fault
