"""Debian and its kin by debootstrap."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from email.utils import parsedate_to_datetime

from lxcwrap.actions.bases import making as tools
from lxcwrap.actions.bases.making import Making
from lxcwrap.errors import LxcwrapError

_SCRIPTS = "/usr/share/debootstrap/scripts"
_ARCHITECTURES = {"386": "i386", "arm": "armhf", "ppc64le": "ppc64el"}
_TIMEOUT, _TRIES = 20, 2  # seconds that the mirror may keep silent, and how often a file is asked for
_STAGES = {
    "Retrieving InRelease": "Fetching the archive's release file",
    "Retrieving Packages": "Fetching the list of packages",
    "Checking component": "Choosing packages",
    "Retrieving ": "Fetching packages",
    "Extracting ": "Extracting the essential packages",
    "Installing core": "Installing the essential packages",
    "Unpacking the base": "Installing the base system",
    "Configuring the base": "Configuring the base system",
}


def fill(making: Making) -> float | None:
    """Fill the root; returns the date of the archive's Release file."""
    template = making.template
    tools.need(making, "debootstrap", "debootstrap")
    if not os.path.exists(template.keyring):
        raise LxcwrapError(
            f"template {template.name}: the archive's keys {template.keyring} are missing",
            hint=f"install {template.keyring_package or 'the distribution keyring'}",
        )
    making.say(f"debootstrap {template.release} from {template.mirror}")
    extra = {"DEBIAN_FRONTEND": "noninteractive", "WGETRC": _impatient_wget(making)}
    if tools.run(making, _argv(making), _stages(making), extra):
        raise _failed(making)
    return _release_date(f"{making.target}/var/lib/apt/lists")


def _argv(making: Making) -> list[str]:
    template = making.template
    suite = template.suite or template.release
    argv = ["debootstrap", f"--arch={_ARCHITECTURES.get(making.arch, making.arch)}", f"--keyring={template.keyring}"]
    if template.variant:
        argv.append(f"--variant={template.variant}")
    if template.components:
        argv.append(f"--components={','.join(template.components)}")
    if template.include:
        argv.append(f"--include={','.join(template.include)}")
    argv += [suite, making.target, template.mirror]
    if template.script and not os.path.exists(f"{_SCRIPTS}/{suite}"):
        argv.append(f"{_SCRIPTS}/{template.script}")
    return argv


def _impatient_wget(making: Making) -> str:
    """A wgetrc: by default wget waits 15 minutes for a mirror that is silent, 20 times.  The user's own comes after."""
    path = f"{making.staging}/wgetrc"
    own = os.environ.get("WGETRC") or os.path.expanduser("~/.wgetrc")
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(f"timeout = {_TIMEOUT}\ntries = {_TRIES}\n")
        if os.path.isfile(own):
            with open(own, encoding="utf-8", errors="replace") as settings:
                stream.write(settings.read())
    return path


def _stages(making: Making) -> Callable[[str], None]:
    """A reader of debootstrap's lines that says each stage once."""
    said: set[str] = set()

    def line(text: str) -> None:
        for beginning, stage in _STAGES.items():
            if text.startswith(f"I: {beginning}"):
                if stage not in said:
                    said.add(stage)
                    making.say(stage)
                return

    return line


def _failed(making: Making) -> LxcwrapError:
    reason = _reason(making)
    hint = f"{making.template.keyring} is not this archive's" if "unknown key" in reason else ""
    return making.failed("debootstrap", reason, hint)


def _reason(making: Making) -> str:
    inner = f"{making.target}/debootstrap/debootstrap.log"
    reason = tools.last_line(making, "E:", "W: Failure", "W: Failed")
    if "Couldn't download" in reason or not os.path.exists(inner) or "trying to run" not in reason:
        return reason
    with open(inner, errors="replace") as log:
        lines = [text for text in map(str.strip, log) if text]
    errors = [text for text in lines if re.search(r"\b(error|failed|E:)", text, re.IGNORECASE)]
    return f"{reason}: {(errors or lines or [''])[-1]}"


def _release_date(lists: str) -> float | None:
    """The date of the newest Release file that apt was left with."""
    dates = []
    for name in os.listdir(lists):
        if name.endswith(("_InRelease", "_Release")):
            with open(f"{lists}/{name}", errors="replace") as stream:
                dates += [parsedate_to_datetime(text[5:].strip()) for text in stream if text.startswith("Date:")]
    return max(dates).timestamp() if dates else None
