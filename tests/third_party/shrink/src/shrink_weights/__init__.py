"""A method of somebody else's: it shrinks all weights."""
