"""A tar stream as entries: ustar, PAX and GNU forms, sparse files, read once from front to back.

Source: POSIX.1-2017 pax(1), "ustar Interchange Format" and "pax Extended Header"; the GNU tar manual, chapter 15.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lxcwrap.archive import pax
from lxcwrap.archive.compression import Source
from lxcwrap.archive.pax import number
from lxcwrap.errors import Corrupt, Unsafe

BLOCK = 512
CHUNK = 512 * 1024
REGULAR, HARD_LINK, SYMLINK, CHARACTER, BLOCK_DEVICE, DIRECTORY, FIFO = b"0", b"1", b"2", b"3", b"4", b"5", b"6"
_KINDS = {b"\0": REGULAR, b"7": REGULAR, b"S": REGULAR}
_KNOWN = frozenset((REGULAR, HARD_LINK, SYMLINK, CHARACTER, BLOCK_DEVICE, DIRECTORY, FIFO))
_EMPTY = bytes(BLOCK)
_XATTR = b"SCHILY.xattr."


@dataclass(frozen=True)
class Limits:
    """Caps on what an archive may hold."""

    entries: int = 4_000_000
    size: int = 1 << 40  # bytes of the uncompressed stream and of one file with its holes
    header: int = 1 << 20  # bytes of one extended header
    name: int = 4096


class Entry:
    """One member.  ``name`` and ``link`` as written; times in ns; ``sparse``: (offset, length) of the data, or None."""

    __slots__ = ("gid", "kind", "link", "major", "minor", "mode", "mtime", "name", "real_size", "size", "sparse",
                 "uid", "xattrs")  # fmt: skip

    name: bytes
    kind: bytes
    link: bytes
    mode: int
    uid: int
    gid: int
    size: int
    real_size: int
    mtime: int
    major: int
    minor: int
    xattrs: dict[bytes, bytes]
    sparse: list[tuple[int, int]] | None


class TarReader:
    """Iterates over entries; ``content`` gives the current one's bytes, and what is not taken is skipped."""

    def __init__(self, stream: Source, limits: Limits) -> None:
        self._stream = stream
        self._limits = limits
        self._chunk = memoryview(b"")
        self._left = 0  # bytes of the current entry's content not taken yet
        self._padding = 0
        self._globals: dict[bytes, bytes] = {}
        self.consumed = 0  # bytes taken from the stream

    def __iter__(self) -> Iterator[Entry]:
        """Raises Corrupt or Unsafe.  After the last entry the stream is read to its end."""
        count = 0
        while (entry := self._next()) is not None:
            count += 1
            if count > self._limits.entries:
                raise Unsafe(f"the archive has more than {self._limits.entries} entries")
            yield entry
        while self._fill():
            self._chunk = memoryview(b"")

    def content(self) -> Iterator[memoryview]:
        """The current entry's bytes (of a sparse file: those that are stored), piece by piece."""
        while self._left:
            if not self._chunk and not self._fill():
                raise Corrupt("the archive ends in the middle of a file")
            piece = self._chunk[: self._left]
            self._chunk = self._chunk[len(piece) :]
            self._left -= len(piece)
            yield piece

    def _fill(self) -> bool:
        content = self._stream.read(CHUNK)
        self._chunk = memoryview(content)
        self.consumed += len(content)
        if self.consumed > self._limits.size:
            raise Unsafe(f"the archive is larger than {self._limits.size} bytes")
        return bool(content)

    def _take(self, size: int) -> bytes:
        """Exactly ``size`` bytes, or b'' when the stream is at its end."""
        if len(self._chunk) >= size:
            taken = bytes(self._chunk[:size])
            self._chunk = self._chunk[size:]
            return taken
        pieces: list[bytes] = []
        missing = size
        while missing:
            if not self._chunk and not self._fill():
                if missing == size:
                    return b""
                raise Corrupt("the archive ends in the middle of an entry")
            piece = bytes(self._chunk[:missing])
            self._chunk = self._chunk[len(piece) :]
            pieces.append(piece)
            missing -= len(piece)
        return b"".join(pieces)

    def _skip_rest(self) -> None:
        for _ in self.content():
            pass
        if self._padding:
            self._take(self._padding)  # umoci leaves it out after the last file
        self._padding = 0

    def _next(self) -> Entry | None:
        records: dict[bytes, bytes] = {}
        while True:
            self._skip_rest()
            header = self._take(BLOCK)
            if not header or header == _EMPTY:
                self._check_first(header)
                return None
            _check_sum(header)
            kind = header[156:157]
            size = number(header[124:136], "size")
            if kind in b"xgLKXVN":  # describe what follows
                self._extend(kind, size, records)
                continue
            return self._entry(header, kind, size, {**self._globals, **records} if self._globals else records)

    def _check_first(self, header: bytes) -> None:
        if not header and not self.consumed:
            raise Corrupt("not a tar archive: it is empty")

    def _extend(self, kind: bytes, size: int, records: dict[bytes, bytes]) -> None:
        if size > self._limits.header:
            raise Unsafe(f"an extended header of {size} bytes is larger than {self._limits.header}")
        payload = self._take((size + BLOCK - 1) // BLOCK * BLOCK)[:size]
        if len(payload) < size:
            raise Corrupt("the archive ends in the middle of an extended header")
        if kind in (b"x", b"X"):
            records.update(pax.records(payload))
        elif kind == b"g":
            self._globals.update(pax.records(payload))
        elif kind == b"L":
            records[b"path"] = payload.partition(b"\0")[0]
        elif kind == b"K":
            records[b"linkpath"] = payload.partition(b"\0")[0]

    def _entry(self, header: bytes, kind: bytes, size: int, records: dict[bytes, bytes]) -> Entry:
        entry = Entry()
        entry.name = _text(header[:100])
        if header[257:263] == b"ustar\0" and header[345]:
            entry.name = _text(header[345:500]) + b"/" + entry.name
        entry.link = _text(header[157:257])
        entry.mode = number(header[100:108], "mode") & 0o7777
        entry.uid = number(header[108:116], "uid")
        entry.gid = number(header[116:124], "gid")
        entry.mtime = pax.clamped(number(header[136:148], "mtime") * 1_000_000_000)
        entry.major = entry.minor = 0
        entry.size = size
        entry.xattrs = {}
        entry.sparse = None
        if records:
            _apply(entry, records)
        entry.kind = _KINDS.get(kind, kind)
        if entry.kind in (CHARACTER, BLOCK_DEVICE):
            entry.major, entry.minor = number(header[329:337], "major"), number(header[337:345], "minor")
        self._settle(entry, kind, header, records)
        return entry

    def _settle(self, entry: Entry, kind: bytes, header: bytes, records: dict[bytes, bytes]) -> None:
        if entry.kind not in _KNOWN:
            raise Corrupt(f"{_shown(entry.name)}: entries of type {kind!r} are not known")
        if not entry.name or len(entry.name) > self._limits.name or b"\0" in entry.name or b"\0" in entry.link:
            raise Unsafe(f"an entry's name is empty, too long or has NUL bytes: {_shown(entry.name)}")
        if entry.kind == REGULAR and entry.name.endswith(b"/"):
            entry.kind = DIRECTORY  # how archives older than POSIX say it
        if entry.kind != REGULAR:
            entry.size = 0
        entry.real_size = entry.size
        self._left, self._padding = entry.size, -entry.size % BLOCK
        if kind == b"S":
            self._gnu_sparse(entry, header)
        elif records and entry.kind == REGULAR:
            self._pax_sparse(entry, records)
        if entry.sparse is not None:
            _check_sparse(entry)
        if entry.real_size > self._limits.size:
            raise Unsafe(f"{_shown(entry.name)}: {entry.real_size} bytes are more than {self._limits.size}")

    def _gnu_sparse(self, entry: Entry, header: bytes) -> None:
        pairs = _pairs(header[386:482])
        more = header[482]
        while more:
            block = self._take(BLOCK)
            if not block:
                raise Corrupt(f"{_shown(entry.name)}: the archive ends in a sparse map")
            pairs += _pairs(block[:504])
            more = block[504]
            if len(pairs) > self._limits.header // 16:
                raise Unsafe(f"{_shown(entry.name)}: its sparse map is too long")
        entry.sparse, entry.real_size = pairs, number(header[483:495], "real size")

    def _pax_sparse(self, entry: Entry, records: dict[bytes, bytes]) -> None:
        if records.get(b"GNU.sparse.major") == b"1":
            entry.sparse = self._sparse_map(entry)
        elif b"GNU.sparse.map" in records:
            numbers = [pax.integer(item, "sparse map") for item in records[b"GNU.sparse.map"].split(b",")]
            if len(numbers) % 2:
                raise Corrupt(f"{_shown(entry.name)}: its sparse map is broken")
            entry.sparse = list(zip(numbers[::2], numbers[1::2], strict=True))
        if entry.sparse is not None:
            size = records.get(b"GNU.sparse.realsize") or records.get(b"GNU.sparse.size") or b""
            entry.real_size = pax.integer(size, "sparse size")
            entry.name = records.get(b"GNU.sparse.name", entry.name)

    def _sparse_map(self, entry: Entry) -> list[tuple[int, int]]:
        """Version 1.0: decimal numbers, one a line, at the front of the content, filled up to a block."""
        lines: list[bytes] = []
        text = b""
        wanted = 1
        while len(lines) < wanted:
            block = self._take(BLOCK) if self._left >= BLOCK else b""
            if not block or len(text) > self._limits.header:
                raise Corrupt(f"{_shown(entry.name)}: its sparse map is broken")
            self._left -= BLOCK
            text += block
            *complete, text = text.split(b"\n")
            lines += complete
            if lines:
                wanted = 1 + 2 * pax.integer(lines[0], "sparse map")
                if wanted * 2 > self._limits.header:
                    raise Unsafe(f"{_shown(entry.name)}: its sparse map is too long")
        numbers = [pax.integer(line, "sparse map") for line in lines[1:wanted]]
        entry.size = self._left
        return list(zip(numbers[::2], numbers[1::2], strict=True))


def _check_sparse(entry: Entry) -> None:
    """Pieces in order, within the file, and as long together as what is stored."""
    end = 0
    for offset, length in entry.sparse or ():
        if offset < end or length < 0:
            raise Corrupt(f"{_shown(entry.name)}: its sparse map is out of order")
        end = offset + length
    if end > entry.real_size or sum(length for _, length in entry.sparse or ()) != entry.size:
        raise Corrupt(f"{_shown(entry.name)}: its sparse map does not fit its size")


def _pairs(content: bytes) -> list[tuple[int, int]]:
    pairs = []
    for at in range(0, len(content) - 23, 24):
        if not content[at]:
            break
        pairs.append((number(content[at : at + 12], "sparse"), number(content[at + 12 : at + 24], "sparse")))
    return pairs


def _apply(entry: Entry, records: dict[bytes, bytes]) -> None:
    """What a PAX header says wins over the ustar fields."""
    entry.name = records.get(b"path", entry.name)
    entry.link = records.get(b"linkpath", entry.link)
    if b"uid" in records:
        entry.uid = pax.integer(records[b"uid"], "uid")
    if b"gid" in records:
        entry.gid = pax.integer(records[b"gid"], "gid")
    if b"size" in records:
        entry.size = pax.integer(records[b"size"], "size")
    if b"mtime" in records:
        entry.mtime = pax.nanoseconds(records[b"mtime"])
    for key, value in records.items():
        if key.startswith(_XATTR):
            entry.xattrs[key[len(_XATTR) :]] = value


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _shown(name: bytes) -> str:
    return name.decode(errors="replace")[:200]


def _check_sum(header: bytes) -> None:
    try:
        stored = number(header[148:156], "checksum")
    except Corrupt:
        stored = -1
    if stored == sum(header[:148]) + 256 + sum(header[156:]):
        return
    signed = sum(byte - 256 if byte > 127 else byte for byte in header[:148] + header[156:]) + 256
    if stored != signed:
        raise Corrupt("not a tar archive, or a broken one: a header's checksum is wrong")
