"""The settings of the baselines, without importing torch.

`forget_weight` (γ) and `retain_weight` (α) weigh what is done on the forgotten and on the retained transitions.
"""

from typing import Literal

import pydantic

from vestige.configs import Config


class DescentConfig(Config):
    """What every method with an optimizer loop has.

    Attributes:
        steps: Optimizer steps; each sees `batch_size` sequences of F and as many of R.
        batch_size: Sequences; for single interactions also the forgotten transitions of a step.
        learning_rate, clip: AdamW without decay; gradients clipped to this norm.
    """

    steps: int = pydantic.Field(200, ge=1)
    batch_size: int = pydantic.Field(32, ge=1)
    learning_rate: float = pydantic.Field(5e-4, gt=0)
    clip: float = pydantic.Field(1.0, gt=0)


class GradientAscentConfig(DescentConfig):
    """`rise`: nats by which a batch of forgotten transitions must have become less likely for the ascent to stop."""

    learning_rate: float = pydantic.Field(1e-4, gt=0)
    rise: float = pydantic.Field(0.5, gt=0)


class GradDiffConfig(DescentConfig):
    """See the module."""

    forget_weight: float = pydantic.Field(0.2, ge=0)
    retain_weight: float = pydantic.Field(1.0, ge=0)


class NPOConfig(DescentConfig):
    """`beta`: the larger, the sooner a transition that is already unlikely is left alone."""

    beta: float = pydantic.Field(0.5, gt=0)
    retain_weight: float = pydantic.Field(1.0, ge=0)


class SimNPOConfig(NPOConfig):
    """`margin` (γ): a transition counts as forgotten where its log-probability is under −γ/β."""

    margin: float = pydantic.Field(0.0, ge=0)


class DPOConfig(NPOConfig):
    """`alternative`: whom the preferred item is drawn from: the user's own retained items (for single interactions),
    or all retained interactions."""

    alternative: Literal["own", "any"] = "any"


class UndialConfig(DescentConfig):
    """`beta`: by how much the forgotten item's logit is lowered in the target."""

    beta: float = pydantic.Field(1.0, ge=0)
    retain_weight: float = pydantic.Field(0.0, ge=0)


class BadTeacherConfig(DescentConfig):
    """See the module."""

    forget_weight: float = pydantic.Field(1.0, ge=0)
    retain_weight: float = pydantic.Field(1.0, ge=0)


class ScrubConfig(DescentConfig):
    """`max_steps`: so many of `steps` drive the model away on F, a quarter of all at most.

    They stand by turns in the first half of all steps, so that the other half repairs.

    `distil`: weight of the divergence from the original on R, beside `retain_weight` of the cross-entropy.
    """

    max_steps: int = pydantic.Field(50, ge=1)
    distil: float = pydantic.Field(1.0, ge=0)
    retain_weight: float = pydantic.Field(1.0, ge=0)


class RandomLabelConfig(DescentConfig):
    """See the module."""

    forget_weight: float = pydantic.Field(1.0, ge=0)
    retain_weight: float = pydantic.Field(1.0, ge=0)


class PCGradConfig(DescentConfig):
    """See the module."""

    forget_weight: float = pydantic.Field(0.2, ge=0)
    retain_weight: float = pydantic.Field(1.0, ge=0)


class SSDConfig(Config):
    """`alpha`: a weight is dampened where it matters so many times more to F than to all; `dampening` (λ): how much.

    `transitions`: so many of F, and of all training transitions, the Fisher information is estimated on.
    """

    alpha: float = pydantic.Field(2.0, gt=0)
    dampening: float = pydantic.Field(1.0, gt=0)
    transitions: int = pydantic.Field(2000, ge=1)


class NoiseRepairConfig(DescentConfig):
    """`variant`: `noise` adds noise of `noise` times each matrix's standard deviation to it; `reset` lets the `share`
    of weights that matter least to what is retained begin again from θ_0. Then both repair on R for `steps`."""

    variant: Literal["noise", "reset"] = "noise"
    noise: float = pydantic.Field(0.3, ge=0)
    share: float = pydantic.Field(0.1, gt=0, lt=1)
    learning_rate: float = pydantic.Field(1e-3, gt=0)


class TaskVectorConfig(DescentConfig):
    """`scale` (λ): how far to go away from what training on F alone (for `steps`) adds."""

    scale: float = pydantic.Field(0.5, ge=0)
    steps: int = pydantic.Field(40, ge=1)


class InfluenceConfig(Config):
    """Newton's step, by conjugate gradients.

    Attributes:
        damping (λ): Added to the curvature's diagonal.
        scale: Of the step; 1 is Newton's.
        iterations: Of conjugate gradients.
        sequences: So many of R, drawn once, stand for all in the curvature.
        layers: `all`, or `items`: only the embeddings of the items (selected, as SCIF does for users' and items').
    """

    damping: float = pydantic.Field(0.01, gt=0)
    scale: float = pydantic.Field(1.0, gt=0)
    iterations: int = pydantic.Field(20, ge=1)
    sequences: int = pydantic.Field(128, ge=1)
    layers: Literal["all", "items"] = "all"


class E2URecConfig(DescentConfig):
    """LoRA's `rank` and `lora_alpha`; `suppression`: α of the forgetting teacher; `augment_steps`: of tuning on F.

    `forget_weight`, `retain_weight`, `distil`: of the forgetting teacher, the cross-entropy and the divergence from the
    original on R.
    """

    rank: int = pydantic.Field(8, ge=1)
    lora_alpha: float = pydantic.Field(16.0, gt=0)
    suppression: float = pydantic.Field(1.0, ge=0)
    augment_steps: int = pydantic.Field(40, ge=1)
    forget_weight: float = pydantic.Field(1.0, ge=0)
    retain_weight: float = pydantic.Field(1.0, ge=0)
    distil: float = pydantic.Field(1.0, ge=0)
    learning_rate: float = pydantic.Field(2e-3, gt=0)
