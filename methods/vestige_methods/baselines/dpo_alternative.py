"""dpo_alternative: prefers another item to the forgotten one.

    minimise mean_F −(2/β) log σ(β [log p_θ(y⁺)/p_o(y⁺) − log p_θ(y⁻)/p_o(y⁻)]) + α CE_r

y⁻ is the forgotten item, y⁺ one that the user keeps, or one drawn from all that is retained. Rafailov et al.,
"Direct Preference Optimization", NeurIPS 2023 (arXiv 2305.18290); for forgetting in Maini et al., "TOFU" (arXiv
2401.06121) and, with several alternatives, AltPO (Mekala et al., COLING 2025, arXiv 2409.13474). It writes a new
answer where there should be none.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import logsigmoid

from vestige.errors import InputError
from vestige.methods import Task, Unlearned
from vestige.recommenders.contract import Transitions
from vestige.recommenders.gradients import frozen
from vestige_methods.baselines.configs import DPOConfig
from vestige_methods.baselines.loop import ce, descend, differentiable


class DPOAlternative:
    """See the module's docstring."""

    def __init__(self, config: DPOConfig) -> None:
        self.config = config

    def unlearn(self, task: Task) -> Unlearned:
        """Trains all weights against a frozen copy of the original.

        Raises:
            InputError: Own items were asked for, but whole users are forgotten, who keep none.
        """
        model, c = differentiable(task, "dpo_alternative"), self.config
        if c.alternative == "own" and task.kind == "users":
            raise InputError(
                "alternative = 'own' needs items that users keep, but whole users are forgotten; use 'any'."
            )
        original = frozen(model)
        rng = np.random.default_rng(task.seed)

        def loss(forget: Transitions, retain: Transitions) -> torch.Tensor:
            better = torch.from_numpy(self._alternatives(task, forget, rng)).to(forget.targets.device)
            with torch.no_grad():
                before = torch.log_softmax(original.logits(forget), dim=-1)
            now = torch.log_softmax(model.logits(forget), dim=-1)
            gained = (now - before).gather(1, torch.stack([better, forget.targets], dim=1))
            preferred = logsigmoid(c.beta * (gained[:, 0] - gained[:, 1]))
            return -(2 / c.beta) * preferred.mean() + c.retain_weight * ce(model, retain)

        return descend(task, model, c, loss)

    def _alternatives(self, task: Task, forget: Transitions, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """int64 [transitions]: an item each that is not the forgotten one."""
        pool = task.retained.items
        if self.config.alternative == "own":
            pool = task.forget_sequences.items[~task.forget_mask]
        drawn = rng.choice(pool, size=(4, len(forget))).astype(np.int64)
        same = drawn == forget.targets.cpu().numpy()
        # The first of four draws that differs; where all are the same (hardly ever), the next item of the catalogue.
        first = same.argmin(axis=0)
        chosen = drawn[first, np.arange(len(forget))]
        better: npt.NDArray[np.int64] = np.where(same.all(axis=0), (chosen + 1) % len(task.catalogue), chosen)
        return better
