"""Manage images."""
