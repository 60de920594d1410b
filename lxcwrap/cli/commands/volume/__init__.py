"""Manage volumes."""
