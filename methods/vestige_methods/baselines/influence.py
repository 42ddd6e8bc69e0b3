"""influence: one Newton step towards where training without F would have ended.

    θ = θ_o + scale · (H + λI)⁻¹ g,   g = (|F| / |R|) ∇CE_f(θ_o),   H = ∇²CE_r(θ_o)

In |F|, |R| and CE_f an interaction weighs as it does in training, which draws windows. What stands first in a
history is no transition that could be asked for; it is taken to have the average gradient of the others.

Removing F moves the optimum of the mean loss by that much, to first order (Koh and Liang, ICML 2017, arXiv
1703.04730; Guo et al., "Certified Data Removal", ICML 2020, arXiv 1911.03030). On the items' embeddings alone it is
the selection of SCIF (Li et al., "Selective and Collaborative Influence Function for Efficient Recommendation
Unlearning", 2023, arXiv 2304.10199). The system is solved by conjugate gradients with products of H and a vector; H
is the Gauss–Newton matrix, which has no negative curvature, so that the solver is sound (Martens, "Deep Learning
via Hessian-free Optimization", ICML 2010).
"""

from collections.abc import Callable
from functools import partial
from typing import cast

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cross_entropy

from vestige.data.sequences import IntArray, sequences
from vestige.errors import InputError
from vestige.methods import Task, Unlearned
from vestige.recommenders.contract import Differentiable, Transitions
from vestige.recommenders.torch_tools import deterministic
from vestige_methods.baselines.configs import InfluenceConfig
from vestige_methods.baselines.counting import CountsSome
from vestige_methods.baselines.loop import differentiable, empty, numbers
from vestige_methods.baselines.shares import drawn, forgotten_by_retained, of_queries

AT_ONCE = 64
"""Forgotten transitions, or retained sequences, of one pass."""

Vector = list[torch.Tensor]


class Influence:
    """See the module's docstring."""

    def __init__(self, config: InfluenceConfig) -> None:
        self.config = config

    def unlearn(self, task: Task) -> Unlearned:
        """Takes the step on all weights, or on the items' embeddings."""
        model = differentiable(task, "influence")
        if empty(task):
            return Unlearned(task.recommender, 0, notes={"length of the step": 0.0}, flops=0.0)
        deterministic(task.seed)
        model.module.eval()
        if not len(task.forget):
            raise InputError("influence: each forgotten user has a single interaction, which no transition leads to.")
        weights = self._weights(model, task)
        counts = CountsSome(), CountsSome()
        step, residual = self._solve(model, task, weights, *counts)
        with torch.no_grad():
            for weight, by in zip(weights, step, strict=True):
                weight.add_(by, alpha=self.config.scale)
        notes = {
            "length of the step": self.config.scale * _dot(step, step) ** 0.5,
            "what is left of the equation": residual,
        }
        uncounted = tuple(sorted({name for each in counts for name in each.total.uncounted}))
        return Unlearned(task.recommender, numbers(weights), notes, sum(each.total.count for each in counts), uncounted)

    def _weights(self, model: Differentiable, task: Task) -> Vector:
        """All weights, or the embeddings that items are read from; weights that are shared count once."""
        if self.config.layers == "all":
            return [p for p in model.module.parameters() if p.requires_grad]
        one, other = _two_alike(model.module, task)
        items: Vector = [table for table, rows in one.items() if not torch.equal(rows, other[table])]
        if not items:
            raise InputError("layers = 'items': this recommender reads items from no embedding; use 'all'.")
        return items

    def _solve(
        self, model: Differentiable, task: Task, weights: Vector, slopes: CountsSome, products: CountsSome
    ) -> tuple[Vector, float]:
        rng = np.random.default_rng(task.seed)
        rows = drawn(model, task.retained.lengths, rng)[: self.config.sequences]
        retained = [
            model.transitions(task.retained.take(rows[start : start + AT_ONCE]), rng)
            for start in range(0, len(rows), AT_ONCE)
        ]
        # F's share of the mean loss: (1/n) Σ over F, with n the weight of the transitions that stay.
        share = forgotten_by_retained(model, task)
        towards = [share * g for g in self._gradient(model, task, weights, slopes)]

        def curvature(vector: Vector) -> Vector:
            return products.run(partial(_gauss_newton, model, retained, weights, self.config.damping, vector))

        return conjugate_gradients(curvature, towards, self.config.iterations)

    def _gradient(self, model: Differentiable, task: Task, weights: Vector, counts: CountsSome) -> Vector:
        """∇CE_f over all forgotten transitions."""
        total = [torch.zeros_like(w) for w in weights]
        shares = torch.from_numpy(of_queries(model, task)).float()

        def slope(rows: IntArray) -> tuple[torch.Tensor | None, ...]:
            asked = model.transitions_of(task.forget.take(rows))
            each = cross_entropy(model.logits(asked), asked.targets, reduction="none")
            loss = (each * shares[rows].to(each.device)).sum()
            return torch.autograd.grad(loss, weights, allow_unused=True)

        for start in range(0, len(task.forget), AT_ONCE):
            rows = np.arange(start, min(start + AT_ONCE, len(task.forget)))
            for sum_, g in zip(total, counts.run(partial(slope, rows)), strict=True):
                if g is not None:
                    sum_.add_(g)
        return total


