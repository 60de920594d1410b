"""The lock that who changes an application holds on its hosts."""
