"""ADD from a URL: downloaded when the server says that it changed, known by its digest."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from lxcwrap import __version__
from lxcwrap.build.line import Line

TIMEOUT = 60.0  # seconds that a server may be silent
LIMIT = 64 << 30  # bytes
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Remote:
    """What is known of a URL's content.  ``modified`` in seconds since the epoch, 0 when the server does not say."""

    digest: str
    etag: str = ""
    last_modified: str = ""
    modified: float = 0.0


def is_url(source: str) -> bool:
    return source.startswith(("http://", "https://"))


def name_of(url: str, line: Line) -> str:
    """The file name that a URL ends with.  Raises BuildError."""
    from urllib.parse import unquote, urlsplit

    try:
        name = os.path.basename(unquote(urlsplit(url).path))
    except ValueError as error:
        raise line.error(f"ADD {url:.200}: {error}") from None
    if not name or name in (".", ".."):
        raise line.error(f"ADD {url:.200}: the URL ends without a file name", "give the file a name in the target")
    return name


def fetch(url: str, path: str, line: Line, known: Remote | None) -> Remote:
    """Download to ``path``; when ``known`` is still current nothing is written and it is returned itself.

    Raises BuildError.
    """
    import http.client
    import urllib.error  # with ssl behind it, which builds without URLs need not load
    import urllib.request

    headers = {"User-Agent": f"lxcwrap/{__version__}"}
    if known and known.etag:
        headers["If-None-Match"] = known.etag
    elif known and known.last_modified:
        headers["If-Modified-Since"] = known.last_modified
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT) as answer:
            return _store(answer, path, url, line)
    except urllib.error.HTTPError as error:
        if error.code == 304 and known:
            return known
        raise line.error(f"ADD {url:.200}: the server answered {error.code} {error.reason}") from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        what = getattr(reason, "strerror", None) or reason
        raise line.error(f"ADD {url:.200}: {what}") from None


def _store(answer: Any, path: str, url: str, line: Line) -> Remote:
    import hashlib

    digest = hashlib.sha256()
    size = 0
    with open(path, "wb") as out:
        while block := answer.read(_BLOCK):
            size += len(block)
            if size > LIMIT:
                raise line.error(f"ADD {url:.200}: the download is larger than {LIMIT} bytes")
            digest.update(block)
            out.write(block)
    wanted = answer.headers.get("Content-Length")
    if wanted and wanted.isdigit() and int(wanted) != size:
        raise line.error(f"ADD {url:.200}: the download was cut: {size} of {wanted} bytes")
    last_modified = answer.headers.get("Last-Modified", "")
    modified = _seconds(last_modified)
    os.chmod(path, 0o600)
    os.utime(path, (modified, modified))
    return Remote(digest.hexdigest(), answer.headers.get("ETag", ""), last_modified, modified)


def _seconds(text: str) -> float:
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(text).timestamp()
    except ValueError:
        return 0.0
