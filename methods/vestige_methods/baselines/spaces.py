"""Where the settings of the baselines are searched for: at most four each, around what their sources and we began with.

Rates and weights are drawn on the log scale. Steps end at twice the default (of e2urec, at the default), so that no
trial costs far more than the method is meant to. Where studies chose the end of a range, it was moved. A module of its
own, so that a change here makes no stored result stale.
"""

from collections.abc import Mapping
from types import MappingProxyType

from vestige.search import Choice, Float, Integer, Search

RATE = Float(5e-5, 5e-3, log=True)
STEPS = Integer(50, 400, log=True)
WEIGHT = Float(0.1, 3.0, log=True)

SPACES: Mapping[str, Search] = MappingProxyType(
    {
        "gradient_ascent": {"learning_rate": Float(1e-5, 1e-3, log=True), "rise": Float(0.1, 2.0, log=True)},
        "grad_diff": {"learning_rate": RATE, "forget_weight": Float(0.02, 1.0, log=True), "steps": STEPS},
        # β: 0.1 in the source, and 0.05 to 5 in what followed it.
        "npo": {
            "learning_rate": RATE,
            "beta": Float(0.05, 5.0, log=True),
            "retain_weight": Float(0.1, 10.0, log=True),
            "steps": STEPS,
        },
        "simnpo": {"learning_rate": RATE, "beta": Float(0.1, 5.0, log=True), "margin": Float(0.0, 2.0), "steps": STEPS},
        "dpo_alternative": {
            "learning_rate": RATE,
            "beta": Float(0.05, 5.0, log=True),
            "retain_weight": WEIGHT,
            "steps": STEPS,
        },
        "undial": {
            "learning_rate": Float(1e-4, 5e-2, log=True),
            "beta": Float(0.3, 10.0, log=True),
            "retain_weight": Float(0.0, 1.0),
            "steps": STEPS,
        },
        "bad_teacher": {"learning_rate": RATE, "forget_weight": Float(0.02, 3.0, log=True), "steps": STEPS},
        "scrub": {
            "learning_rate": RATE,
            "max_steps": Integer(10, 200, log=True),
            "distil": Float(0.01, 3.0, log=True),
            "steps": STEPS,
        },
        "random_label": {"learning_rate": RATE, "forget_weight": WEIGHT, "steps": STEPS},
        "pcgrad": {"learning_rate": RATE, "forget_weight": Float(0.02, 1.0, log=True), "steps": STEPS},
        # α: 10 in the source, over models of very different sizes; λ: 1.
        "ssd": {"alpha": Float(0.1, 50.0, log=True), "dampening": Float(0.1, 10.0, log=True)},
        "noise_repair": {
            "variant": Choice(("noise", "reset")),
            "noise": Float(0.05, 1.0, log=True),
            "share": Float(0.02, 0.5, log=True),
            "learning_rate": Float(2e-4, 5e-2, log=True),
        },
        "task_vector": {
            "learning_rate": RATE,
            "scale": Float(0.1, 2.0, log=True),
            "steps": Integer(10, 160, log=True),
        },
        "influence": {
            "damping": Float(1e-4, 1.0, log=True),
            "scale": Float(0.1, 10.0, log=True),
            "layers": Choice(("all", "items")),
        },
        # A first study on MovieLens-100K chose the upper ends of the rate and of α, and took 0.8 of a retraining with
        # 358 steps: a step costs five forward passes.
        "e2urec": {
            "learning_rate": Float(5e-4, 2e-2, log=True),
            "suppression": Float(0.3, 100.0, log=True),
            "forget_weight": Float(0.3, 10.0, log=True),
            "steps": Integer(40, 200, log=True),
        },
    }
)
"""By the method's name; `decode_filter` has nothing to set."""
