"""HTTP as registries need it: pooled connections, retries with back-off, redirects within the rules of trust.

The only user of urllib3 (1.26 or 2.x).  An Authorization header never follows a redirect to another origin.
Source: RFC 9110 (redirects, Retry-After), OCI distribution spec.
"""

from __future__ import annotations

import random
import re
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from lxcwrap import __version__
from lxcwrap.registry.failure import TEMPORARY, Refusal, Unreachable, joined, redacted
from lxcwrap.registry.trust import Registries, is_loopback

ATTEMPTS = 5
FIRST_PAUSE = 0.2  # seconds; doubles with every attempt
LONGEST_PAUSE = 30.0  # also for what Retry-After asks
CONNECT_TIMEOUT = 10.0  # seconds
READ_TIMEOUT = 60.0
REDIRECTS = 5
CHUNK = 1 << 20  # bytes read at a time

Body = bytes | Callable[[], Iterable[bytes]] | None


@dataclass(frozen=True)
class Request:
    """One request.  ``body`` as a callable is asked anew for each attempt; ``once``: it cannot be repeated."""

    method: str
    url: str
    headers: dict[str, str] = field(default_factory=dict)
    body: Body = None
    once: bool = False


class Response:
    """An answer whose body has not been read.  To be closed, or read to its end."""

    def __init__(self, raw: Any, url: str, close: Callable[[Any], None]) -> None:
        self._raw = raw
        self._close = close
        self.url = url
        self.status: int = raw.status

    def header(self, name: str) -> str:
        return str(self._raw.headers.get(name, ""))

    def headers(self, name: str) -> list[str]:
        """All values of a header that may come several times."""
        return [str(value) for value in self._raw.headers.getlist(name)]

    def chunks(self) -> Iterator[bytes]:
        """The body as sent.  Raises Unreachable when it is cut."""
        try:
            while chunk := self._raw.read(CHUNK, decode_content=False):
                yield chunk
        except _failures() as error:
            raise Unreachable(f"{redacted(self.url)}: the connection was cut ({_reason(error)})") from error

    def read(self, limit: int) -> bytes:
        """The body, at most ``limit`` bytes of it; then the connection is free again."""
        content = bytearray()
        for chunk in self.chunks():
            content += chunk[: limit - len(content)]
            if len(content) >= limit:
                break
        self.close()
        return bytes(content)

    def close(self) -> None:
        """Give the connection back if the body was read, else end it."""
        self._close(self._raw)


