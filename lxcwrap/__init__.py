"""Docker's workflow on LXC, without a daemon."""

__version__ = "0.1.0"
