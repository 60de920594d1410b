"""What was built, as independent readers see it: skopeo, umoci and buildah."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

DOCKERFILE = """\
FROM {base}
MAINTAINER someone
ENV a=b
RUN echo 1 >/one; rm -r /home; mkdir /etc/new
RUN true
WORKDIR /w
COPY --chown=7:8 file .
LABEL x=y
VOLUME /v
EXPOSE 80/udp
STOPSIGNAL SIGINT
USER daemon
CMD ["cat", "/one"]
"""


def _run(*words: object) -> str:
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_skopeo_umoci_and_buildah_read_what_was_built(
    cli: Any, busybox: str, needs: Callable[..., None], tmp_path: Path
) -> None:
    needs("skopeo", "umoci", "buildah")
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / "file").write_text("content")
    (tmp_path / "context" / "Dockerfile").write_text(DOCKERFILE.format(base=busybox))
    cli("build", "-q", "--network", "none", "-t", "built:1", tmp_path / "context")
    cli("save", "-o", tmp_path / "image.tar", "built:1")
    _run("skopeo", "copy", "-q", f"docker-archive:{tmp_path}/image.tar", f"oci:{tmp_path}/oci:t")
    image = json.loads(_run("skopeo", "inspect", "--config", f"oci:{tmp_path}/oci:t"))
    config = image["config"]
    assert (image["author"], config["User"], config["WorkingDir"]) == ("someone", "daemon", "/w")
    assert (config["Cmd"], config["Labels"], config["StopSignal"]) == (["cat", "/one"], {"x": "y"}, "SIGINT")
    assert (config["Volumes"], config["ExposedPorts"]) == ({"/v": {}}, {"80/udp": {}})
    history = [(line["created_by"], line.get("empty_layer", False)) for line in image["history"]]
    assert [by for by, empty in history if not empty][1:] == [
        "RUN /bin/sh -c echo 1 >/one; rm -r /home; mkdir /etc/new",
        "WORKDIR /w",
        "COPY --chown=7:8 file .",
    ]
    assert ("RUN /bin/sh -c true", True) in history and ("ENV a=b", True) in history
    assert len(image["rootfs"]["diff_ids"]) == sum(not empty for _, empty in history)
    _run("umoci", "unpack", "--image", f"{tmp_path}/oci:t", tmp_path / "bundle")
    rootfs = tmp_path / "bundle" / "rootfs"
    status = (rootfs / "w" / "file").stat()
    assert (status.st_uid, status.st_gid) == (7, 8)
    assert (
        (rootfs / "one").read_text() == "1\n" and (rootfs / "etc" / "new").is_dir() and not (rootfs / "home").exists()
    )
    store = ("--storage-driver", "vfs", "--root", tmp_path / "root", "--runroot", tmp_path / "run")
    name = _run("buildah", *store, "from", f"oci:{tmp_path}/oci:t").strip()
    assert _run("buildah", *store, "inspect", "--format", "{{.OCIv1.Config.Cmd}}", name).strip() == "[cat /one]"
    _run("buildah", *store, "rm", name)
