"""dual memory: the side memory learns to forget, the router learns whom.

    L = α · L_retention + β · L_forget + γ · L_stability

- retention: BCE(s[y⁺] → 1) on forgotten samples, cross-entropy on retained ones;
- forget: BCE(s[y⁻] → 0) + w_ul · unlikelihood + w_pair · pairwise + w_topk · top-k penalty + w_abs · suppression;
- stability: KL(main ‖ side), on retained samples only where `kl_mask_forgotten`.

A positive y⁺ is a retained training item of the same user; where the whole user is forgotten, one of the nearest
retained users. Test items cannot arrive here: the task does not hold them.
"""

import copy
import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from torch.nn import functional

from vestige.data.sequences import IntArray, Sequences, offsets_of
from vestige.data.views import jaccard
from vestige.errors import InputError
from vestige.methods import Task, Unlearned
from vestige.recommenders.contract import Recommender
from vestige.recommenders.t5 import IGNORED, Batch, T5Recommender
from vestige.recommenders.torch_tools import Flops, autocast, count_flops, deterministic, step
from vestige_methods.dual_memory import losses
from vestige_methods.dual_memory.config import DualMemoryConfig
from vestige_methods.dual_memory.model import DualMemoryModel, side_of
from vestige_methods.dual_memory.router import (
    Router,
    RouterReport,
    features_of,
    labelled_histories,
    train_router,
)


class DualMemory:
    """See the module's docstring."""

    def __init__(self, config: DualMemoryConfig) -> None:
        self.config = config

    def unlearn(self, task: Task) -> Unlearned:
        """Trains the side memory, then the router; the main memory is not changed."""
        main = _t5(task.recommender)
        deterministic(task.seed)
        for parameter in main.module.parameters():
            parameter.requires_grad_(False)
        adapter = get_peft_model(copy.deepcopy(main.module), self._lora(main))
        trained = _SideTraining(self.config, task, main, side_of(main, adapter.base_model.model)).run()
        router, report, router_flops = self._router(task, main)
        model = DualMemoryModel(
            main, adapter.eval(), router, report.threshold, self.config.router_layers, self.config.routing
        )
        parameters = sum(p.numel() for p in adapter.parameters() if p.requires_grad)
        parameters += sum(p.numel() for p in router.parameters())
        notes = {
            **{f"loss {name}": value for name, value in trained.losses.items()},
            "steps": trained.steps,
            "router threshold": report.threshold,
            "router held-out precision": report.precision,
            "router held-out recall": report.recall,
            "router held-out share of retained": report.retained_share,
            "router target precision reached": float(report.reached),
        }
        counted = trained.flops.count + router_flops.count
        uncounted = tuple(sorted({*trained.flops.uncounted, *router_flops.uncounted}))
        return Unlearned(model, parameters, notes, counted, uncounted)

    def load(self, folder: Path, recommender: Recommender) -> DualMemoryModel:
        """What `DualMemoryModel.save` wrote."""
        main = _t5(recommender)
        return DualMemoryModel.load(folder, main, side_of(main, copy.deepcopy(main.module)))

    def _lora(self, main: T5Recommender) -> LoraConfig:
        shape, blocks = main.module.config, len(main.module.decoder.block)
        last = range(max(0, blocks - self.config.lora_blocks), blocks)
        names = ("wi_0", "wi_1") if shape.is_gated_act else ("wi",)
        targets = [f"decoder.block.{block}.layer.2.DenseReluDense.{name}" for block in last for name in names]
        return LoraConfig(
            r=self.config.lora_r,
            lora_alpha=self.config.lora_alpha,  # type: ignore[arg-type]
            lora_dropout=self.config.lora_dropout,
            target_modules=targets if self.config.freeze_lm_head else [*targets, "lm_head"],
        )

    def _router(self, task: Task, main: T5Recommender) -> tuple[Router, RouterReport, Flops]:
        rng = np.random.default_rng(task.seed)
        whole = task.kind == "users"
        histories = labelled_histories(
            task.retained,
            task.forget_sequences if whole else task.forget.histories,
            whole,
            self.config.router_histories,
            rng,
        )
        task.progress(0.8, "router")
        sample = histories.rows.take(np.arange(min(32, len(histories.rows))))
        layers = self.config.router_layers
        asked = count_flops(lambda: features_of(main, sample, layers))
        per_history = asked.count / len(sample)
        features = features_of(main, histories.rows, layers)
        router, report = train_router(features, histories, self.config, task.seed)
        weights = sum(p.numel() for p in router.parameters())
        # A step costs about six operations a weight and sample (two forward, four backward).
        own = 6.0 * weights * self.config.router_epochs * float((~histories.held_out).sum())
        return router, report, Flops(per_history * len(histories.rows) + own, asked.uncounted)


