"""Methods that fail when they are run."""

import time

import numpy as np


class Raises:
    def __init__(self, config):
        raise RuntimeError("cannot be made")


class Hangs:
    def __init__(self, config):
        pass

    def unlearn(self, task):
        time.sleep(3600)


class Eats(Hangs):
    def unlearn(self, task):
        eaten = []
        while len(eaten) < 64:  # 4 GiB, should nobody stop it
            eaten.append(np.ones(2**23))
            time.sleep(0.05)
        super().unlearn(task)
