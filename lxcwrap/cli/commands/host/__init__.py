"""Hosts that are driven over SSH: enrol them, see how they are, install lxcwrap there."""
