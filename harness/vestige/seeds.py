"""Seeds: every role and every method draws its own from the board's seed and its name."""

import hashlib

import numpy as np


def derive(seed: int, *names: str) -> int:
    """A seed in [0, 2³¹) that depends on `seed` and `names` only, the same on every machine."""
    text = "\x1f".join([str(seed), *names])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1


def generator(seed: int, *names: str) -> np.random.Generator:
    """A NumPy generator seeded by `derive(seed, *names)`."""
    return np.random.default_rng(derive(seed, *names))
