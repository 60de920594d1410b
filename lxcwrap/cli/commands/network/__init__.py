"""Manage networks."""
