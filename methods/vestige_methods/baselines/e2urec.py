"""e2urec: a LoRA adapter, taught by the original on R, and on F by an original without what training on F would add.

    on R: CE + distil·KL(p_o ‖ p_θ);    on F: CE(softmax(z_o − α relu(z_aug − z_o)), softmax(z_θ))

z_aug are the logits of the original tuned on F for some more steps: what rises there is what F taught. Wang et al.,
"Towards Efficient and Effective Unlearning of Large Language Models for Recommendation", 2024 (arXiv 2403.03536).
The adapter is merged into the weights at the end, so that what is handed back is an ordinary checkpoint.
"""

from dataclasses import replace

import torch
from peft import LoraConfig, get_peft_model
from torch.nn.functional import cross_entropy

from vestige.methods import Task, Unlearned
from vestige.recommenders.contract import Transitions
from vestige.recommenders.flops import Flops
from vestige.recommenders.gradients import frozen
from vestige_methods.baselines.configs import DescentConfig, E2URecConfig
from vestige_methods.baselines.loop import ce, descend, differentiable, empty, kl


def without(original: torch.Tensor, augmented: torch.Tensor, suppression: float) -> torch.Tensor:
    """softmax(z_o − α relu(z_aug − z_o)), [transitions, items]."""
    return torch.softmax(original - suppression * torch.relu(augmented - original), dim=-1)


class E2URec:
    """See the module's docstring."""

    def __init__(self, config: E2URecConfig) -> None:
        self.config = config

    def unlearn(self, task: Task) -> Unlearned:
        """Tunes a copy on F, then trains the adapter."""
        model, c = differentiable(task, "e2urec"), self.config
        if empty(task):
            return Unlearned(task.recommender, 0, notes={"steps": 0}, flops=0.0)
        original, augmented = frozen(model), frozen(model)
        augmented.module.requires_grad_(True)
        tuning = DescentConfig(
            steps=c.augment_steps, batch_size=c.batch_size, learning_rate=c.learning_rate, clip=c.clip
        )
        tuned = descend(task, augmented, tuning, lambda forget, retain: ce(augmented, forget))
        augmented.module.requires_grad_(False)
        torch.manual_seed(task.seed)
        lora = LoraConfig(r=c.rank, lora_alpha=c.lora_alpha, lora_dropout=0.0, target_modules="all-linear")  # type: ignore[arg-type]
        adapter = get_peft_model(model.module, lora)

        def loss(forget: Transitions, retain: Transitions) -> torch.Tensor:
            with torch.no_grad():
                wanted = without(original.logits(forget), augmented.logits(forget), c.suppression)
                kept = original.logits(retain)
            now = model.logits(retain)
            on_f = cross_entropy(model.logits(forget), wanted)
            on_r = c.retain_weight * cross_entropy(now, retain.targets) + c.distil * kl(kept, now)
            return c.forget_weight * on_f + on_r

        spent = Flops(tuned.flops or 0.0, tuned.uncounted)
        found = descend(task, model, c, loss, extra=spent)
        adapter.merge_and_unload()
        model.module.requires_grad_(True)
        # The tuned copy is no part of what answers, but had to be trained all the same.
        return replace(
            found, trainable_parameters=(found.trainable_parameters or 0) + (tuned.trainable_parameters or 0)
        )
