"""What a method that fills a root directory is given, and how it runs its tool."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lxcwrap.errors import LxcwrapError, Unsupported
from lxcwrap.model.template import Template

# The tool and all it starts die with us, and what it mounts vanishes with its namespace.
_ALONE = (
    *("setpriv", "--pdeathsig", "KILL"),
    *("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc", "--"),
)
_PASSED = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "HOME")


@dataclass(frozen=True)
class Making:
    """A base image being made.  ``target`` is its empty root directory; ``staging`` has room for files beside it."""

    template: Template  # filled: no placeholders are left
    target: str
    staging: str
    arch: str  # as OCI names it: amd64
    machine: str  # as the kernel names it: x86_64
    say: Callable[[str], None]

    @property
    def log(self) -> str:
        return f"{self.staging}/log"

    def failed(self, tool: str, why: str, hint: str = "") -> LxcwrapError:
        """The one line that says which template, which tool and why."""
        hint = hint or f"is {self.template.mirror} reachable from here?  --mirror names another"
        return LxcwrapError(f"template {self.template.name}: {tool}: {why}", hint=hint)


def need(making: Making, tool: str, package: str) -> None:
    """Raises Unsupported when ``tool`` is not installed."""
    if not shutil.which(tool):
        raise Unsupported(
            f"template {making.template.name} needs {tool}, which is not installed", hint=f"install {package}"
        )


def run(making: Making, argv: Sequence[str], line: Callable[[str], None], extra: Mapping[str, str]) -> int:
    """Run a tool to its end, alone in its mount and process namespaces; returns its exit status.

    ``line`` gets each line of its output, which goes to ``making.log`` too.
    """
    environment = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LC_ALL": "C.UTF-8",
        "TMPDIR": making.staging,
        **{name: os.environ[name] for name in _PASSED if name in os.environ},
        **extra,
    }
    with open(making.log, "ab") as log:
        tool = subprocess.Popen(
            [*_ALONE, *argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=making.staging,
            umask=0o022,
        )
        try:
            assert tool.stdout is not None
            for raw in tool.stdout:
                log.write(raw)
                line(raw.decode(errors="replace").rstrip())
            return tool.wait()
        finally:
            tool.kill()
            tool.wait()


def last_line(making: Making, *prefixes: str) -> str:
    """The last line of the log that begins with one of ``prefixes``, earlier prefixes first; else its last line."""
    with open(making.log, errors="replace") as log:
        lines = [text for text in map(str.strip, log) if text]
    for prefix in prefixes:
        for text in reversed(lines):
            if text.startswith(prefix):
                return text[len(prefix) :].strip()
    return lines[-1] if lines else "it said nothing"
