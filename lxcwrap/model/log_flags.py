"""``--log-driver`` and ``--log-opt``, and what the tag of a log may say.  Pure.

Source: Docker's log tag templates; their fields are those of its loginfo.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from lxcwrap.errors import UsageError
from lxcwrap.model.container import LogConfig
from lxcwrap.model.names import check_text
from lxcwrap.model.run_flags import pair, size

DRIVERS = ("local", "journald", "none")
TAG_FIELDS = ("ID", "FullID", "Name", "ImageID", "ImageFullID", "ImageName", "Command", "DaemonName")
_PLACE = re.compile(r"\{\{\s*\.(\w+)\s*\}\}")
_HINTS = {
    "local": "max-size=20m, max-file=5, compress=true",
    "journald": "tag=, labels=, labels-regex=, env=, env-regex=",
    "none": "it takes no options",
}


def log_config(driver: str, options: tuple[str, ...]) -> LogConfig:
    """Raises UsageError or Unsafe."""
    name = {"": "local", "json-file": "local"}.get(driver, driver)
    if name not in DRIVERS:
        raise UsageError(f"log driver {driver!r:.40} is not known", hint=f"choose {', '.join(DRIVERS)}")
    log = LogConfig(driver=name)
    for text in options:
        key, value = pair(text, "log option")
        changed = _journald(log, key, value) if name == "journald" else _local(log, key, value)
        if changed is None or name == "none":
            raise UsageError(f"log option {key}={value!r:.40} is not understood by {name}", hint=_HINTS[name])
        log = changed
    return log


def _local(log: LogConfig, key: str, value: str) -> LogConfig | None:
    if key == "max-size":
        return replace(log, max_size=size(value, "--log-opt max-size"))
    if key == "max-file" and value.isdigit() and int(value):
        return replace(log, max_file=int(value))
    if key == "compress" and value in ("true", "false"):
        return replace(log, compress=value == "true")
    return None


def _journald(log: LogConfig, key: str, value: str) -> LogConfig | None:
    if key == "tag":
        render(check_text(value, "--log-opt tag"), dict.fromkeys(TAG_FIELDS, ""))
        return replace(log, tag=value)
    names = tuple(filter(None, value.split(",")))
    if key == "labels":
        return replace(log, labels=names)
    if key == "env":
        return replace(log, env=names)
    if key in ("labels-regex", "env-regex"):
        try:
            re.compile(value)
        except re.error as error:
            raise UsageError(f"--log-opt {key}={value!r:.60}: {error}") from None
        return replace(log, labels_regex=value) if key == "labels-regex" else replace(log, env_regex=value)
    return None


def render(tag: str, values: Mapping[str, str]) -> str:
    """The tag with ``{{.Name}}`` and its like filled in.  Raises UsageError for anything else in braces."""

    def fill(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise UsageError(f"--log-opt tag={tag!r:.80}: unknown field .{match[1]}", hint=", ".join(TAG_FIELDS))
        return values[match[1]]

    rest = _PLACE.sub("", tag)
    if "{{" in rest or "}}" in rest:
        raise UsageError(
            f"--log-opt tag={tag!r:.80}: only fields are understood", hint="write {{.Name}}/{{.ID}} and the like"
        )
    return _PLACE.sub(fill, tag)


def attributes(log: LogConfig, labels: Mapping[str, str], env: Mapping[str, str]) -> dict[str, str]:
    """What the options say of labels and variables, by their own names; a variable wins over a label."""
    found = {}
    for known, names, pattern in ((labels, log.labels, log.labels_regex), (env, log.env, log.env_regex)):
        wanted = re.compile(pattern) if pattern else None
        found.update({key: value for key, value in known.items() if key in names or (wanted and wanted.search(key))})
    return found
