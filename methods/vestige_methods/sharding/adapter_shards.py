"""adapter_shards: a common backbone, and for each shard of users a LoRA adapter that is trained on them alone.

    W(h) = W_backbone + Σ_k a_k(h) · (α/r) B_k A_k

A history h is answered by one model whose adapter is the sum of all, weighed by how near h is to each shard's users
(`affinity`). To forget, the adapters of the shards that the forgotten are in are trained again, from scratch and with
the seed they had. The backbone has to be free of them too: a checkpoint that the recommender starts from is; where
there is none, it is trained on `backbone_share` of the users, and a request that one of these is in trains everything
again.

Hu et al., "Exact and Efficient Unlearning for Large Language Model-based Recommendation", 2024 (arXiv 2404.10327).
Their attention rests on how well each adapter does on similar validation samples; a method is given no such samples
here, so it rests on similarity alone. `mixing = "answers"` mixes the adapters' probabilities instead, as `sisa` does.
"""

import copy
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from peft.tuners.lora import LoraLayer

from vestige import seeds
from vestige.data.sequences import IntArray, Sequences
from vestige.errors import InputError
from vestige.methods import Maker, Task, Unlearned
from vestige.progress import Progress
from vestige.recommenders.contract import FitReport, FloatArray, Recommender
from vestige.recommenders.sasrec import SASRec
from vestige.recommenders.t5 import T5Recommender
from vestige.recommenders.t5_config import SCRATCH
from vestige_methods.sharding.affinity import Affinity, Floats, mixture
from vestige_methods.sharding.common import load_sharding, part, read_about, save_sharding, summed
from vestige_methods.sharding.config import AdapterShardsConfig
from vestige_methods.sharding.partition import BACKBONE, Partition, divide, moved

ABOUT, SHARDS, WHOLE, ADAPTERS = "adapter_shards.json", "shards.safetensors", "backbone", "adapters"

Backbone = T5Recommender | SASRec
"""What carries adapters here. Their layers are given [rows, positions, features], so every row of a batch can have a
mixture of its own."""

Weights = Mapping[str, torch.Tensor]
"""Of one adapter, by name."""


class AdapterShards:
    """See the module's docstring."""

    def __init__(self, config: AdapterShardsConfig) -> None:
        self.config = config

    def recommender(self, maker: Maker) -> Recommender:
        """An untrained backbone without adapters.

        Raises:
            InputError: The board's recommender is neither T5 nor SASRec, or adapters alone cannot learn its items.
        """
        return AdapterEnsemble(self.config, maker)

    def load_recommender(self, folder: Path, maker: Maker) -> Recommender:
        """What `AdapterEnsemble.save` wrote.

        Raises:
            InputError: The folder holds nothing of the kind.
        """
        ensemble = AdapterEnsemble(self.config, maker)
        ensemble.read(folder)
        return ensemble

    def unlearn(self, task: Task) -> Unlearned:
        """Trains the adapters of the forgotten again, and the backbone where one of them is in it."""
        ensemble = task.recommender
        if not isinstance(ensemble, AdapterEnsemble):
            raise InputError("adapter_shards forgets from a base of its own, and was given another model.")
        before = ensemble.state
        touched = np.unique(before.partition.of(task.forget_sequences.users))
        report = ensemble.forget(task.retained, touched, task.progress)
        whole = BACKBONE in touched
        again = [name for k, name in ensemble.names.items() if whole or k in touched]
        notes: dict[str, float] = {
            "adapters": len(ensemble.names),
            "adapters trained again": len(again),
            "backbone trained again": int(whole),
        }
        if self.config.partition == "balanced":
            anew = divide(task.retained, len(task.catalogue), self.config, before.seed, ensemble.share)
            notes["share of users whose shard hangs on the forgotten"] = moved(before.partition, anew)
        return Unlearned(ensemble, ensemble.parameters(again, whole), notes, report.flops, report.uncounted)


@dataclass(frozen=True)
class State:
    """What was trained.

    Attributes:
        seed: Of all of it; an adapter's own follows from it and the shard's number.
        partition: Who is in which shard, or in the backbone.
        shards: Those that have a user, ascending.
        backbone: What is below all adapters.
        mixed: A twin of it that carries all adapters.
        affinity: To `shards`, in this order.
    """

    seed: int
    partition: Partition
    shards: tuple[int, ...]
    backbone: Backbone
    mixed: PeftModel
    affinity: Affinity


