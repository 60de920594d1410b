"""What deployments do on a host; not for use by hand."""

hidden = True
