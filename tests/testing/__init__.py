"""Tests of `vestige.testing`."""
