"""``version``: of lxcwrap and of what it stands on."""

from __future__ import annotations

import os
import sqlite3
import sys
from typing import Any

from lxcwrap import __version__
from lxcwrap.model.image import Platform

API = "1.48"  # of Docker's engine: the documents that inspect and --format follow


def document() -> dict[str, Any]:
    """In the shape of Docker's; client and server are the same program."""
    host = os.uname()
    platform = Platform.host()
    common = {
        "Version": __version__,
        "ApiVersion": API,
        "Os": platform.os,
        "Arch": platform.architecture,
        "PythonVersion": sys.version.split()[0],
    }
    parts = [("liblxc", liblxc()), ("Python", common["PythonVersion"]), ("SQLite", sqlite3.sqlite_version)]
    return {
        "Client": {**common, "Platform": {"Name": "lxcwrap"}, "Context": "default"},
        "Server": {
            **common,
            "Platform": {"Name": "lxcwrap (no daemon)"},
            "KernelVersion": host.release,
            "Components": [{"Name": name, "Version": version} for name, version in parts],
        },
    }


def liblxc() -> str:
    """liblxc's version, or why there is none."""
    from lxcwrap.runtime import lxc

    try:
        return lxc.version()
    except lxc.LxcError as error:
        return str(error)
