"""Secrets of an application: on its hosts in memory only, in its containers as files."""
