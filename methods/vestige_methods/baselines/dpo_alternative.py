"""dpo_alternative: prefers another item to the forgotten one.

    minimise mean_F −(2/β) log σ(β [log p_θ(y⁺)/p_o(y⁺) − log p_θ(y⁻)/p_o(y⁻)]) + α CE_r

y⁻ is the forgotten item, y⁺ one that the same user keeps, or one drawn from all that is retained. Rafailov et al.,
"Direct Preference Optimization", NeurIPS 2023 (arXiv 2305.18290); for forgetting in Maini et al., "TOFU" (arXiv
2401.06121) and, with several alternatives, AltPO (Mekala et al., COLING 2025, arXiv 2409.13474). It writes a new
answer where there should be none. In the first term nothing is dropped out, so that θ_o is where all ratios are
1.
"""

import numpy as np
import torch
from torch.nn.functional import logsigmoid

from vestige.data.sequences import IntArray, Sequences, offsets_of
from vestige.errors import InputError
from vestige.methods import Task, Unlearned
from vestige.recommenders.contract import Transitions
from vestige.recommenders.gradients import frozen
from vestige_methods.baselines.configs import DPOConfig
from vestige_methods.baselines.loop import Batches, ce, descend, differentiable, without_dropout


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
        original, batches = frozen(model), Batches(model, task, c.batch_size)
        rng = np.random.default_rng(task.seed)
        pools = _pools(task, own=c.alternative == "own")

        def loss(forget: Transitions, retain: Transitions) -> torch.Tensor:
            pool = batches.asked_by if c.alternative == "own" else np.zeros(len(forget), dtype=np.int64)
            drawn = alternatives(pools, pool, forget.targets.cpu().numpy(), rng)
            better = torch.from_numpy(drawn).to(forget.targets.device)
            with torch.no_grad():
                before = torch.log_softmax(original.logits(forget), dim=-1)
            with without_dropout(model):
                now = torch.log_softmax(model.logits(forget), dim=-1)
            gained = (now - before).gather(1, torch.stack([better, forget.targets], dim=1))
            preferred = logsigmoid(c.beta * (gained[:, 0] - gained[:, 1]))
            return -(2 / c.beta) * preferred.mean() + c.retain_weight * ce(model, retain)

        return descend(task, model, c, loss, batches=batches)


def alternatives(pools: Sequences, pool: IntArray, targets: IntArray, rng: np.random.Generator) -> IntArray:
    """int64 [transitions]: an item each from a pool that is not the target.

    Args:
        pools: Items to draw from; the pools that are drawn from hold some.
        pool: int64 [transitions], whose number each is drawn from.
        targets: int64 [transitions].
        rng: Draws.
    """
    place = (rng.random((4, len(targets))) * pools.lengths[pool]).astype(np.int64)
    drawn = pools.items[pools.offsets[pool] + place].astype(np.int64)
    same = drawn == targets
    # The first of four draws that differs; where all are the same (hardly ever), the next item of any pool.
    chosen = drawn[same.argmin(axis=0), np.arange(len(targets))]
    none = np.flatnonzero(same.all(axis=0))
    if len(none):
        items = np.unique(pools.items).astype(np.int64)
        chosen[none] = items[np.searchsorted(items, targets[none], side="right") % len(items)]
    better: IntArray = chosen
    return better


def _pools(task: Task, own: bool) -> Sequences:
    """What each row of `forget_sequences` keeps; or one pool of all that is retained."""
    if not own:
        return Sequences(task.retained.items, np.asarray([0, len(task.retained.items)]), np.zeros(1, dtype=np.int32))
    kept, rows = ~task.forget_mask, task.forget_sequences
    row_of = np.repeat(np.arange(len(rows)), rows.lengths)
    sizes = np.bincount(row_of[kept], minlength=len(rows))
    if not sizes.all():
        raise InputError("alternative = 'own' needs items that users keep, but somebody keeps none; use 'any'.")
    return Sequences(rows.items[kept], offsets_of(sizes), rows.users)