class AdapterEnsemble:
    """The recommender of `adapter_shards`: see the module's docstring."""

    reach: int | None = None

    def __init__(self, config: AdapterShardsConfig, maker: Maker) -> None:
        backbone = maker.fresh()
        if not isinstance(backbone, Backbone):
            raise InputError("adapter_shards needs the recommender 't5' or 'sasrec', whose layers its adapters fit.")
        t5 = backbone if isinstance(backbone, T5Recommender) else None
        self.pretrained = t5 is not None and t5.config.init != SCRATCH
        if t5 and self.pretrained and len(t5.vocabulary.added):
            raise InputError(
                "adapter_shards trains adapters alone, and this checkpoint has no tokens for the items: start from one "
                "that knows them, spell items with its own words (items = an index file), or start from scratch."
            )
        if t5 and config.mixing == "parameters" and not t5.codes.single:
            raise InputError("adapter_shards needs one token an item to mix parameters; set mixing = 'answers'.")
        self.config, self.maker, self._blank = config, maker, backbone
        self._state: State | None = None

    @property
    def state(self) -> State:
        """What was trained.

        Raises:
            InputError: Nothing was.
        """
        if self._state is None:
            raise InputError("these adapters of shards were not trained yet.")
        return self._state

    @property
    def names(self) -> dict[int, str]:
        """Of the adapters, by shard."""
        return {k: name_of(k) for k in self.state.shards}

    @property
    def share(self) -> float:
        """Of the users who train the backbone."""
        return 0.0 if self.pretrained else self.config.backbone_share

    # -- training ---------------------------------------------------------------------------------------------

    def fit(self, sequences: Sequences, seed: int, progress: Progress) -> FitReport:
        """Divides the users, trains the backbone (unless it is a checkpoint) and an adapter a shard."""
        partition = divide(sequences, len(self.maker.catalogue), self.config, seed, self.share)
        return self.train(sequences, partition, seed, progress)

    def train(self, sequences: Sequences, partition: Partition, seed: int, progress: Progress) -> FitReport:
        """Trains everything from scratch, under a partition that is given."""
        return self._train(sequences, partition, seed, None, {}, progress)

    def forget(self, retained: Sequences, touched: IntArray, progress: Progress) -> FitReport:
        """Trains the adapters of the `touched` shards again, from scratch, on what is `retained`.

        Where the backbone is among them, it and all adapters are.
        """
        old = self.state
        partition = old.partition.only(retained.users)
        if BACKBONE in touched:
            return self._train(retained, partition, old.seed, None, {}, progress)
        kept = {k: _weights(old.mixed, name) for k, name in self.names.items() if k not in touched}
        return self._train(retained, partition, old.seed, old.backbone, kept, progress)

    def _train(
        self,
        sequences: Sequences,
        partition: Partition,
        seed: int,
        backbone: Backbone | None,
        kept: Mapping[int, Weights],
        progress: Progress,
    ) -> FitReport:
        """Trains whatever is not given; `kept` are adapters of `backbone`."""
        shard_of = partition.of(sequences.users)
        shards = [k for k in np.unique(shard_of).tolist() if k != BACKBONE]
        if not shards:
            raise InputError("adapter_shards has no user to train an adapter on; lower backbone_share.")
        wanted = [k for k in shards if k not in kept]
        of, reports = len(wanted) + (backbone is None), []
        if backbone is None:
            below = sequences.take(np.flatnonzero(shard_of == BACKBONE))
            backbone, trained = self._train_backbone(below, seed, progress)
            reports += trained
        weights = dict(kept)
        for k in wanted:
            told = part(progress, of - len(wanted) + wanted.index(k), of, f"shard {k}: ")
            rows = sequences.take(np.flatnonzero(shard_of == k))
            weights[k], report = self._train_adapter(backbone, rows, k, seeds.derive(seed, "shard", str(k)), told)
            reports.append(report)
        inside = np.flatnonzero(shard_of != BACKBONE)
        affinity = Affinity.to(sequences.take(inside), shard_of[inside], np.asarray(shards), len(self.maker.catalogue))
        mixed = self._carrying(backbone, {k: weights[k] for k in shards})
        self._state = State(seed, partition, tuple(shards), backbone, mixed, affinity)
        return summed(reports)

    def _train_backbone(self, rows: Sequences, seed: int, progress: Progress) -> tuple[Backbone, list[FitReport]]:
        if self.pretrained:
            return self._blank, []
        if not len(rows):
            raise InputError("adapter_shards has no user to train its backbone on; raise backbone_share.")
        backbone = self._fresh()
        return backbone, [backbone.fit(rows, seeds.derive(seed, "backbone"), part(progress, 0, 2, "backbone: "))]

    def _train_adapter(
        self, backbone: Backbone, rows: Sequences, k: int, seed: int, progress: Progress
    ) -> tuple[Weights, FitReport]:
        torch.manual_seed(seed)  # the adapter's first weights
        name = name_of(k)
        carrying = get_peft_model(copy.deepcopy(backbone.module), self._lora(backbone), adapter_name=name)
        learner = _answering(backbone, carrying)
        passes = self.config.passes or backbone.config.passes
        report = learner.train_on(rows, passes, seed, progress, self.config.learning_rate)
        return _weights(carrying, name), report

    def _carrying(self, backbone: Backbone, weights: Mapping[int, Weights]) -> PeftModel:
        """A twin of the backbone with these adapters, all of them active."""
        first, *others = weights
        lora = self._lora(backbone)
        carrying = get_peft_model(copy.deepcopy(backbone.module), lora, adapter_name=name_of(first))
        for k in others:
            carrying.add_adapter(name_of(k), lora)
        for k, known in weights.items():
            set_peft_model_state_dict(carrying, dict(known), adapter_name=name_of(k))
        return _all_active(carrying, [name_of(k) for k in weights])

    def _fresh(self) -> Backbone:
        model = self.maker.fresh()
        assert isinstance(model, Backbone)
        if self.config.passes is not None:
            model.config = model.config.model_copy(update={"passes": self.config.passes})
        return model

    def _lora(self, backbone: Backbone) -> LoraConfig:
        c, layers = self.config, "|".join(map(re.escape, linear_layers(backbone.module)))
        return LoraConfig(r=c.rank, lora_alpha=c.lora_alpha, lora_dropout=0.0, target_modules=layers)  # type: ignore[arg-type]

    # -- answering --------------------------------------------------------------------------------------------

    def score(self, histories: Sequences) -> FloatArray:
        """float32 [queries, items]: log-softmax over the whole catalogue, nothing masked."""
        answering, attention = self._answering, self.weights(histories)
        if self.config.mixing == "answers":
            answers = []
            for k in range(len(self.state.shards)):
                with self._mixed(one_hot(k, len(self.state.shards))):
                    answers.append(answering.score(histories))
            return mixture(answers, attention)
        out = np.empty((len(histories), len(self.maker.catalogue)), dtype=np.float32)
        for rows in answering.scoring_batches(len(histories)):
            with self._mixed(attention[rows]):
                out[rows] = answering.score(histories.take(rows))
        return out

    def represent(self, histories: Sequences) -> FloatArray:
        """float32 [queries, features]: what the encoder, with each history's own mixture, makes of it."""
        answering, attention = self._answering, self.weights(histories)
        found = []
        for rows in answering.scoring_batches(len(histories)):
            with self._mixed(attention[rows]):
                found.append(answering.represent(histories.take(rows)))
        return np.concatenate(found) if found else answering.represent(histories)

    def weights(self, histories: Sequences) -> Floats:
        """float64 [queries, shards]: a_k."""
        return self.state.affinity.attention(histories, self.config.temperature)

    # -- the weights, for whoever holds the files -------------------------------------------------------------

    @property
    def module(self) -> torch.nn.Module:
        """Backbone and adapters."""
        return self.state.mixed

    def modules(self) -> tuple[torch.nn.Module, ...]:
        """Backbone and adapters."""
        return (self.state.mixed,)

    def loss(self, sequences: Sequences, rng: np.random.Generator) -> torch.Tensor:
        """The training loss of the mixture that answers each sequence; its gradient reaches every adapter.

        Where answers are mixed, the mean of the adapters' losses, each alone.
        """
        answering = self._answering
        if self.config.mixing == "parameters":
            with self._mixed(self.weights(sequences)):
                return answering.loss(sequences, rng)
        losses = []
        for k in range(len(self.state.shards)):
            with self._mixed(one_hot(k, len(self.state.shards))):
                losses.append(answering.loss(sequences, rng))
        return torch.stack(losses).mean()

    def train_on(
        self, sequences: Sequences, passes: float, seed: int, progress: Progress, learning_rate: float | None = None
    ) -> FitReport:
        """All adapters go on training, each on those of `sequences` whose users it has; the backbone stays."""
        state = self.state
        sequences = sequences.take(np.flatnonzero(np.isin(sequences.users, state.partition.users)))
        shard_of, reports = state.partition.of(sequences.users), []
        for place, k in enumerate(state.shards):
            rows = sequences.take(np.flatnonzero(shard_of == k))
            if len(rows):
                with self._mixed(one_hot(place, len(state.shards))), _only_trainable(state.mixed, name_of(k)):
                    own = seeds.derive(seed, "shard", str(k))
                    reports.append(self._answering.train_on(rows, passes, own, progress, learning_rate))
        return summed(reports)

    def parameters(self, names: list[str], whole: bool) -> int:
        """How many numbers these adapters have; with the backbone's where `whole`."""
        adapters = sum(p.numel() for name in names for p in _weights(self.state.mixed, name).values())
        return adapters + (sum(p.numel() for p in self.state.backbone.module.parameters()) if whole else 0)

    # -- files ------------------------------------------------------------------------------------------------

    def save(self, folder: Path) -> None:
        """Writes the backbone as a checkpoint, each shard's adapter in PEFT's format, and who is in which shard."""
        state = self.state
        (folder / WHOLE).mkdir()
        state.backbone.save(folder / WHOLE)
        state.mixed.save_pretrained(str(folder / ADAPTERS), save_embedding_layers=False)
        save_sharding(folder / SHARDS, state.partition, state.affinity)
        about = {"format": 1, "seed": state.seed, "shards": list(state.shards)}
        (folder / ABOUT).write_text(json.dumps(about, indent=1))

    def read(self, folder: Path) -> None:
        """Takes what `save` wrote.

        Raises:
            InputError: The folder holds nothing of the kind.
        """
        about = read_about(folder, ABOUT, "adapter_shards")
        partition, affinity = load_sharding(folder / SHARDS)
        backbone = self.maker.load(folder / WHOLE)
        assert isinstance(backbone, Backbone)
        shards = [int(k) for k in about["shards"]]
        first, *others = (name_of(k) for k in shards)
        twin = copy.deepcopy(backbone.module)
        try:
            carrying = PeftModel.from_pretrained(twin, str(folder / ADAPTERS / first), adapter_name=first)
            for name in others:
                carrying.load_adapter(str(folder / ADAPTERS / name), adapter_name=name)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise InputError(f"{folder / ADAPTERS}: the adapters cannot be read.") from error
        mixed = _all_active(carrying, [name_of(k) for k in shards])
        self._state = State(int(about["seed"]), partition, tuple(shards), backbone, mixed, affinity)

    # -- inside -----------------------------------------------------------------------------------------------

    @property
    def _answering(self) -> Backbone:
        return _answering(self.state.backbone, self.state.mixed)

    @contextmanager
    def _mixed(self, attention: Floats) -> Iterator[None]:
        """Inside, every row of a batch meets its own mixture of the adapters.

        Args:
            attention: float64 [rows, shards], or one row for all.
        """
        scale = self.config.lora_alpha / self.config.rank
        layers: list[Any] = [m for m in self.state.mixed.modules() if isinstance(m, LoraLayer)]
        factors = torch.from_numpy(scale * attention).float().to(self.state.backbone.device)
        for layer in layers:
            for place, name in enumerate(self.names.values()):
                layer.scaling[name] = factors[:, place, None, None]  # [rows, tokens, features]
        try:
            yield
        finally:
            for layer in layers:
                for name in self.names.values():
                    layer.scaling[name] = scale


