"""The settings of dual memory, with the published presets, without importing torch."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

import pydantic

from vestige.configs import Config

Weight = pydantic.NonNegativeFloat


class DualMemoryConfig(Config):
    """All knobs, under the published names where they have one.

    Attributes:
        epochs: So often as many windows as cover them are drawn from the forgotten sequences (or every query is asked).
        batch_size: Forgotten transitions a step; as many retained ones, times `retain_ratio`, beside them.
        lr, clip: AdamW on the adapter, gradient norm clipped.
        alpha_weight, beta_weight, kl_reg_weight: α, β and γ of the total loss.
        kl_mask_forgotten: Stability is asked on retained samples only.
        freeze_lm_head: No adapter on the output head.
        unlikelihood_weight: w_ul.
        pairwise_weight, pairwise_margin, hard_neg_k: w_pair, its margin, and how many of main's top items compete.
        topk_penalty_weight, topk_k, topk_margin: w_topk, K and its margin.
        abs_suppression_weight, abs_suppression_margin: w_abs and its margin.
        lora_r, lora_alpha, lora_dropout: Of the adapter.
        lora_blocks: The feed-forward `wi` of so many last decoder blocks carry it.
        positives: Nearest retained users from whom a forgotten user's positives are drawn.
        router_hidden, router_dropout, router_lr, router_weight_decay, router_epochs, router_batch_size: Of the router.
        router_layers: Which activations of the main memory it sees: the average state of every layer of these stacks.
        router_histories: At most so many histories of each forgotten user, and half as many of each retained one, are
            drawn for it; a quarter chooses the threshold, and a quarter of the others is added once more, shortened.
        target_precision: Of the routed ones, so many shall be histories to be forgotten, on held-out histories.
        routing: `hard` answers by the side memory above the threshold, `soft` mixes both logits by p there.
        retain_ratio: Retained transitions for each forgotten one in a step.
        amp: bfloat16 autocast while the side memory trains.
    """

    epochs: int = pydantic.Field(28, ge=1)
    batch_size: int = pydantic.Field(256, ge=1)
    lr: float = pydantic.Field(5e-4, gt=0)
    clip: float = pydantic.Field(1.0, gt=0)
    alpha_weight: Weight = 35.0
    beta_weight: Weight = 150.0
    kl_reg_weight: Weight = 12.0
    kl_mask_forgotten: bool = True
    freeze_lm_head: bool = True
    unlikelihood_weight: Weight = 1.5
    pairwise_weight: Weight = 1.2
    pairwise_margin: float = pydantic.Field(2.0, ge=0)
    hard_neg_k: int = pydantic.Field(50, ge=1)
    topk_penalty_weight: Weight = 0.0
    topk_k: int = pydantic.Field(100, ge=1)
    topk_margin: float = pydantic.Field(0.4, ge=0)
    abs_suppression_weight: Weight = 1.5
    abs_suppression_margin: float = pydantic.Field(3.0, ge=0)
    lora_r: int = pydantic.Field(16, ge=1)
    lora_alpha: float = pydantic.Field(16.0, gt=0)
    lora_dropout: float = pydantic.Field(0.0, ge=0, lt=1)
    lora_blocks: int = pydantic.Field(2, ge=1)
    positives: int = pydantic.Field(5, ge=1)
    router_hidden: int = pydantic.Field(64, ge=1)
    router_dropout: float = pydantic.Field(0.1, ge=0, lt=1)
    router_lr: float = pydantic.Field(1e-3, gt=0)
    router_weight_decay: float = pydantic.Field(0.0, ge=0)
    router_epochs: int = pydantic.Field(40, ge=1)
    router_batch_size: int = pydantic.Field(64, ge=1)
    router_layers: tuple[Literal["encoder", "decoder"], ...] = pydantic.Field(("encoder", "decoder"), min_length=1)
    router_histories: int = pydantic.Field(96, ge=2)
    target_precision: float = pydantic.Field(0.8, gt=0, le=1)
    routing: Literal["hard", "soft"] = "hard"
    retain_ratio: float = pydantic.Field(1.0, gt=0)
    amp: bool = False


_E2 = {
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
    }
)
