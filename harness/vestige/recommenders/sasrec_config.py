"""The settings of the SASRec recommender, without importing torch."""

import pydantic

from vestige.configs import Config
from vestige.recommenders.windows import Coverage


class SASRecConfig(Config):
    """Shape, training and scoring of `sasrec`.

    Attributes:
        d_model, d_ff, layers, heads: The shape.
        dropout: On embeddings, attention weights and both residual branches.
        passes: As of `t5`.
        coverage: As of `t5`.
        window: Items that the model looks back on; a longer history is cut to its last `window`.
        batch_size, learning_rate, weight_decay, clip: AdamW with linear warm-up and decay, gradients clipped.
        score_batch_size: Queries scored at once.
        amp: bfloat16 autocast in training; scores are computed in full precision, or many of them would be equal.
    """

    d_model: int = pydantic.Field(64, ge=4)
    d_ff: int = pydantic.Field(256, ge=4)
    layers: int = pydantic.Field(2, ge=1)
    heads: int = pydantic.Field(2, ge=1)
    dropout: float = pydantic.Field(0.2, ge=0, lt=1)
    passes: int = pydantic.Field(100, ge=1)
    coverage: Coverage = "inside"
    window: int = pydantic.Field(50, ge=1)
    batch_size: int = pydantic.Field(32, ge=1)
    learning_rate: float = pydantic.Field(2e-3, gt=0)
    weight_decay: float = pydantic.Field(0.0, ge=0)
    clip: float = pydantic.Field(1.0, gt=0)
    score_batch_size: int = pydantic.Field(512, ge=1)
    amp: bool = False

    @pydantic.model_validator(mode="after")
    def _heads_divide(self) -> "SASRecConfig":
        if self.d_model % self.heads:
            raise ValueError(f"d_model = {self.d_model} must be a multiple of heads = {self.heads}")
        return self