class _Trained:
    """What the side memory's training did."""

    def __init__(self, steps: int, flops: Flops, last: dict[str, float]) -> None:
        self.steps, self.flops, self.losses = steps, flops, last


class _SideTraining:
    """The side memory's training loop."""

    def __init__(self, config: DualMemoryConfig, task: Task, main: T5Recommender, side: T5Recommender) -> None:
        self.config, self.task, self.main, self.side = config, task, main, side
        self.rng = np.random.default_rng(task.seed)
        self.whole = task.kind == "users"
        self.pools = _positive_pools(task, config.positives)
        rows_a_step = max(1, round(config.batch_size / main.config.window)) if self.whole else config.batch_size
        self.forget_rows = rows_a_step
        self.retain_rows = max(1, round(config.batch_size * config.retain_ratio / main.config.window))

    def run(self) -> _Trained:
        """Trains for `epochs` epochs; see `_epoch_rows`."""
        config = self.config
        parameters = [p for p in self.side.module.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(parameters, lr=config.lr, weight_decay=0.0)
        rows = self._epoch_rows()
        per_epoch = math.ceil(len(rows) / self.forget_rows)
        steps = per_epoch * config.epochs
        flops = Flops(0.0, ())
        last: list[dict[str, float]] = []
        self.side.module.train()
        self.main.module.eval()
        for done, chosen in enumerate(self._row_batches(rows, config.epochs)):
            forget, positives = self._forget_batch(chosen)
            retain = self._retain_batch()
            if done == 0:
                one = count_flops(partial(self._forward_backward, forget, positives, retain))
                flops = Flops(steps * one.count, one.uncounted)
            with autocast(self.main.device, config.amp):
                loss, terms = self._loss(forget, positives, retain)
            step(optimizer, loss, parameters, config.clip)
            if done >= steps - per_epoch:
                last.append({name: float(term.detach()) for name, term in terms.items()})
            if done % 20 == 0:
                self.task.progress(0.8 * done / steps, f"side memory, loss {float(loss.detach()):.1f}")
        self.side.module.eval()
        return _Trained(steps, flops, {name: float(np.mean([t[name] for t in last])) for name in last[0]})

    def _loss(
        self, forget: Batch, positives: torch.Tensor, retain: Batch
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        c = self.config
        s_f, m_f, y_minus, at = self._logits(forget)
        s_r, m_r, y_r, _ = self._logits(retain)
        y_plus = positives[at]
        terms = {
            "positive": losses.positive_bce(s_f, y_plus),
            "retained": functional.cross_entropy(s_r, y_r),
            "negative": losses.negative_bce(s_f, y_minus),
            "unlikelihood": losses.unlikelihood(s_f, y_minus),
            "pairwise": losses.pairwise(s_f, m_f, y_minus, c.pairwise_margin, c.hard_neg_k),
            "topk": losses.topk_penalty(s_f, y_minus, c.topk_margin, c.topk_k),
            "suppression": losses.absolute_suppression(s_f, y_minus, c.abs_suppression_margin),
            "stability": losses.stability(s_r, m_r),
        }
        if not c.kl_mask_forgotten:
            terms["stability"] = terms["stability"] + losses.stability(s_f, m_f)
        retention = terms["positive"] + terms["retained"]
        forgetting = (
            terms["negative"]
            + c.unlikelihood_weight * terms["unlikelihood"]
            + c.pairwise_weight * terms["pairwise"]
            + c.topk_penalty_weight * terms["topk"]
            + c.abs_suppression_weight * terms["suppression"]
        )
        total = c.alpha_weight * retention + c.beta_weight * forgetting + c.kl_reg_weight * terms["stability"]
        return total, terms

    def _forward_backward(self, forget: Batch, positives: torch.Tensor, retain: Batch) -> None:
        self._loss(forget, positives, retain)[0].backward()

    def _logits(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Side and main logits [samples, items], targets [samples], and their places in the batch [rows, positions]."""
        at = batch.targets != IGNORED
        with torch.no_grad():
            states, mask = self.main.encode(batch.encoder)
            main = self.main.project(self.main.decode(states, mask, batch.decoder)[at]).float()
        side = self.side.project(self.side.decode(states, mask, batch.decoder)[at]).float()
        return side, main, batch.targets[at], at

    def _epoch_rows(self) -> IntArray:
        """The rows of one epoch: for whole users as many windows as cover their sequences, else every query once."""
        if not self.whole:
            return np.arange(len(self.task.forget))
        windows = np.ceil(self.task.forget_sequences.lengths / self.main.config.window).astype(np.int64)
        return np.repeat(np.arange(len(self.task.forget_sequences)), windows)

    def _row_batches(self, rows: IntArray, epochs: int) -> Iterator[IntArray]:
        for _ in range(epochs):
            order = rows[self.rng.permutation(len(rows))]
            for start in range(0, len(order), self.forget_rows):
                yield order[start : start + self.forget_rows]

    def _forget_batch(self, rows: IntArray) -> tuple[Batch, torch.Tensor]:
        """Forgotten samples, and a positive for each position [rows, positions]."""
        if self.whole:
            batch = self.main.batch(self.task.forget_sequences.take(rows), self.rng)
        else:
            encoder, decoder, last = self.main.question(self.task.forget.histories.take(rows))
            targets = torch.full_like(decoder, IGNORED)
            wanted = torch.from_numpy(self.task.forget.targets[rows].astype(np.int64)).to(targets.device)
            targets[torch.arange(len(rows)), last] = wanted
            batch = Batch(encoder, decoder, targets)
        pool = rows if self.whole else self.pool_of_query[rows]
        return batch, self._positives(pool, batch.targets.shape[1])

    @property
    def pool_of_query(self) -> IntArray:
        """The row of `forget_sequences` whose user asks each forget query."""
        return np.searchsorted(self.task.forget_sequences.users, self.task.forget.users)

    def _positives(self, pools: IntArray, positions: int) -> torch.Tensor:
        sizes = self.pools.lengths[pools]
        picks = (self.rng.random((len(pools), positions)) * sizes[:, None]).astype(np.int64)
        items = self.pools.items[self.pools.offsets[pools][:, None] + picks]
        return torch.from_numpy(items.astype(np.int64)).to(self.main.device)

    def _retain_batch(self) -> Batch:
        rows = self.rng.integers(0, len(self.task.retained), self.retain_rows)
        return self.main.batch(self.task.retained.take(rows), self.rng)


def _positive_pools(task: Task, nearest: int) -> Sequences:
    """For each row of `forget_sequences` the items that are positives for its user; never empty."""
    forget, retained = task.forget_sequences, task.retained
    if task.kind == "interactions":
        keep = ~task.forget_mask
        row_of = np.repeat(np.arange(len(forget)), forget.lengths)
        own = Sequences(forget.items[keep], offsets_of(np.bincount(row_of[keep], minlength=len(forget))), forget.users)
        if (own.lengths > 0).all():
            return own
        raise InputError("dual_memory needs at least one retained training interaction of every affected user.")
    similar = jaccard(forget, retained, len(task.catalogue))
    near = np.argsort(-similar, axis=1, kind="stable")[:, :nearest]
    picked = retained.take(near.ravel())
    sizes = picked.lengths.reshape(near.shape).sum(axis=1)
    pools = Sequences(picked.items, offsets_of(sizes), forget.users)
    # What the user had is to be forgotten, so it is no positive, unless nothing else is left.
    had = np.zeros((len(forget), len(task.catalogue)), dtype=np.bool_)
    had[np.repeat(np.arange(len(forget)), forget.lengths), forget.items] = True
    row_of = np.repeat(np.arange(len(pools)), pools.lengths)
    fresh = ~had[row_of, pools.items]
    some = np.bincount(row_of[fresh], minlength=len(pools)) > 0
    keep = fresh | ~some[row_of]
    return Sequences(pools.items[keep], offsets_of(np.bincount(row_of[keep], minlength=len(pools))), pools.users)


def _t5(recommender: Recommender) -> T5Recommender:
    if not isinstance(recommender, T5Recommender):
        raise InputError("dual_memory needs the recommender 't5': its side memory is an adapter of T5's decoder.")
    if not recommender.codes.single:
        raise InputError("dual_memory needs one token an item, as its losses pick items by logit: items = 'tokens'.")
    return recommender
