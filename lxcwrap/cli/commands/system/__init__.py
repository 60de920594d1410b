"""Look after this host."""
