"""What is left when a container has ended: its ports, and with ``--rm`` the container itself.

The client that is attached does it; without one the supervisor becomes this program.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":  # -I -S: nothing is on the path but the standard library
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from lxcwrap.store.containers import Container
from lxcwrap.store.database import Store


def finish(store: Store, container: Container) -> None:
    """Take down what outlives the supervisor's mounts.  The container has ended."""
    from lxcwrap.actions import remove
    from lxcwrap.actions.start import unpublish

    unpublish(store, container)
    if container.config.auto_remove:
        remove.discard(store, container, anonymous_volumes=True)


def main(root: str, container_id: str) -> None:
    """The supervisor's last act."""
    from lxcwrap.model.paths import Paths
    from lxcwrap.store import containers

    store = Store(Paths(root))
    finish(store, containers.resolve(store, container_id))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
    os._exit(0)  # without closing the database: whoever closes it last takes its log down, which costs the next one
