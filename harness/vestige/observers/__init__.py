"""Observers that come with Vestige; each is told of the runs that ask for it by name."""
