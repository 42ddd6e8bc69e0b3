"""The settings of dual memory, with the published presets, without importing torch."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import pydantic

from vestige.configs import Config

Weight = pydantic.NonNegativeFloat


class DualMemoryConfig(Config):
    """All knobs, under the published names where they have one.

    Attributes:
        epochs: So often as many windows as cover them are drawn from the forgotten sequences (or every query is asked).
        batch_size: Samples of a step: `forget_ratio` times as many forgotten transitions and `retain_ratio` times as
            many retained ones.
        forget_ratio, retain_ratio: See `batch_size`.
        window_epochs: Samples are drawn anew every so many epochs. In between the same batches come again, in another
            order, and what the frozen main memory says of them is kept: a step then takes two thirds of the time, for
            some 28 kB of memory a window at the size `nano`.
        lr, clip: AdamW on the adapter, gradient norm clipped.
        patience, min_delta: The side memory's training ends when the mean loss of an epoch has not fallen by
            `min_delta` below the lowest so far for `patience` epochs, and the weights of the lowest are kept; 0 trains
            for all epochs. Only training losses are looked at.
        alpha_weight, beta_weight, kl_reg_weight: α, β and γ of the total loss.
        kl_mask_forgotten: Stability is asked on retained samples only.
        freeze_lm_head: No adapter on the output head.
        negative_weight: Of BCE(s[y⁻] → 0); 1 as published.
        unlikelihood_weight: w_ul.
        pairwise_weight, pairwise_margin, hard_neg_k: w_pair, its margin, and how many of main's top items compete.
        topk_penalty_weight, topk_k, topk_margin: w_topk, K and its margin.
        abs_suppression_weight, abs_suppression_margin: w_abs and its margin.
        distill_weight, shift_weight: w_distill and w_shift; not published, see `losses.self_distillation` and
            `losses.log_prob_shift`.
        distill_delta: δ of both, in nats: how much less likely y⁻ should become. A retraining's loss of it is right.
        lora_r, lora_alpha, lora_dropout: Of the adapter.
        lora_blocks: The feed-forward `wi` of so many last decoder blocks carry it, unless there are `lora_targets`.
        lora_targets: Linear layers of the decoder that carry it, by their name in T5 or its end, as in
            `SelfAttention.q` or `decoder.block.1.layer.2.DenseReluDense.wi`; where T5 is gated, `wi` is both of its.
        positives: Nearest retained users from whom a forgotten user's positives are drawn.
        router_hidden, router_dropout, router_lr, router_weight_decay, router_epochs, router_batch_size: Of the router.
        router_layers: Which activations of the main memory it sees, averaged over the history: `encoder` and `decoder`
            stand for every layer of a stack, `encoder.0` for its embedding, `encoder.2` for its second block.
        router_histories: At most so many histories of each forgotten user are drawn for it; a quarter chooses the
            threshold, and a quarter of the others is added once more, shortened.
        router_retained_histories: The same of each retained user; half of `router_histories` unless given.
        target_precision: Of the routed ones, so many shall be histories to be forgotten, on held-out histories.
        routing: `hard` answers by the side memory above the threshold, `soft` mixes both logits by p there.
        warm_start: The folder of a dual memory that was saved for the same base: its adapter and router go on training.
        warm_start_sha256: Of what lies there; filled in, so that a result is never taken for that of another start.
        amp: bfloat16 autocast while the side memory trains.
        seed: Instead of the one that the board gives the method.
    """

    epochs: int = pydantic.Field(28, ge=1)
    batch_size: int = pydantic.Field(256, ge=1)
    forget_ratio: float = pydantic.Field(1.0, gt=0)
    retain_ratio: float = pydantic.Field(1.0, gt=0)
    window_epochs: int = pydantic.Field(1, ge=1)
    lr: float = pydantic.Field(5e-4, gt=0)
    clip: float = pydantic.Field(1.0, gt=0)
    patience: int = pydantic.Field(0, ge=0)
    min_delta: float = pydantic.Field(0.0, ge=0)
    alpha_weight: Weight = 35.0
    beta_weight: Weight = 150.0
    kl_reg_weight: Weight = 12.0
    kl_mask_forgotten: bool = True
    freeze_lm_head: bool = True
    negative_weight: Weight = 1.0
    unlikelihood_weight: Weight = 1.5
    pairwise_weight: Weight = 1.2
    pairwise_margin: float = pydantic.Field(2.0, ge=0)
    hard_neg_k: int = pydantic.Field(50, ge=1)
    topk_penalty_weight: Weight = 0.0
    topk_k: int = pydantic.Field(100, ge=1)
    topk_margin: float = pydantic.Field(0.4, ge=0)
    abs_suppression_weight: Weight = 1.5
    abs_suppression_margin: float = pydantic.Field(3.0, ge=0)
    distill_weight: Weight = 0.0
    shift_weight: Weight = 0.0
    distill_delta: float = pydantic.Field(0.6, ge=0)
    lora_r: int = pydantic.Field(16, ge=1)
    lora_alpha: float = pydantic.Field(16.0, gt=0)
    lora_dropout: float = pydantic.Field(0.0, ge=0, lt=1)
    lora_blocks: int = pydantic.Field(2, ge=1)
    lora_targets: tuple[str, ...] | None = pydantic.Field(None, min_length=1)
    positives: int = pydantic.Field(5, ge=1)
    router_hidden: int = pydantic.Field(64, ge=1)
    router_dropout: float = pydantic.Field(0.1, ge=0, lt=1)
    router_lr: float = pydantic.Field(1e-3, gt=0)
    router_weight_decay: float = pydantic.Field(0.0, ge=0)
    router_epochs: int = pydantic.Field(40, ge=1)
    router_batch_size: int = pydantic.Field(64, ge=1)
    router_layers: tuple[str, ...] = pydantic.Field(("encoder", "decoder"), min_length=1)
    router_histories: int = pydantic.Field(96, ge=2)
    router_retained_histories: int | None = pydantic.Field(None, ge=1)
    target_precision: float = pydantic.Field(0.8, gt=0, le=1)
    routing: Literal["hard", "soft"] = "hard"
    warm_start: str | None = None
    warm_start_sha256: str | None = None
    amp: bool = False
    seed: int | None = pydantic.Field(None, ge=0)

    @pydantic.model_validator(mode="before")
    @classmethod
    def _warm(cls, values: Any) -> Any:
        """Fills in the checksum of what `warm_start` holds; one that is given is asked for when it is read, since the
        settings of what was made of it long ago must stay readable.
        """
        if not isinstance(values, Mapping) or not isinstance(values.get("warm_start"), str):
            return values
        if values.get("warm_start_sha256") is not None:
            return values
        return {**values, "warm_start_sha256": folder_checksum(Path(values["warm_start"]).expanduser())}

    @pydantic.model_validator(mode="after")
    def _something_to_train(self) -> "DualMemoryConfig":
        forgetting = (
            self.negative_weight,
            self.unlikelihood_weight,
            self.pairwise_weight,
            self.topk_penalty_weight,
            self.abs_suppression_weight,
            self.distill_weight,
            self.shift_weight,
        )
        if not (self.beta_weight and any(forgetting)):
            raise ValueError("nothing would be forgotten: beta_weight, or every weight of a forgetting loss, is 0")
        if self.lora_targets is not None and self.freeze_lm_head and "lm_head" in self.lora_targets:
            raise ValueError("lora_targets names lm_head, which freeze_lm_head = true keeps as it is")
        return self


def folder_checksum(folder: Path) -> str:
    """SHA-256 over the names and contents of all files in a folder."""
    if not folder.is_dir():
        raise ValueError(f"warm_start: there is no folder {folder}")
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = file.read_bytes()
        digest.update(f"{file.relative_to(folder).as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()


_DECODER = (
    *(f"SelfAttention.{name}" for name in "qkvo"),
    *(f"EncDecAttention.{name}" for name in "qkvo"),
    *("wi", "wo"),
)
"""Every linear layer of an ungated decoder."""

_E2 = {
    "window_epochs": 28,
    "pairwise_weight": 1.2,
    "pairwise_margin": 2.0,
    "kl_reg_weight": 12.0,
    "alpha_weight": 35.0,
    "beta_weight": 150.0,
    "unlikelihood_weight": 1.5,
    "abs_suppression_weight": 1.5,
    "abs_suppression_margin": 3.0,
    "kl_mask_forgotten": True,
    "freeze_lm_head": True,
}

PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "e1_stable": {
            "window_epochs": 28,
            "pairwise_weight": 0.6,
            "pairwise_margin": 1.5,
            "kl_reg_weight": 15.0,
            "alpha_weight": 40.0,
            "beta_weight": 120.0,
            "unlikelihood_weight": 1.0,
            "abs_suppression_weight": 0.0,
            "kl_mask_forgotten": True,
            "freeze_lm_head": True,
        },
        "e2_strong": _E2,
        "published": {
            **_E2,
            "epochs": 28,
            "batch_size": 256,
            "lr": 5e-4,
            "lora_r": 16,
            "lora_alpha": 16.0,
            "beta_weight": 240.0,
            "kl_reg_weight": 6.0,
            "pairwise_weight": 0.8,
            "hard_neg_k": 50,
            "topk_penalty_weight": 1.5,
            "topk_k": 100,
            "topk_margin": 0.4,
            "abs_suppression_weight": 3.0,
            "abs_suppression_margin": 3.5,
        },
        "distilled": {
            "epochs": 8,
            "lr": 5e-3,
            "retain_ratio": 0.7,
            "lora_r": 32,
            "lora_alpha": 32.0,
            "lora_targets": _DECODER,
            "alpha_weight": 0.0,
            "beta_weight": 1.0,
            "kl_reg_weight": 1.0,
            "kl_mask_forgotten": True,
            "freeze_lm_head": False,
            "negative_weight": 0.0,
            "unlikelihood_weight": 0.0,
            "pairwise_weight": 0.0,
            "topk_penalty_weight": 0.0,
            "abs_suppression_weight": 0.0,
            "distill_weight": 1.0,
            "shift_weight": 1.0,
            "distill_delta": 1.2,
            "router_hidden": 256,
            "router_dropout": 0.0,
            "router_lr": 3e-3,
            "router_epochs": 60,
            "router_batch_size": 256,
            "router_histories": 96,
            "router_retained_histories": 12,
            "target_precision": 0.5,
        },
    }
)
