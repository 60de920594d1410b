"""Compressed streams in, deterministic gzip out, checked digests, threads."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import subprocess
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lxcwrap.archive import compression
from lxcwrap.archive.checked import CheckedReader, HashingReader, HashingWriter
from lxcwrap.archive.compression import Sink, Source
from lxcwrap.archive.pipeline import Ahead, ahead, behind, transfer
from lxcwrap.errors import Corrupt

CONTENT = b"".join(hashlib.sha256(bytes([number % 251])).digest() for number in range(40_000)) + bytes(500_000)


def read_all(stream: Source) -> bytes:
    pieces = []
    while piece := stream.read(100_000):
        pieces.append(piece)
    return b"".join(pieces)


def zstd(content: bytes) -> bytes:
    return subprocess.run(["zstd", "-c"], input=content, stdout=-1, check=True).stdout


FORMS = {"gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress, "plain": bytes}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_recognised(form: str) -> None:
    assert read_all(compression.reader(io.BytesIO(FORMS[form](CONTENT)))) == CONTENT


def test_zstd_frames() -> None:
    zstandard = pytest.importorskip("zstandard")
    packed = zstandard.ZstdCompressor().compress(CONTENT)
    assert read_all(compression.reader(io.BytesIO(packed + packed))) == CONTENT * 2
    with pytest.raises(Corrupt, match="ends early"):
        read_all(compression.reader(io.BytesIO(packed[:-7])))


@pytest.mark.parametrize("form", ["gzip", "bzip2", "xz"])
@pytest.mark.parametrize("content", [b"", b"x", CONTENT])
def test_members_one_after_the_other(form: str, content: bytes) -> None:
    packed = FORMS[form](content) + FORMS[form](b"second")
    assert read_all(compression.reader(io.BytesIO(packed))) == content + b"second"


@pytest.mark.parametrize("form", ["gzip", "bzip2", "xz"])
@pytest.mark.parametrize("cut", [8, 100, -1, -9])
def test_cut_streams_are_corrupt(form: str, cut: int) -> None:
    with pytest.raises(Corrupt):
        read_all(compression.reader(io.BytesIO(FORMS[form](CONTENT)[:cut])))


def test_a_wrong_checksum_is_corrupt() -> None:
    packed = bytearray(gzip.compress(CONTENT))
    packed[-6] ^= 1
    with pytest.raises(Corrupt, match="gzip"):
        read_all(compression.reader(io.BytesIO(bytes(packed))))


def test_padding_after_the_last_member() -> None:
    assert read_all(compression.reader(io.BytesIO(gzip.compress(b"x") + bytes(512)))) == b"x"


@settings(max_examples=60, deadline=None)
@given(content=st.binary(max_size=3000), sizes=st.lists(st.integers(1, 400), min_size=1, max_size=10))
def test_gzip_writer_round_trip(content: bytes, sizes: list[int]) -> None:
    def packed() -> bytes:
        out = io.BytesIO()
        writer = compression.gzip_writer(out)
        at = 0
        for number in range(len(content)):
            size = sizes[number % len(sizes)]
            writer.write(content[at : at + size])
            at += size
            if at >= len(content):
                break
        writer.close()
        return out.getvalue()

    first = packed()
    assert gzip.decompress(first) == content
    assert first == packed()
    assert first[4:8] == bytes(4), "a time would make it differ"


def test_pieces_stay_small_however_well_it_compresses() -> None:
    stream = compression.reader(io.BytesIO(gzip.compress(bytes(50 << 20))))
    largest = 0
    while piece := stream.read(1 << 16):
        largest = max(largest, len(piece))
    assert largest <= compression.PIECE


def test_checked_reader() -> None:
    digest = "sha256:" + hashlib.sha256(CONTENT).hexdigest()
    assert read_all(CheckedReader(io.BytesIO(CONTENT), digest, len(CONTENT))) == CONTENT
    for content, size in (
        (CONTENT[:-1], len(CONTENT)),
        (CONTENT + b"x", len(CONTENT)),
        (CONTENT[:-1] + b"x", len(CONTENT)),
    ):
        with pytest.raises(Corrupt, match=digest):
            read_all(CheckedReader(io.BytesIO(content), digest, size))


def test_hashing() -> None:
    reader, writer = HashingReader(io.BytesIO(CONTENT)), HashingWriter()
    writer.write(read_all(reader))
    assert reader.digest == writer.digest == "sha256:" + hashlib.sha256(CONTENT).hexdigest()
    assert reader.size == writer.size == len(CONTENT)


class Failing:
    """Gives or takes a few bytes, then fails."""

    def __init__(self, after: int) -> None:
        self.left = after

    def read(self, size: int = -1, /) -> bytes:
        self.left -= 1
        if self.left < 0:
            raise OSError(5, "gone")
        return b"x" * 1000

    def write(self, content: object, /) -> None:
        self.read()


def test_errors_cross_threads() -> None:
    with ahead(Failing(3), 100) as stream, pytest.raises(OSError, match="gone"):
        read_all(stream)
    with pytest.raises(OSError, match="gone"), behind(Failing(3), 10) as out:
        for _ in range(1000):
            out.write(b"y" * 20)


def test_leaving_early_stops_the_thread() -> None:
    before = threading.active_count()
    with ahead(Failing(10**9)) as stream:
        stream.read(10)
    assert threading.active_count() == before
    assert Ahead(io.BytesIO(b"")).read() == b""


def test_transfer() -> None:
    def produce(out: Sink) -> None:
        for _ in range(300):
            out.write(CONTENT[:10_000])

    assert len(transfer(produce, read_all)) == 3_000_000
    before = threading.active_count()
    assert transfer(produce, lambda stream: stream.read(5)) == CONTENT[:5]
    assert threading.active_count() == before


def test_transfer_raises_what_the_producer_raised() -> None:
    def produce(out: Sink) -> None:
        out.write(b"x")
        raise Corrupt("half-way")

    with pytest.raises(Corrupt, match="half-way"):
        transfer(produce, read_all)
