"""The datasets and file readers that come with Vestige."""
