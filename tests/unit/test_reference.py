"""References follow the distribution rules."""

from __future__ import annotations

import pytest

from lxcwrap.errors import UsageError
from lxcwrap.model import reference

HEX = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "canonical", "familiar"),
    [
        ("ubuntu", "docker.io/library/ubuntu:latest", "ubuntu:latest"),
        ("ubuntu:22.04", "docker.io/library/ubuntu:22.04", "ubuntu:22.04"),
        ("me/memcached", "docker.io/me/memcached:latest", "me/memcached:latest"),
        ("docker.io/ubuntu", "docker.io/library/ubuntu:latest", "ubuntu:latest"),
        ("index.docker.io/library/ubuntu", "docker.io/library/ubuntu:latest", "ubuntu:latest"),
        ("docker.io/library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"),
        ("localhost/x", "localhost/x:latest", "localhost/x:latest"),
        ("localhost:5000/a/b:1", "localhost:5000/a/b:1", "localhost:5000/a/b:1"),
        ("[::1]:5000/x:y", "[::1]:5000/x:y", "[::1]:5000/x:y"),
        ("Host/x", "Host/x:latest", "Host/x:latest"),
        ("foo.bar", "docker.io/library/foo.bar:latest", "foo.bar:latest"),
        ("quay.io/a__b/c-d.e", "quay.io/a__b/c-d.e:latest", "quay.io/a__b/c-d.e:latest"),
        (f"x@sha256:{HEX}", f"docker.io/library/x@sha256:{HEX}", f"x@sha256:{HEX}"),
        (f"h:1/x:t@sha256:{HEX}", f"h:1/x:t@sha256:{HEX}", f"h:1/x:t@sha256:{HEX}"),
        ("x:" + "t" * 128, "docker.io/library/x:" + "t" * 128, "x:" + "t" * 128),
    ],
)
def test_reference_is_completed(text: str, canonical: str, familiar: str) -> None:
    parsed = reference.parse(text)
    assert parsed.canonical == canonical
    assert parsed.familiar == familiar
    assert reference.parse(parsed.canonical) == parsed.with_default_tag()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not allowed"),
        ("Ubuntu", "lower case"),
        ("me/Ubuntu", "lower case"),
        ("x:", "tag"),
        ("x:y z", "tag"),
        ("x:" + "t" * 129, "tag"),
        ("x@sha256:12", "digest"),
        ("x@md5:" + HEX, "digest"),
        (HEX, "image ID"),
        ("-x", "not allowed"),
        ("x//y", "not allowed"),
        ("x___y", "not allowed"),
        ("x/../y", "not allowed"),
        ("x\ny", "not allowed"),
        ("a b.c/x", "host name"),
        ("x.y:port/z", "host name"),
        ("h.i/" + "x" * 260, "longer"),
    ],
)
def test_nonsense_is_refused(text: str, why: str) -> None:
    with pytest.raises(UsageError, match=why) as caught:
        reference.parse(text)
    assert caught.value.exit_code == 1


def test_missing_tag_stays_visible() -> None:
    assert reference.parse("ubuntu").tag == ""
    assert reference.parse("ubuntu").with_default_tag().tag == "latest"
