"""Blobs to a registry: asked for, mounted from another repository, or sent.

Source: OCI distribution spec v1.1, "Pushing blobs".
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from urllib.parse import quote

from lxcwrap.archive.growing import CHUNK, Growing
from lxcwrap.errors import RegistryError
from lxcwrap.registry.client import ERROR_LIMIT, Client
from lxcwrap.registry.failure import TEMPORARY, Refusal, Unreachable, joined

Advance = Callable[[int], None]


def has(client: Client, digest: str) -> bool:
    """Whether the repository has the blob.  A refusal counts as no: sending it will say why."""
    response = client.call("HEAD", f"v2/{client.path}/blobs/{digest}")
    response.read(ERROR_LIMIT)
    return response.status == 200


def mount(client: Client, digest: str, source: str) -> bool:
    """Take the blob over from another repository (its path) of the same registry; False where that is refused."""
    scopes = (*client.scopes, f"repository:{source}:pull")
    query = f"mount={quote(digest, safe='')}&from={quote(source, safe='')}"
    response = client.call("POST", f"v2/{client.path}/blobs/uploads/?{query}", scopes=scopes)
    response.read(ERROR_LIMIT)
    if response.status == 202:  # the registry began an ordinary upload instead
        _cancel(client, joined(response.url, response.header("Location")))
    return response.status == 201


def send_bytes(client: Client, digest: str, content: bytes) -> None:
    """A small blob (a config)."""
    _put(client, digest, len(content), lambda: iter((content,)))


def send_file(client: Client, digest: str, path: str, advance: Advance) -> None:
    """A blob from a file, in one piece."""
    _put(client, digest, os.path.getsize(path), lambda: _chunks(path, advance))


def send_growing(client: Client, content: Growing, advance: Advance) -> None:
    """A blob that is still being made: sent while it grows; its digest is told at the end.

    If the connection is cut it is sent once more, from the file, when that is complete.
    """
    try:
        location = _begin(client)
        response = client.call(
            "PATCH", location, headers={"Content-Type": "application/octet-stream"},
            body=lambda: _counted(content.chunks(), advance), once=True,
        )  # fmt: skip
        client.expect(response, f"sending a layer of {client.path}", 202, 204).read(ERROR_LIMIT)
        content.wait()
        _finish(client, _location(response.url, response.header("Location")), content.digest)
    except (Unreachable, Refusal) as error:
        if isinstance(error, Refusal) and error.status not in TEMPORARY | {401, 404, 416}:
            raise
        content.wait()
        send_file(client, content.digest, content.path, advance)


def _put(client: Client, digest: str, size: int, body: Callable[[], Iterator[bytes]]) -> None:
    location = _begin(client)
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
    response = client.call("PUT", _with_digest(location, digest), headers=headers, body=body)
    if response.status == 404:  # the upload was begun and forgotten, by a restart for example
        response.read(ERROR_LIMIT)
        response = client.call("PUT", _with_digest(_begin(client), digest), headers=headers, body=body)
    client.expect(response, f"sending {digest[:19]} of {client.path}", 201, 204).read(ERROR_LIMIT)


def _begin(client: Client) -> str:
    response = client.call("POST", f"v2/{client.path}/blobs/uploads/", headers={"Content-Length": "0"})
    client.expect(response, f"beginning an upload to {client.path}", 202).read(ERROR_LIMIT)
    return _location(response.url, response.header("Location"))


def _finish(client: Client, location: str, digest: str) -> None:
    response = client.call("PUT", _with_digest(location, digest), headers={"Content-Length": "0"})
    client.expect(response, f"ending the upload of {digest[:19]} to {client.path}", 201, 204).read(ERROR_LIMIT)


def _cancel(client: Client, location: str) -> None:
    client.call("DELETE", location).read(ERROR_LIMIT)


def _location(base: str, location: str) -> str:
    if not location:
        raise RegistryError(f"{base.partition('?')[0]} did not say where to send the blob")
    return joined(base, location)


def _with_digest(location: str, digest: str) -> str:
    return f"{location}{'&' if '?' in location else '?'}digest={quote(digest, safe='')}"


def _chunks(path: str, advance: Advance) -> Iterator[bytes]:
    with open(path, "rb") as stream:
        yield from _counted(iter(lambda: stream.read(CHUNK), b""), advance)


def _counted(chunks: Iterator[bytes], advance: Advance) -> Iterator[bytes]:
    done = 0
    for chunk in chunks:
        yield chunk
        done += len(chunk)
        advance(done)
