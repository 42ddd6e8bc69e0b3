"""The metrics that come with Vestige."""
