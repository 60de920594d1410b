"""Manage containers."""
