"""Other hosts: which there are, and how they are reached."""
