"""/etc/lxcwrap/network.yaml, remembered in the state so that a start need not load a YAML parser."""

from __future__ import annotations

import json
import os

from lxcwrap.errors import UsageError
from lxcwrap.model.network import NetworkSettings, parse_settings
from lxcwrap.store import settings
from lxcwrap.store.database import Store

_REMEMBERED = "network-settings"


def path() -> str:
    return os.path.join(os.environ.get("LXCWRAP_CONFIG_DIR") or "/etc/lxcwrap", "network.yaml")


def read(store: Store) -> NetworkSettings:
    """What the file says; all defaults when there is none.  Raises UsageError."""
    try:
        status = os.stat(path())
    except FileNotFoundError:
        return NetworkSettings()
    stamp = [path(), status.st_ino, status.st_size, status.st_mtime_ns]
    remembered = json.loads(settings.get(store, _REMEMBERED) or "null")
    if remembered and remembered["stamp"] == stamp:
        return NetworkSettings.from_json(remembered["settings"])
    parsed = _parse()
    settings.put(store, _REMEMBERED, json.dumps({"stamp": stamp, "settings": parsed.to_json()}))
    return parsed


def _parse() -> NetworkSettings:
    import yaml

    try:
        with open(path(), encoding="utf-8") as stream:
            plain = yaml.safe_load(stream)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path()}:{mark.line + 1}" if mark else path()
        raise UsageError(f"{where}: {getattr(error, 'problem', None) or error}", exit_code=1) from None
    return parse_settings(plain, path())