Read = dict[torch.nn.Parameter, torch.Tensor]
"""By the weights of an embedding, the rows that are read of it."""


def _two_alike(module: torch.nn.Module, task: Task) -> tuple[Read, Read]:
    """What is read of two items that as many tokens spell, so that tables of positions are read alike of both.

    Raises:
        InputError: There are no two such items.
    """
    by_counts: dict[tuple[int, ...], Read] = {}
    for item in range(len(task.catalogue)):
        read = _read(module, task, item)
        alike = by_counts.setdefault(tuple(map(len, read.values())), read)
        if alike is not read:
            return alike, read
    raise InputError("layers = 'items': no two items are spelled in as many tokens; use 'all'.")


def _read(module: torch.nn.Module, task: Task, item: int) -> Read:
    """Which rows of each embedding are read where a history holds this item alone."""
    rows: dict[torch.nn.Parameter, list[torch.Tensor]] = {}

    def told(table: torch.nn.Embedding, asked: tuple[torch.Tensor, ...]) -> None:
        rows.setdefault(cast(torch.nn.Parameter, table.weight), []).append(asked[0].flatten())

    tables = [m for m in module.modules() if isinstance(m, torch.nn.Embedding)]
    hooks = [table.register_forward_pre_hook(told) for table in tables]
    try:
        task.recommender.score(sequences([[item]]))
    finally:
        for hook in hooks:
            hook.remove()
    return {table: torch.cat(found) for table, found in rows.items()}


def conjugate_gradients(
    product: Callable[[Vector], Vector], right: Vector, iterations: int, tolerance: float = 1e-4
) -> tuple[Vector, float]:
    """Solves A x = b (Hestenes and Stiefel, 1952).

    Args:
        product: A times a vector; A is symmetric and positive definite.
        right: b.

    Returns:
        x, and ‖b − A x‖ / ‖b‖, by the recurrence.
    """
    x = [torch.zeros_like(b) for b in right]
    residual = [b.clone() for b in right]
    direction = [b.clone() for b in right]
    whole = left = _dot(right, right)
    for _ in range(iterations):
        if left <= tolerance**2 * whole:
            break
        along = product(direction)
        length = left / _dot(direction, along)
        for x_, r, d, a in zip(x, residual, direction, along, strict=True):
            x_.add_(d, alpha=length)
            r.sub_(a, alpha=length)
        now = _dot(residual, residual)
        direction = [r + now / left * d for r, d in zip(residual, direction, strict=True)]
        left = now
    return x, (left / whole) ** 0.5 if whole else 0.0


def _gauss_newton(
    model: Differentiable, batches: list[Transitions], weights: Vector, damping: float, vector: Vector
) -> Vector:
    """(JᵀQJ + λI) v: J of the logits, Q the curvature of the mean cross-entropy in them."""
    out = [damping * v for v in vector]
    count = sum(map(len, batches))
    for batch in batches:
        with sdpa_kernel(SDPBackend.MATH):  # the fused kernels of attention have no second derivative
            logits = model.logits(batch)
        probabilities = torch.softmax(logits, dim=-1).detach()
        # J v by two backward passes: the first is linear in a dummy, whose derivative the second takes.
        dummy = torch.zeros_like(logits, requires_grad=True)
        back = torch.autograd.grad(logits, weights, dummy, create_graph=True, allow_unused=True)
        used = [(b, v) for b, v in zip(back, vector, strict=True) if b is not None]
        (forward,) = torch.autograd.grad([b for b, _ in used], dummy, [v for _, v in used], retain_graph=True)
        bent = probabilities * forward
        bent = (bent - probabilities * bent.sum(dim=-1, keepdim=True)) / count
        for sum_, g in zip(out, torch.autograd.grad(logits, weights, bent, allow_unused=True), strict=True):
            if g is not None:
                sum_.add_(g)
    return out


def _dot(one: Vector, other: Vector) -> float:
    return float(sum((a * b).sum() for a, b in zip(one, other, strict=True)))
