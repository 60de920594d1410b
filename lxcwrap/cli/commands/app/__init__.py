"""The containers of an application, on whichever hosts they are."""
