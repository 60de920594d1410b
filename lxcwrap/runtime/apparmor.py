"""The AppArmor profiles of containers: one for every container, one for those that run an init system.

Source: apparmor.d(5), apparmor_parser(8), and Docker's docker-default.  liblxc can generate a profile per container
(``lxc.apparmor.profile = generated``), but its cache is keyed by a path that is a folder in our layout, and a profile
per container would have to be compiled for each; these two are compiled once per boot.
"""

from __future__ import annotations

import os
import zlib

from lxcwrap.errors import RuntimeFailure, Unsupported
from lxcwrap.model.container import Security
from lxcwrap.runtime.policy import Options

LOADED = "/sys/kernel/security/apparmor/profiles"
UNCONFINED = "unconfined"
_PARSERS = ("/usr/sbin/apparmor_parser", "/sbin/apparmor_parser")
_HINT = "apt-get install apparmor; or --security-opt apparmor=unconfined"

# Signals and ptrace: within the profile only, but the host (unconfined) may end what runs here.
# Everything else that the kernel has goes through capabilities, seccomp and cgroups, as with docker-default.
_COMMON = """
  network,
  capability,
  file,
  unix,
  dbus,
  umount,
  signal (receive) peer=unconfined,
  signal (send, receive) peer=@NAME@,
  ptrace (trace, read, tracedby, readby) peer=@NAME@,

  deny /proc/sysrq-trigger rwklx,
  deny /proc/kcore rwklx,
  deny /sys/[^f]*/** wklx,
  deny /sys/f[^s]*/** wklx,
  deny /sys/fs/[^c]*/** wklx,
  deny /sys/fs/c[^g]*/** wklx,
  deny /sys/fs/cg[^r]*/** wklx,
  deny /sys/firmware/** rwklx,
  deny /sys/devices/virtual/powercap/** rwklx,
  deny /sys/kernel/security/** rwklx,
"""

_DEFAULT = """
  deny mount,
  deny /proc/* w,
  deny /proc/{[^1-9],[^1-9][^0-9],[^1-9s][^0-9y][^0-9s],[^1-9][^0-9][^0-9][^0-9]*}/** w,
  deny /proc/sys/[^k]** w,
  deny /proc/sys/kernel/{?,??,[^s][^h][^m]**} w,
"""

# An init system mounts, and sets the host name and the sysctls of its own namespaces.
_SYSTEM = """
  mount,
  pivot_root,
  deny mount fstype=debugfs,
  deny mount fstype=tracefs,
  deny mount fstype=securityfs,
  deny mount fstype=efivarfs,
  deny mount fstype=pstore,
  deny /proc/sys/[^kn]** wklx,
  deny /proc/sys/kernel/[^dhms]** wklx,
  deny /proc/sys/kernel/d[^o]** wklx,
  deny /proc/sys/kernel/h[^o]** wklx,
  deny /proc/sys/kernel/ho[^s]** wklx,
  deny /proc/sys/kernel/m[^s]** wklx,
  deny /proc/sys/kernel/s[^eh]** wklx,
"""


def _profile(system: bool) -> tuple[str, str]:
    """Name and text.  The name has a sum of the rules: those of another version are another profile."""
    rules = _COMMON + (_SYSTEM if system else _DEFAULT)
    name = f"lxcwrap-{'system' if system else 'default'}-{zlib.crc32(rules.encode()):08x}"
    flags = "flags=(attach_disconnected, mediate_deleted)"
    return name, f"abi <abi/3.0>,\nprofile {name} {flags} {{{rules.replace('@NAME@', name)}}}\n"


def name_for(security: Security, *, system: bool) -> str:
    """The profile that a container gets on a kernel with AppArmor; ``unconfined`` for none."""
    asked = Options(security.security_opt).apparmor
    return asked or (UNCONFINED if security.privileged else _profile(system)[0])


def ensure(name: str, *, system: bool) -> None:
    """Load our profile when the kernel does not have it.  Nothing is ever left unconfined for want of one.

    Raises RuntimeFailure when it cannot be loaded, Unsupported when another's profile is not there.
    """
    if name == UNCONFINED or name in _loaded():
        return
    own, text = _profile(system)
    if name != own:
        raise Unsupported(f"apparmor={name:.80}: no such profile is loaded", hint="apparmor_parser -r FILE loads one")
    _load(text)


def _loaded() -> frozenset[str]:
    """Names in the kernel's list, whose lines are ``name (mode)``."""
    try:
        with open(LOADED, encoding="utf-8", errors="replace") as stream:
            return frozenset(line.rpartition(" (")[0] for line in stream)
    except OSError as error:
        raise RuntimeFailure(f"AppArmor: {LOADED}: {error.strerror}", hint=_HINT) from error


def _load(text: str) -> None:
    import subprocess

    parser = next((path for path in _PARSERS if os.path.exists(path)), "")
    if not parser:
        raise RuntimeFailure("AppArmor: no apparmor_parser on this host to load the profile", hint=_HINT)
    done = subprocess.run([parser, "-r", "-K"], input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        said = " ".join(done.stderr.split())
        raise RuntimeFailure(f"AppArmor: the profile could not be loaded: {said:.300}", hint=_HINT)
