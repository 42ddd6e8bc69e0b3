"""Tests of `vestige.scaffold`."""
