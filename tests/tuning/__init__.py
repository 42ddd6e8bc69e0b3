"""Tests of `vestige tune`, from search spaces to boards that use a study."""
