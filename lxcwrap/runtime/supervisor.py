"""The program that keeps one container: mounts, starts, pumps, restarts, takes down.

Started by ``runtime/spawn.py`` as ``python -I -S supervisor.py DIRECTORY`` (python3-lxc's) with a socket as descriptor
0, over which the plan comes (``runtime/frames.py``).  What it imports is what every container costs: no click,
dataclasses, sqlite3.
"""

from __future__ import annotations

import gc
import os
import sys

if __name__ == "__main__":  # -I -S: nothing is on the path but the standard library
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))


def main() -> None:
    """See one plan through, or as a nursery several."""
    from lxcwrap.runtime import birth, lxc, session

    os.closerange(3, 1 << 20)  # what was open in the caller is none of the container's business
    for name in set(os.environ) - {"LXC_MEMFD_REXEC"}:  # no PATH: liblxc writes id maps itself then, not newuidmap
        del os.environ[name]
    os.umask(0o022)
    os.chdir("/")
    sys.path.append(sys.argv[1])
    try:
        lxc.load()
    except lxc.LxcError:  # said by the session, which has somebody to say it to
        pass
    gc.set_threshold(50_000)  # rarely, if ever
    gc.freeze()  # what is loaded by now stays: looking through it again would only unshare its memory
    if sys.argv[2:]:
        from lxcwrap.kernel import idmap  # noqa: F401  what every child will need is loaded before it is born
        from lxcwrap.runtime import nursery

        nursery.serve(session.supervise)
    else:
        birth.serve(session.supervise)


if __name__ == "__main__":
    main()
