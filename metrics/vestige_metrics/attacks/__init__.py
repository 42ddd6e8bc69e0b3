"""The attacks that come with Vestige."""
