"""How a container's health is asked for: part of images and of containers."""

from __future__ import annotations

from dataclasses import dataclass

from lxcwrap.model.record import Record


@dataclass(frozen=True)
class HealthCheck(Record):
    """Docker's ``Healthcheck``: test is ``("NONE",)``, ``("CMD", …)`` or ``("CMD-SHELL", line)``.

    Times are in ns; 0 is the default.
    """

    test: tuple[str, ...] = ()
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0