def name_of(shard: int) -> str:
    """Of its adapter."""
    return f"shard_{shard}"


def linear_layers(module: torch.nn.Module) -> list[str]:
    """Names of those that adapters are put on: all but T5's output head."""
    return [name for name, m in module.named_modules() if isinstance(m, torch.nn.Linear) and name != "lm_head"]


def one_hot(place: int, shards: int) -> Floats:
    """float64 [1, shards]: all weight on one."""
    return np.eye(shards)[[place]]


def _weights(carrying: PeftModel, name: str) -> Weights:
    found = get_peft_model_state_dict(carrying, adapter_name=name, save_embedding_layers=False)
    return {key: value.detach().clone() for key, value in found.items()}


def _all_active(carrying: Any, names: list[str]) -> PeftModel:
    carrying.base_model.set_adapter(names)
    model: PeftModel = carrying.eval()
    return model


def _answering(backbone: Backbone, carrying: Any) -> Backbone:
    """A recommender like the backbone, whose module carries adapters."""
    out = copy.copy(backbone)
    out.module = carrying.base_model.model
    return out


@contextmanager
def _only_trainable(carrying: PeftModel, name: str) -> Iterator[None]:
    """Inside, this adapter alone takes gradients."""
    before = {key: p.requires_grad for key, p in carrying.named_parameters()}
    for key, p in carrying.named_parameters():
        p.requires_grad_(f".{name}." in key)
    try:
        yield
    finally:
        for key, p in carrying.named_parameters():
            p.requires_grad_(before[key])
