"""The same method, broken in every way that a plugin can be."""
