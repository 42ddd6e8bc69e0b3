"""Where the settings of `finetune` and `dual_memory` are searched for; imported by the plugin's listing alone.

A module of its own, so that a change here makes no stored result stale.
"""

from types import MappingProxyType

from vestige.search import Float, Search

FINETUNE: Search = MappingProxyType(
    {
        "share": Float(0.02, 0.5, log=True),
        # Up to 1e-2 four studies out of four chose the upper end.
        "learning_rate": Float(1e-4, 5e-2, log=True),
    }
)

DUAL_MEMORY: Search = MappingProxyType(
    {
        "lr": Float(1e-4, 1e-2, log=True),
        # β alone says how forgetting is weighed against retention and stability.
        "beta_weight": Float(0.3, 300.0, log=True),
        "distill_delta": Float(0.2, 1.5),  # of the preset `distilled`
        "target_precision": Float(0.5, 0.95),
    }
)
