"""Make base images from their definitions."""
