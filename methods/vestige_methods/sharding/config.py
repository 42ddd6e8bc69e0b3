"""The settings of the methods with shards, without importing torch."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

import pydantic

from vestige.configs import Config


class ShardsConfig(Config):
    """How users are divided, and how shards are weighed.

    Attributes:
        shards: How many.
        partition: `random`, by a hash of user and seed; `balanced`, similar users together, as many in each.
        temperature (τ): Of the attention; the lower, the more the nearest shard alone answers.
        passes: Over each shard; the recommender's own unless given.
    """

    shards: int = pydantic.Field(4, ge=2)
    partition: Literal["random", "balanced"] = "random"
    temperature: float = pydantic.Field(0.1, gt=0)
    passes: int | None = pydantic.Field(None, ge=1)


class SISAConfig(ShardsConfig):
    """`aggregation`: `mean`, all shards alike; `attention`, by how near the history is to each."""

    aggregation: Literal["mean", "attention"] = "mean"


class AdapterShardsConfig(ShardsConfig):
    """LoRA on every linear layer.

    Attributes:
        backbone_share: Of the users, drawn by seed, the backbone is trained on; it has no use where the recommender
            starts from a checkpoint.
        rank, lora_alpha, learning_rate: Of the adapters.
        mixing: `parameters`, each history is answered by one model whose adapter is the weighted sum of all (as
            published); `answers`, every adapter answers, and their probabilities are mixed.
    """

    backbone_share: float = pydantic.Field(0.5, gt=0, lt=1)
    rank: int = pydantic.Field(8, ge=1)
    lora_alpha: float = pydantic.Field(16.0, gt=0)
    learning_rate: float = pydantic.Field(5e-3, gt=0)
    mixing: Literal["parameters", "answers"] = "parameters"


SISA_PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {"receraser": {"partition": "balanced", "aggregation": "attention"}}
)
