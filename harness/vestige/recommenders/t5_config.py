"""The settings of the T5 recommender, without importing torch."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pydantic

from vestige.configs import Config


class T5RecommenderConfig(Config):
    """Shape, training and scoring of `t5`.

    Attributes:
        d_model, d_ff, layers, heads: The shape; `layers` in the encoder and as many in the decoder.
        dropout: Of T5; it halves the speed on a CPU.
        init_scale: T5's `initializer_factor`.
        passes: One random window of every sequence is a pass.
        window, context: Items the decoder predicts, and items before them that the encoder reads.
        recent: The last items of a history that go into the decoder when it is scored.
        batch_size, learning_rate, weight_decay, clip: AdamW with linear warm-up and decay, gradients clipped.
        score_batch_size: Queries scored at once.
        amp: bfloat16 autocast.
    """

    d_model: int = pydantic.Field(64, ge=4)
    d_ff: int = pydantic.Field(256, ge=4)
    layers: int = pydantic.Field(2, ge=1)
    heads: int = pydantic.Field(4, ge=1)
    dropout: float = pydantic.Field(0.0, ge=0, lt=1)
    init_scale: float = pydantic.Field(0.2, gt=0)
    passes: int = pydantic.Field(60, ge=1)
    window: int = pydantic.Field(30, ge=1)
    context: int = pydantic.Field(50, ge=1)
    recent: int = pydantic.Field(15, ge=1)
    batch_size: int = pydantic.Field(32, ge=1)
    learning_rate: float = pydantic.Field(5e-3, gt=0)
    weight_decay: float = pydantic.Field(0.1, ge=0)
    clip: float = pydantic.Field(1.0, gt=0)
    score_batch_size: int = pydantic.Field(256, ge=1)
    amp: bool = False

    @pydantic.model_validator(mode="after")
    def _heads_divide(self) -> "T5RecommenderConfig":
        if self.d_model % self.heads:
            raise ValueError(f"d_model = {self.d_model} must be a multiple of heads = {self.heads}")
        return self


PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "nano": {"d_model": 64, "d_ff": 256, "layers": 2, "heads": 4},
        "mini": {"d_model": 128, "d_ff": 512, "layers": 3, "heads": 4, "learning_rate": 2e-3},
        "small": {
            "d_model": 512,
            "d_ff": 2048,
            "layers": 6,
            "heads": 8,
            "dropout": 0.1,
            "init_scale": 1.0,
            "learning_rate": 5e-4,
            "batch_size": 32,
        },
    }
)
