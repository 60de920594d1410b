"""Look after the build cache."""
