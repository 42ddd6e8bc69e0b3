"""The settings of the T5 recommender, without importing torch."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import pydantic

from vestige.configs import Config
from vestige.recommenders.windows import Coverage

SCRATCH = "scratch"

INDEXES = ("tokens", "sequential", "random", "collaborative")

WORDS = (SCRATCH, *INDEXES)
"""Values of `init` and `items` that are no place."""

SHAPE = ("d_model", "d_ff", "layers", "heads")

LATER = ("init", "items", "prompt", "beams", "coverage")
"""Settings that came later: at their defaults they are left out, so that older records stay comparable."""


class T5RecommenderConfig(Config):
    """Shape, training and scoring of `t5`.

    Attributes:
        init: `scratch`, or a T5 checkpoint to start from: a folder, or a name on the Hugging Face hub.
        items: What spells an item: `tokens`, one token each; `sequential`, `random` or `collaborative`, an index that
            is made from what is trained on; or a file of an index, `original new` a line.
        prompt: What the encoder reads: the items (`ids`), or a sentence round them (`text`, of a checkpoint).
        beams: Where several tokens spell an item, 0 scores all items exactly; another number is the width of a beam
            search, outside of which items share what is left.
        d_model, d_ff, layers, heads: The shape from scratch; `layers` in the encoder and as many in the decoder.
        dropout: Of T5; it halves the speed on a CPU.
        init_scale: T5's `initializer_factor`; in a checkpoint, the spread of new tokens' rows as a share of the old's.
        passes: One random window of every sequence is a pass; with the coverage `whole`, as many as show all of it.
        coverage: Where windows lie. `inside`: within the sequence, so that its ends are in few of them.
            `even`: they may hang over both ends, so that every interaction of a long sequence is in as many. `whole`:
            as `even`, with as many a pass as show every interaction once on average, however long its sequence. A
            sequence that fits into a window is one in any case.
        window, context: Items the decoder predicts, and items before them that the encoder reads.
        recent: The last items of a history that go into the decoder when it is scored; with `window` 1 and `recent` 0
            the encoder reads the last `context` of it and the decoder says one item.
        batch_size, learning_rate, weight_decay, clip: AdamW with linear warm-up and decay, gradients clipped.
        score_batch_size: Queries scored at once.
        amp: bfloat16 autocast in training; scores are computed in full precision, or many of them would be equal.
    """

    files: ClassVar[tuple[str, ...]] = ("init", "items")
    words: ClassVar[tuple[str, ...]] = WORDS

    init: str = pydantic.Field(SCRATCH, min_length=1)
    items: str = pydantic.Field("tokens", min_length=1)
    prompt: Literal["ids", "text"] = "ids"
    beams: int = pydantic.Field(0, ge=0)
    d_model: int = pydantic.Field(64, ge=4)
    d_ff: int = pydantic.Field(256, ge=4)
    layers: int = pydantic.Field(2, ge=1)
    heads: int = pydantic.Field(4, ge=1)
    dropout: float = pydantic.Field(0.0, ge=0, lt=1)
    init_scale: float = pydantic.Field(0.2, gt=0)
    passes: int = pydantic.Field(60, ge=1)
    coverage: Coverage = "inside"
    window: int = pydantic.Field(30, ge=1)
    context: int = pydantic.Field(50, ge=1)
    recent: int = pydantic.Field(15, ge=0)
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

    @pydantic.model_validator(mode="after")
    def _settings_agree(self) -> "T5RecommenderConfig":
        if self.items not in INDEXES and not (Path(self.items).suffix or Path(self.items).name != self.items):
            raise ValueError(f"items = {self.items!r} must be one of {', '.join(INDEXES)}, or a file of an index")
        if self.init == SCRATCH:
            if self.prompt == "text":
                raise ValueError("prompt = 'text' needs a checkpoint that knows words; name one with init")
            return self
        fields = type(self).model_fields
        own = [name for name in SHAPE if getattr(self, name) != fields[name].default]
        if own:
            raise ValueError(f"init = {self.init!r} brings its own shape; leave out {', '.join(own)}")
        return self

    @pydantic.model_serializer(mode="wrap")
    def _without_later(self, handler: pydantic.SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = handler(self)
        fields = type(self).model_fields
        return {k: v for k, v in values.items() if k not in LATER or v != fields[k].default}


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
