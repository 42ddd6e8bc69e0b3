"""dual memory: the side memory learns to forget, the router learns whom.

    L = α · L_retention + β · L_forget + γ · L_stability

- retention: BCE(s[y⁺] → 1) on forgotten samples, cross-entropy on retained ones;
- forget: w_neg · BCE(s[y⁻] → 0) + w_ul · unlikelihood + w_pair · pairwise + w_topk · top-k penalty
  + w_abs · suppression + w_distill · self-distillation + w_shift · log-probability shift (w_neg is 1, w_distill and
  w_shift are 0 as published);
- stability: KL(main ‖ side), on retained samples only where `kl_mask_forgotten`.

A positive y⁺ is a retained training item of the same user; where the whole user is forgotten, one of the nearest
retained users. Test items cannot arrive here: the task does not hold them.

s and m, the side's and the main memory's logits, are log-probabilities where several tokens spell an item.
"""

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from torch.nn import functional

from vestige.data.sequences import BoolArray, IntArray, Sequences, offsets_of
from vestige.data.views import jaccard
from vestige.errors import InputError
from vestige.methods import Task, Unlearned
from vestige.recommenders.contract import Recommender, Transitions
from vestige.recommenders.flops import Flops, FlopsByShape, count_flops
from vestige.recommenders.t5 import PAD, Questions, T5Recommender
from vestige.recommenders.torch_tools import autocast, deterministic, step
from vestige.recommenders.windows import mean_size
from vestige_methods.dual_memory import losses, warm
from vestige_methods.dual_memory.config import DualMemoryConfig
from vestige_methods.dual_memory.layers import HEAD, known_layers, known_targets, targets_of_last_blocks
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
        """Trains the side memory, then the router; the main memory is not changed.

        Raises:
            InputError: There is nothing to forget, a layer does not exist, or the warm start is of another base.
        """
        main = _t5(task.recommender)
        if len(task.forget) == 0:
            raise InputError("dual_memory has nothing to forget: no forgotten interaction has a history before it.")
        if len(task.retained) == 0:
            raise InputError("dual_memory needs somebody who is retained, and of whom it learns what to keep.")
        task = task if self.config.seed is None else replace(task, seed=self.config.seed)
        layers = known_layers(main, self.config.router_layers)
        deterministic(task.seed)
        for parameter in main.module.parameters():
            parameter.requires_grad_(False)
        adapter = get_peft_model(copy.deepcopy(main.module), self._lora(main))
        earlier = warm.read(self.config, main, layers)
        if earlier is not None:
            warm.start_adapter(adapter, earlier)
        trained = _SideTraining(self.config, task, main, side_of(main, adapter.base_model.model)).run()
        router, report, router_flops = self._router(task, main, earlier)
        model = DualMemoryModel(main, adapter.eval(), router, report.threshold, layers, self.config.routing)
        parameters = sum(p.numel() for p in adapter.parameters() if p.requires_grad)
        parameters += sum(p.numel() for p in router.parameters())
        notes = {
            **{f"loss {name}": value for name, value in trained.losses.items()},
            "steps": trained.steps,
            "epochs": trained.epochs,
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
        if self.config.lora_targets is None:
            targets = targets_of_last_blocks(main, self.config.lora_blocks)
        else:
            targets = known_targets(main, self.config.lora_targets)
        if not self.config.freeze_lm_head:
            targets = list(dict.fromkeys([*targets, HEAD]))
        return LoraConfig(
            r=self.config.lora_r,
            lora_alpha=self.config.lora_alpha,  # type: ignore[arg-type]
            lora_dropout=self.config.lora_dropout,
            target_modules=targets,
        )

    def _router(
        self, task: Task, main: T5Recommender, earlier: warm.Earlier | None
    ) -> tuple[Router, RouterReport, Flops]:
        rng = np.random.default_rng(task.seed)
        whole = task.kind == "users"
        per_forgotten, per_retained = self.config.router_histories, self.config.router_retained_histories
        histories = labelled_histories(
            task.retained,
            task.forget_sequences if whole else task.forget.histories,
            whole,
            per_forgotten,
            max(2, per_forgotten // 2) if per_retained is None else per_retained,
            rng,
            len(task.lengths_of_r),
        )
        task.progress(0.8, "router")
        asked = FlopsByShape()
        features = features_of(main, histories.rows, self.config.router_layers, asked)
        start = None if earlier is None else earlier.router
        router, report = train_router(features, histories, self.config, task.seed, start)
        weights = sum(p.numel() for p in router.parameters())
        # A step costs about six operations a weight and sample (two forward, four backward).
        own = 6.0 * weights * self.config.router_epochs * float((~histories.held_out).sum())
        return router, report, Flops(asked.total.count + own, asked.total.uncounted)


class _Trained:
    """What the side memory's training did."""

    def __init__(self, steps: int, epochs: int, flops: Flops, last: dict[str, float]) -> None:
        self.steps, self.epochs, self.flops, self.losses = steps, epochs, flops, last


@dataclass(frozen=True)
class _Heard:
    """Questions, and what the frozen main memory makes of them.

    Attributes:
        states, mask: Encoder states [rows, tokens, d_model] and their mask.
        main: The decoder's states that answer [questions, d_model]; logits where several tokens spell an item.
    """

    asked: Questions
    states: torch.Tensor
    mask: torch.Tensor
    main: torch.Tensor


@dataclass(frozen=True)
class _Frozen:
    """What the main memory says of a batch.

    Attributes:
        heard: Of forgotten and retained samples together, or of either.
        rivals: int64 [forgotten, k]; see `losses.rivals`. None, k = 0, where the pairwise loss has no weight.
    """

    heard: tuple[_Heard, ...]
    rivals: torch.Tensor


@dataclass(frozen=True)
class _Batch:
    """The samples of a step.

    Attributes:
        pools: int64 [forgotten], the pool that each one's positive is drawn from.
        positives: int64 [forgotten].
    """

    forgotten: Transitions
    pools: IntArray
    positives: torch.Tensor
    retained: Transitions
    frozen: _Frozen

    def __len__(self) -> int:
        return len(self.forgotten) + len(self.retained)

    def halves(self, said: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """The rows of forgotten samples and those of retained ones, of what is said of `frozen.heard`."""
        forgotten, retained = said if len(said) == 2 else said[0].split([len(self.forgotten), len(self.retained)])
        return forgotten, retained


class _Count:
    """The operations of training: those of the first batch, by the samples of all; the last of an epoch is smaller."""

    def __init__(self) -> None:
        self._size, self._trained, self._heard = 1, 0, 0
        self._training = self._hearing = Flops(0.0, ())

    def first(self, training: "_SideTraining", batch: _Batch) -> None:
        """Counts what a step on this batch takes, and what hearing the main memory of it does."""
        self._size = len(batch)
        self._training = count_flops(partial(training._forward_backward, batch))
        self._hearing = count_flops(partial(training.frozen, batch.forgotten, batch.retained))

    def step(self, batch: _Batch, heard: bool) -> None:
        """A step was made; `heard`: the main memory was asked for it."""
        self._trained += len(batch)
        self._heard += len(batch) if heard else 0

    @property
    def total(self) -> Flops:
        """Of all steps."""
        count = (self._trained * self._training.count + self._heard * self._hearing.count) / self._size
        return Flops(count, tuple(sorted({*self._training.uncounted, *self._hearing.uncounted})))


class _SideTraining:
    """The side memory's training loop."""

    def __init__(self, config: DualMemoryConfig, task: Task, main: T5Recommender, side: T5Recommender) -> None:
        self.config, self.task, self.main, self.side = config, task, main, side
        self.rng = np.random.default_rng(task.seed)
        self.whole = task.kind == "users"
        self.pools = _positive_pools(task, config.positives)
        # A window is a row of many samples, a query one of a single sample.
        forgotten, retained = config.batch_size * config.forget_ratio, config.batch_size * config.retain_ratio
        self.forget_rows = max(1, round(forgotten / self._samples(task.forget_sequences) if self.whole else forgotten))
        self.retain_rows = max(1, round(retained / self._samples(task.retained)))

    def _samples(self, sequences: Sequences) -> float:
        """Of a window, on average."""
        return mean_size(sequences.lengths, self.main.config.window, self.main.config.coverage)

    def run(self) -> _Trained:
        """Trains for `epochs` epochs, or until the loss has stopped falling; see `_epoch_rows`."""
        config = self.config
        parameters = [p for p in self.side.module.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(parameters, lr=config.lr, weight_decay=0.0, fused=True)
        rows = self._epoch_rows()
        per_epoch = math.ceil(len(rows) / self.forget_rows)
        count = _Count()
        kept: list[_Batch] = []
        stop = _EarlyStop(config.patience, config.min_delta, parameters)
        means: dict[str, float] = {}
        epochs = 0
        self.side.module.train()
        self.main.module.eval()
        for epoch in range(config.epochs):
            seen: list[dict[str, float]] = []
            anew = epoch % config.window_epochs == 0
            if anew:
                kept = []
            for at, batch in enumerate(self._drawn(rows) if anew else self._again(kept)):
                if anew and config.window_epochs > 1:
                    kept.append(batch)
                if epoch == at == 0:
                    count.first(self, batch)
                count.step(batch, anew)
                with autocast(self.main.device, config.amp):
                    loss, terms = self._loss(batch)
                value = step(optimizer, loss, parameters, config.clip)
                seen.append({"total": value, **{name: float(term.detach()) for name, term in terms.items()}})
                done = epoch * per_epoch + at
                if done % 20 == 0:
                    share = 0.8 * done / (per_epoch * config.epochs)
                    self.task.progress(share, f"side memory, loss {value:.1f}")
            means = {name: float(np.mean([terms[name] for terms in seen])) for name in seen[0]}
            epochs = epoch + 1
            if stop.ends(means):
                break
        self.side.module.eval()
        steps = per_epoch * epochs
        return _Trained(steps, epochs, count.total, stop.restored(means))

    def _loss(self, batch: _Batch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        c = self.config
        s_f, s_r = self._side(batch)
        m_f, m_r = self._main(batch)
        y_minus, y_plus, y_r = batch.forgotten.targets, batch.positives, batch.retained.targets
        # A term without weight costs nothing, and what several terms ask for is made once.
        log_s_f, log_s_r = (cache(partial(torch.log_softmax, logits, dim=-1)) for logits in (s_f, s_r))
        log_m_f, log_m_r = (cache(partial(self._log_of_main, states)) for states in (m_f, m_r))
        s_minus = cache(partial(losses.at, s_f, y_minus))
        forget: dict[str, tuple[float, Callable[[], torch.Tensor]]] = {
            "negative": (c.negative_weight, lambda: losses.negative_bce(s_minus())),
            "unlikelihood": (c.unlikelihood_weight, lambda: losses.unlikelihood(log_s_f(), y_minus)),
            "pairwise": (
                c.pairwise_weight,
                lambda: losses.pairwise(s_f, batch.frozen.rivals, s_minus(), c.pairwise_margin),
            ),
            "topk": (c.topk_penalty_weight, lambda: losses.topk_penalty(s_f, s_minus(), c.topk_margin, c.topk_k)),
            "suppression": (
                c.abs_suppression_weight,
                lambda: losses.absolute_suppression(s_minus(), c.abs_suppression_margin),
            ),
            "distillation": (
                c.distill_weight,
                lambda: losses.self_distillation(log_s_f(), log_m_f(), y_minus, c.distill_delta),
            ),
            "shift": (
                c.shift_weight,
                lambda: losses.log_prob_shift(log_s_f(), log_m_f(), y_minus, c.distill_delta),
            ),
        }
        terms = {name: term() for name, (weight, term) in forget.items() if weight}
        total = c.beta_weight * torch.stack([forget[name][0] * term for name, term in terms.items()]).sum()
        if c.alpha_weight:
            terms["positive"] = losses.positive_bce(s_f, y_plus)
            terms["retained"] = losses.retained_cross_entropy(log_s_r(), y_r)
            total = total + c.alpha_weight * (terms["positive"] + terms["retained"])
        if c.kl_reg_weight:
            terms["stability"] = losses.stability(log_s_r(), log_m_r())
            if not c.kl_mask_forgotten:
                terms["stability"] = terms["stability"] + losses.stability(log_s_f(), log_m_f())
            total = total + c.kl_reg_weight * terms["stability"]
        return total, terms

    def _forward_backward(self, batch: _Batch) -> None:
        with autocast(self.main.device, self.config.amp):
            loss, _ = self._loss(batch)
        loss.backward()

    def _side(self, batch: _Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """The side memory's logits [samples, items] of forgotten samples and of retained ones.

        It shares the main memory's encoder.
        """
        said = [self.side.answers(heard.states, heard.mask, heard.asked).float() for heard in batch.frozen.heard]
        return batch.halves(said)

    def _main(self, batch: _Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """`_Heard.main` of forgotten samples and of retained ones."""
        return batch.halves([heard.main for heard in batch.frozen.heard])

    @torch.no_grad()
    def _log_of_main(self, heard: torch.Tensor) -> torch.Tensor:
        """log_m, [samples, items], of `_Heard.main`."""
        return torch.log_softmax(self._of_main(heard), dim=-1)

    @torch.no_grad()
    def _of_main(self, heard: torch.Tensor) -> torch.Tensor:
        """The main memory's logits [samples, items], of `_Heard.main`."""
        return (self.main.project(heard) if self.main.codes.single else heard).float()

    @torch.no_grad()
    def frozen(self, forgotten: Transitions, retained: Transitions) -> _Frozen:
        """What the main memory says of a batch."""
        with autocast(self.main.device, self.config.amp):
            # A query is a shorter row than a window, and would be padded.
            together = [_together(forgotten.inputs, retained.inputs)]
            heard = [self._hear(asked) for asked in (together if self.whole else [forgotten.inputs, retained.inputs])]
            rivals = forgotten.targets.new_empty((len(forgotten), 0))
            if self.config.pairwise_weight:
                main = self._of_main(heard[0].main[: len(forgotten)])
                rivals = losses.rivals(main, forgotten.targets, self.config.hard_neg_k)
            return _Frozen(tuple(heard), rivals)

    def _hear(self, asked: Questions) -> _Heard:
        states, mask = self.main.encode(asked.encoder)
        if not self.main.codes.single:
            return _Heard(asked, states, mask, self.main.answers(states, mask, asked))
        return _Heard(asked, states, mask, self.main.decode(states, mask, asked.decoder)[asked.row, asked.last])

    def _drawn(self, rows: IntArray) -> Iterator[_Batch]:
        """The batches of an epoch whose samples are drawn."""
        for chosen in self._row_batches(rows):
            forgotten, pools = self._forget_batch(chosen)
            positives, retained = self._positives(pools), self._retain_batch()
            yield _Batch(forgotten, pools, positives, retained, self.frozen(forgotten, retained))

    def _again(self, kept: list[_Batch]) -> Iterator[_Batch]:
        """Those of an epoch that asks the same once more, in another order and with other positives."""
        for at in self.rng.permutation(len(kept)):
            yield replace(kept[at], positives=self._positives(kept[at].pools))

    def _epoch_rows(self) -> IntArray:
        """The rows of one epoch: for whole users as many windows as cover their sequences, else every query once."""
        if not self.whole:
            return np.arange(len(self.task.forget))
        windows = np.ceil(self.task.forget_sequences.lengths / self.main.config.window).astype(np.int64)
        return np.repeat(np.arange(len(self.task.forget_sequences)), windows)

    def _row_batches(self, rows: IntArray) -> Iterator[IntArray]:
        """The batches of one epoch."""
        order = rows[self.rng.permutation(len(rows))]
        for start in range(0, len(order), self.forget_rows):
            yield order[start : start + self.forget_rows]

    def _forget_batch(self, rows: IntArray) -> tuple[Transitions, IntArray]:
        """Forgotten samples, and the pool of positives [samples] of each."""
        if self.whole:
            samples, pools = self.main.transitions(self.task.forget_sequences.take(rows), self.rng), rows
        else:
            samples, pools = self.main.transitions_of(self.task.forget.take(rows)), self.pool_of_query[rows]
        return samples, pools[samples.rows.cpu().numpy()]

    @property
    def pool_of_query(self) -> IntArray:
        """The row of `forget_sequences` whose user asks each forget query."""
        return np.searchsorted(self.task.forget_sequences.users, self.task.forget.users)

    def _positives(self, pools: IntArray) -> torch.Tensor:
        """An item of each of these pools."""
        picks = (self.rng.random(len(pools)) * self.pools.lengths[pools]).astype(np.int64)
        items = self.pools.items[self.pools.offsets[pools] + picks]
        return torch.from_numpy(items.astype(np.int64)).to(self.main.device)

    def _retain_batch(self) -> Transitions:
        rows = self.rng.integers(0, len(self.task.retained), self.retain_rows)
        return self.main.transitions(self.task.retained.take(rows), self.rng)


def _together(one: Questions, other: Questions) -> Questions:
    """The questions of both, the rows of `other` after those of `one`."""

    def stacked(above: torch.Tensor, below: torch.Tensor) -> torch.Tensor:
        width = max(above.shape[1], below.shape[1])
        return torch.cat([functional.pad(rows, (0, width - rows.shape[1]), value=PAD) for rows in (above, below)])

    return Questions(
        stacked(one.encoder, other.encoder),
        stacked(one.decoder, other.decoder),
        torch.cat([one.row, other.row + len(one.encoder)]),
        torch.cat([one.last, other.last]),
    )


class _EarlyStop:
    """Watches the mean loss of every epoch, and keeps the weights of the best one."""

    def __init__(self, patience: int, min_delta: float, parameters: list[torch.nn.Parameter]) -> None:
        self._patience, self._min_delta, self._parameters = patience, min_delta, parameters
        self._best: dict[str, float] = {}
        self._weights: list[torch.Tensor] = []
        self._waited = 0

    def ends(self, means: dict[str, float]) -> bool:
        """Whether training should end after an epoch with these mean losses."""
        if not self._patience:
            return False
        if not self._best or means["total"] < self._best["total"] - self._min_delta:
            self._best, self._waited = means, 0
            self._weights = [parameter.detach().clone() for parameter in self._parameters]
            return False
        self._waited += 1
        return self._waited >= self._patience

    def restored(self, means: dict[str, float]) -> dict[str, float]:
        """Puts the best weights back, and returns their losses; `means` where nothing was watched."""
        for parameter, weights in zip(self._parameters, self._weights, strict=False):
            parameter.data.copy_(weights)
        return self._best or means


def _positive_pools(task: Task, nearest: int) -> Sequences:
    """For each row of `forget_sequences` the items that are positives for its user; never empty."""
    forget, retained = task.forget_sequences, task.retained
    row_of = np.repeat(np.arange(len(forget)), forget.lengths)
    # What is to be forgotten is no positive, unless nothing else is left.
    forgotten = np.zeros((len(forget), len(task.catalogue)), dtype=np.bool_)
    forgotten[row_of[task.forget_mask], forget.items[task.forget_mask]] = True
    own = _only(forget, ~task.forget_mask)
    alone = np.flatnonzero(own.lengths == 0)  # all, where whole users are forgotten
    similar = jaccard(forget.take(alone), retained, len(task.catalogue))
    nearby = np.argsort(-similar, axis=1, kind="stable")[:, :nearest]
    near = retained.take(nearby.ravel())
    sizes = near.lengths.reshape(nearby.shape).sum(axis=1)
    pools = _either(own, Sequences(near.items, offsets_of(sizes), forget.users[alone]))
    row_of = np.repeat(np.arange(len(pools)), pools.lengths)
    fresh = ~forgotten[row_of, pools.items]
    some = np.bincount(row_of[fresh], minlength=len(pools)) > 0
    return _only(pools, fresh | ~some[row_of])


def _either(rows: Sequences, others: Sequences) -> Sequences:
    """The rows, and in the place of those that are empty the `others`, one after another."""
    both = Sequences(
        np.concatenate([rows.items, others.items]),
        np.concatenate([rows.offsets, rows.offsets[-1] + others.offsets[1:]]),
        np.concatenate([rows.users, others.users]),
    )
    chosen = np.arange(len(rows))
    chosen[rows.lengths == 0] = len(rows) + np.arange(len(others))
    return both.take(chosen)


def _only(rows: Sequences, keep: BoolArray) -> Sequences:
    """The rows with only some of their items; `keep` is bool [items]."""
    row_of = np.repeat(np.arange(len(rows)), rows.lengths)
    return Sequences(rows.items[keep], offsets_of(np.bincount(row_of[keep], minlength=len(rows))), rows.users)


def _t5(recommender: Recommender) -> T5Recommender:
    if not isinstance(recommender, T5Recommender):
        raise InputError("dual_memory needs the recommender 't5': its side memory is an adapter of T5's decoder.")
    return recommender