class Transport:
    """Requests on behalf of the registry at authority ``origin`` (host[:port])."""

    def __init__(self, registries: Registries, origin: str) -> None:
        self.registries = registries
        self.origin = origin
        self.stopped = threading.Event()
        self._open: set[Any] = set()
        self._pools: dict[tuple[bool, str], Any] = {}
        self._lock = threading.Lock()

    def send(self, request: Request, *, attempts: int = ATTEMPTS) -> Response:
        """The answer, whatever its status, after retries and redirects.  Raises Unreachable or Refusal."""
        for _ in range(REDIRECTS + 1):
            response = self._retry(request, 1 if request.once else attempts)
            target = _redirection(request, response)
            if not target:
                return response
            response.read(CHUNK)
            request = self._redirect(request, target)
        raise Refusal(f"registry {self.origin}: more than {REDIRECTS} redirects", status=310)

    def stop(self) -> None:
        """End all requests, also those that wait in other threads: they raise Unreachable."""
        self.stopped.set()
        with self._lock:
            for raw in self._open:
                _shut(raw)

    def restart(self) -> None:
        """After a stop: requests may be sent again."""
        self.stopped.clear()

    def _forget(self, raw: Any) -> None:
        with self._lock:
            self._open.discard(raw)
        raw.release_conn()
        raw.close()

    def _redirect(self, request: Request, target: str) -> Request:
        url = joined(request.url, target)
        if not self.registries.allows(url, self.origin):
            raise Refusal(f"registry {self.origin} redirects to {redacted(url)}, which is not trusted", status=310)
        if origin_of(url) == origin_of(request.url):
            return replace(request, url=url)
        kept = {name: value for name, value in request.headers.items() if name.lower() != "authorization"}
        return replace(request, url=url, headers=kept)

    def _retry(self, request: Request, attempts: int) -> Response:
        for attempt in range(1, attempts + 1):
            last = attempt == attempts
            asked = 0.0
            try:
                response = self._once(request)
            except Unreachable:
                if last:
                    raise
            else:
                if last or response.status not in TEMPORARY:
                    return response
                asked = _retry_after(response)
                response.read(CHUNK)
            self._pause(attempt, asked)
        raise AssertionError("attempts is at least 1")

    def _pause(self, attempt: int, asked: float) -> None:
        backoff = FIRST_PAUSE * 2 ** (attempt - 1) * random.uniform(0.8, 1.2)
        if self.stopped.wait(min(max(backoff, asked), LONGEST_PAUSE)):
            raise Unreachable(f"registry {self.origin}: stopped")

    def _once(self, request: Request) -> Response:
        body = request.body() if callable(request.body) else request.body
        if self.stopped.is_set():
            raise Unreachable(f"registry {self.origin}: stopped")
        chunked = callable(request.body) and "Content-Length" not in request.headers
        headers = {"User-Agent": f"lxcwrap/{__version__}", **request.headers}
        try:
            raw = self._pool(request.url).request(
                request.method, request.url, headers=headers, body=body, chunked=chunked, redirect=False,
                retries=False, preload_content=False, enforce_content_length=True,
            )  # fmt: skip
        except _failures() as error:
            raise self._unreachable(request.url, error) from error
        with self._lock:
            self._open.add(raw)
        return Response(raw, request.url, self._forget)

    def _unreachable(self, url: str, error: Exception) -> Unreachable:
        reason = _reason(error)
        hint = ""
        if "CERTIFICATE" in reason.upper():
            hint = "add its authority to the host's certificates, or list it as insecure in registries.yaml"
        return Unreachable(f"registry {self.origin}: {redacted(url)} cannot be reached: {reason}", hint=hint)

    def _pool(self, url: str) -> Any:
        parts = urlsplit(url)
        checked = not self.registries.is_insecure(parts.netloc)
        proxy = "" if is_loopback(parts.netloc) else _proxy(parts.scheme, parts.netloc)
        with self._lock:
            if (checked, proxy) not in self._pools:
                self._pools[checked, proxy] = _new_pool(checked, proxy)
            return self._pools[checked, proxy]


def _shut(raw: Any) -> None:
    """Wake a thread that reads this answer."""
    sock = getattr(raw.connection, "sock", None)
    if sock is not None:
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


def origin_of(url: str) -> tuple[str, str, int]:
    """Scheme, host and port."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def _new_pool(checked: bool, proxy: str) -> Any:
    import ssl

    import urllib3

    options: dict[str, Any] = {
        "num_pools": 8,
        "maxsize": 8,
        "timeout": urllib3.Timeout(connect=CONNECT_TIMEOUT, read=READ_TIMEOUT),
    }
    if checked:
        options["ssl_context"] = ssl.create_default_context()
    else:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        options["cert_reqs"] = "CERT_NONE"
    return urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)


def _proxy(scheme: str, authority: str) -> str:
    """The proxy that the environment names (https_proxy, no_proxy), as every HTTP client reads it."""
    from urllib.request import getproxies, proxy_bypass

    return "" if proxy_bypass(authority) else getproxies().get(scheme, "")


def _failures() -> tuple[type[Exception], ...]:
    import http.client

    import urllib3

    return (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError)


def _reason(error: Exception) -> str:
    """The innermost useful words of urllib3's nested errors."""
    reason = getattr(error, "reason", None) or (error.args[-1] if error.args else error)
    while isinstance(reason, Exception) and not isinstance(reason, OSError) and reason.args:
        reason = reason.args[-1]
    if isinstance(reason, OSError) and reason.strerror:
        reason = reason.strerror
    text = " ".join(str(reason).split())
    if "Failed to establish a new connection: " in text:
        text = text.partition("Failed to establish a new connection: ")[2]
    return re.sub(r"^\[Errno -?\d+\] ", "", text)[:300]


def _redirection(request: Request, response: Response) -> str:
    if response.status in (301, 302, 303, 307, 308) and request.method in ("GET", "HEAD"):
        return response.header("Location")
    return ""


def _retry_after(response: Response) -> float:
    """Seconds that Retry-After asks for; its date form counts as not said."""
    text = response.header("Retry-After")
    return float(text) if text.isascii() and text.isdigit() else 0.0
