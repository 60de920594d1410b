"""What a container may do: capabilities, devices, masked and read-only kernel paths.  Pure."""

from __future__ import annotations

from lxcwrap.errors import Unsupported, UsageError
from lxcwrap.model.container import Security

# capabilities(7), in the kernel's order
ALL_CAPABILITIES = tuple(
    """
    CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE
    NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN
    SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE
    MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE
    """.split()
)

# Podman's eleven: Docker's fourteen without AUDIT_WRITE, MKNOD and NET_RAW
DEFAULT_CAPABILITIES = tuple(
    "CHOWN DAC_OVERRIDE FOWNER FSETID KILL NET_BIND_SERVICE SETFCAP SETGID SETPCAP SETUID SYS_CHROOT".split()
)
# what an init such as systemd needs on top, inside its own user namespace or not
SYSTEM_CAPABILITIES = tuple(
    "AUDIT_WRITE DAC_READ_SEARCH IPC_OWNER LEASE LINUX_IMMUTABLE NET_ADMIN NET_BROADCAST NET_RAW SYS_ADMIN SYS_BOOT "
    "SYS_NICE SYS_PTRACE SYS_RESOURCE SYS_TTY_CONFIG".split()
)

# type, numbers, permissions: null zero full random urandom tty, the pty multiplexer and ptys.  Not 5:1, though Docker
# has it: the container's /dev/console is a pty, and a node with that number, as images have it, is the host's own
DEVICES = (
    "c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm", "c 1:8 rwm", "c 1:9 rwm", "c 5:0 rwm", "c 5:2 rwm", "c 136:* rwm",
)  # fmt: skip
MAKE_NODES = ("c *:* m", "b *:* m")  # mknod alone gives no access

MASKED = (
    "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
    "/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/devices/virtual/powercap",
    "/sys/firmware",
)  # fmt: skip
READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

SAFE_SYSCTLS = ("kernel.msg", "kernel.sem", "kernel.shm", "fs.mqueue.", "net.")


def capability_name(text: str) -> str:
    """``net_admin``, ``CAP_NET_ADMIN``, ``all`` → ``NET_ADMIN``, ``ALL``.  Raises UsageError."""
    name = text.upper().removeprefix("CAP_")
    if name != "ALL" and name not in ALL_CAPABILITIES:
        raise UsageError(f"unknown capability {text!r:.60}", hint="see capabilities(7); for example NET_ADMIN")
    return name


def capabilities(security: Security, *, system: bool, known: int = len(ALL_CAPABILITIES)) -> tuple[str, ...]:
    """What a container keeps, in the kernel's order; ``known``: how many this kernel has."""
    available = ALL_CAPABILITIES[:known]
    added, dropped = set(security.cap_add), set(security.cap_drop)
    if security.privileged:
        kept = set(available)
    else:
        kept = set() if "ALL" in dropped else set(DEFAULT_CAPABILITIES)
        if system and "ALL" not in dropped:
            kept |= set(SYSTEM_CAPABILITIES)
        if "ALL" in added:
            kept = set(available)
    kept |= added - {"ALL"}
    kept -= dropped - {"ALL"} - (added - {"ALL"} if "ALL" in dropped else set())
    missing = sorted(kept - set(available))
    if missing:
        raise Unsupported(f"this kernel has no capability {missing[0]}")
    return tuple(name for name in ALL_CAPABILITIES if name in kept)


class Options:
    """``--security-opt`` taken apart.  Raises UsageError for what is not known."""

    def __init__(self, options: tuple[str, ...]) -> None:
        self.no_new_privileges = False
        self.seccomp = ""  # '' default, 'unconfined', or a path of a profile in liblxc's form
        self.apparmor = ""  # '' default, 'unconfined', or a profile's name
        self.label = ""
        self.unmasked = False
        for option in options:
            self._take(option)

    def _take(self, option: str) -> None:
        key, _, value = option.replace(":", "=", 1).partition("=") if "=" not in option else option.partition("=")
        if key == "no-new-privileges" and value in ("", "true", "false"):
            self.no_new_privileges = value != "false"
        elif key == "seccomp" and value:
            self.seccomp = "" if value == "builtin" else value
        elif key == "apparmor" and value:
            self.apparmor = value
        elif key == "label" and value == "disable":
            self.label = value
        elif key == "systempaths" and value == "unconfined":
            self.unmasked = True
        else:
            raise UsageError(
                f"security option {option!r:.80} is not known",
                hint="no-new-privileges, seccomp=unconfined|FILE, apparmor=unconfined|PROFILE, systempaths=unconfined",
            )
