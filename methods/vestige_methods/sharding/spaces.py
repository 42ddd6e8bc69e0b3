"""Where the settings of the methods with shards are searched for; imported by the plugin's listing alone.

A module of its own, so that a change here makes no stored result stale. A trial trains a base, a gold and a control of
its own, so a study takes as long as some thirty retrainings.
"""

from types import MappingProxyType

from vestige.search import Choice, Float, Integer, Search

SISA: Search = MappingProxyType(
    {
        "shards": Integer(2, 8, log=True),
        "partition": Choice(("random", "balanced")),
        "aggregation": Choice(("mean", "attention")),
        "temperature": Float(0.02, 1.0, log=True),
    }
)

ADAPTER_SHARDS: Search = MappingProxyType(
    {
        "backbone_share": Float(0.2, 0.8),
        "partition": Choice(("random", "balanced")),
        "temperature": Float(0.02, 1.0, log=True),
        "learning_rate": Float(1e-3, 2e-2, log=True),
    }
)
