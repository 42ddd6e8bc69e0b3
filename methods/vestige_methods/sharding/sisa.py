"""sisa: the users are divided into shards, each shard has a model of its own, and all of them answer.

    p(item | history) = Σ_k a_k(history) p_k(item | history),   p_k = fit(shard k)

a_k = 1/K (`mean`), or by how near the history is to the shard's users (`attention`, see `affinity`): a mixture of
probabilities. To forget, the shards that the forgotten are in are trained again, from scratch and with the seed they
had, on what is retained of them; the attention is computed from what is retained. So the result is, bit for bit, what
training on the retained data gives under the same partition; all other shards never met what is forgotten.

Bourtoule et al., "Machine Unlearning", S&P 2021 (arXiv 1912.03817), without their slices; with `partition = "balanced"`
and the attention after RecEraser (Chen et al., "Recommendation Unlearning", WWW 2022, arXiv 2201.06820).
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from vestige import seeds
from vestige.data.sequences import IntArray, Sequences
from vestige.errors import InputError
from vestige.methods import Maker, Task, Unlearned
from vestige.progress import Progress
from vestige.recommenders.contract import (
    FitReport,
    FloatArray,
    Modular,
    Recommender,
    Represents,
    Scorer,
    Trainable,
)
from vestige_methods.sharding.affinity import Affinity, Floats, mixture
from vestige_methods.sharding.common import load_sharding, part, read_about, save_sharding, summed
from vestige_methods.sharding.config import SISAConfig
from vestige_methods.sharding.partition import Partition, divide, moved

ABOUT, SHARDS = "sisa.json", "shards.safetensors"


class SISA:
    """See the module's docstring."""

    def __init__(self, config: SISAConfig) -> None:
        self.config = config

    def recommender(self, maker: Maker) -> Recommender:
        """An untrained ensemble of the board's recommender."""
        return _kind_of(maker)(self.config, maker)

    def load_recommender(self, folder: Path, maker: Maker) -> Recommender:
        """What `Ensemble.save` wrote.

        Raises:
            InputError: The folder holds no ensemble.
        """
        ensemble = _kind_of(maker)(self.config, maker)
        ensemble.read(folder)
        return ensemble

    def unlearn(self, task: Task) -> Unlearned:
        """Trains the shards of the forgotten again, on what is retained."""
        ensemble = task.recommender
        if not isinstance(ensemble, Ensemble):
            raise InputError("sisa forgets from a base of its own, and was given another model.")
        before = ensemble.state
        touched = before.touched(task.forget_sequences)
        report = ensemble.forget(task.retained, touched, task.progress)
        notes: dict[str, float] = {"shards": self.config.shards, "shards trained again": len(touched)}
        if self.config.partition == "balanced":
            anew = divide(task.retained, len(task.catalogue), self.config, before.seed)
            notes["share of users whose shard hangs on the forgotten"] = moved(before.partition, anew)
        again = [model for k, model in ensemble.state.models.items() if k in touched]
        return Unlearned(ensemble, _parameters(again), notes, report.flops, report.uncounted)


@dataclass(frozen=True)
class State:
    """A trained ensemble.

    Attributes:
        seed: It was trained with; a shard's own follows from it and the shard's number.
        partition: Who is in which shard.
        models: Of the shards that have a user, by number, ascending.
        affinity: To these shards, in this order.
    """

    seed: int
    partition: Partition
    models: Mapping[int, Recommender]
    affinity: Affinity

    def touched(self, forgotten: Sequences) -> IntArray:
        """int64, ascending: the shards that the users of `forgotten` are in."""
        return np.unique(self.partition.of(forgotten.users))


class Ensemble:
    """The recommender of `sisa`: see the module's docstring."""

    def __init__(self, config: SISAConfig, maker: Maker) -> None:
        self.config, self.maker = config, maker
        self.reach = maker.fresh().reach
        self._state: State | None = None

    @property
    def state(self) -> State:
        """What was trained.

        Raises:
            InputError: Nothing was.
        """
        if self._state is None:
            raise InputError("this ensemble of shards was not trained yet.")
        return self._state

    @property
    def models(self) -> list[Recommender]:
        """Of the shards, in their order."""
        return list(self.state.models.values())

    # -- training ---------------------------------------------------------------------------------------------

    def fit(self, sequences: Sequences, seed: int, progress: Progress) -> FitReport:
        """Divides the users and trains every shard from scratch."""
        partition = divide(sequences, len(self.maker.catalogue), self.config, seed)
        return self.train(sequences, partition, seed, progress)

    def train(self, sequences: Sequences, partition: Partition, seed: int, progress: Progress) -> FitReport:
        """Trains every shard from scratch, under a partition that is given.

        Raises:
            InputError: There is nobody to train on.
        """
        return self._train(sequences, partition, seed, {}, np.unique(partition.shards), progress)

    def forget(self, retained: Sequences, touched: IntArray, progress: Progress) -> FitReport:
        """Trains the `touched` shards again, from scratch, on what is `retained`; the others stay as they are."""
        old = self.state
        return self._train(retained, old.partition.only(retained.users), old.seed, old.models, touched, progress)

    def _train(
        self,
        sequences: Sequences,
        partition: Partition,
        seed: int,
        known: Mapping[int, Recommender],
        wanted: IntArray,
        progress: Progress,
    ) -> FitReport:
        if not len(sequences):
            raise InputError("sisa has nothing to train on: no user has a training interaction.")
        shard_of = partition.of(sequences.users)
        present = np.unique(shard_of)
        wanted = np.intersect1d(wanted, present)
        models, reports = {k: known[k] for k in present.tolist() if k not in wanted}, []
        for done, k in enumerate(wanted.tolist()):
            models[k] = self._fresh()
            rows = sequences.take(np.flatnonzero(shard_of == k))
            told = part(progress, done, len(wanted), f"shard {k}: ")
            reports.append(models[k].fit(rows, seeds.derive(seed, "shard", str(k)), told))
        affinity = Affinity.to(sequences, shard_of, present, len(self.maker.catalogue))
        self._state = State(seed, partition, {k: models[k] for k in present.tolist()}, affinity)
        return summed(reports)

    def _fresh(self) -> Recommender:
        model: Any = self.maker.fresh()
        if self.config.passes is not None:
            settings: Any = getattr(model, "config", None)
            if not hasattr(settings, "passes"):
                raise InputError("sisa: passes: this recommender has no such setting; leave it out.")
            model.config = settings.model_copy(update={"passes": self.config.passes})
        return cast(Recommender, model)

    # -- answering --------------------------------------------------------------------------------------------

    def score(self, histories: Sequences) -> FloatArray:
        """float32 [queries, items]: the logarithm of the mixture, over the whole catalogue, nothing masked."""
        return mixture([model.score(histories) for model in self.models], self.weights(histories))

    def weights(self, histories: Sequences) -> Floats:
        """float64 [queries, shards]: a_k."""
        if self.config.aggregation == "attention":
            return self.state.affinity.attention(histories, self.config.temperature)
        return np.full((len(histories), len(self.models)), 1 / len(self.models))

    # -- files ------------------------------------------------------------------------------------------------

    def save(self, folder: Path) -> None:
        """Writes each shard's model into a folder of its own, and the partition of whoever is still in it."""
        state = self.state
        for k, model in state.models.items():
            inner = folder / f"shard-{k}"
            inner.mkdir()
            model.save(inner)
        save_sharding(folder / SHARDS, state.partition, state.affinity)
        about = {"format": 1, "seed": state.seed, "shards": list(state.models)}
        (folder / ABOUT).write_text(json.dumps(about, indent=1))

    def read(self, folder: Path) -> None:
        """Takes what `save` wrote.

        Raises:
            InputError: The folder holds no ensemble.
        """
        about = read_about(folder, ABOUT, "sisa")
        partition, affinity = load_sharding(folder / SHARDS)
        models = {int(k): self.maker.load(folder / f"shard-{k}") for k in about["shards"]}
        self._state = State(int(about["seed"]), partition, models, affinity)


class TorchEnsemble(Ensemble):
    """Of torch recommenders, whose weights an attacker who holds the files can read, round and train."""

    @property
    def module(self) -> torch.nn.ModuleList:
        """All shards' weights."""
        return torch.nn.ModuleList([cast(Trainable, model).module for model in self.models])

    def modules(self) -> tuple[torch.nn.Module, ...]:
        """Of all shards."""
        return tuple(module for model in self.models for module in cast(Modular, model).modules())

    def represent(self, histories: Sequences) -> FloatArray:
        """float32 [queries, features]: what every shard makes of each history, side by side."""
        return np.concatenate([cast(Represents, model).represent(histories) for model in self.models], axis=1)

    def loss(self, sequences: Sequences, rng: np.random.Generator) -> torch.Tensor:
        """The mean of the shards' training losses: who trains on, such as an attacker, trains all of them."""
        losses = [cast(Trainable, model).loss(sequences, rng) for model in self.models]
        return torch.stack(losses).mean()

    def train_on(
        self, sequences: Sequences, passes: float, seed: int, progress: Progress, learning_rate: float | None = None
    ) -> FitReport:
        """Every shard goes on training on those of `sequences` whose users it has."""
        known = np.isin(sequences.users, self.state.partition.users)
        sequences = sequences.take(np.flatnonzero(known))
        shard_of = self.state.partition.of(sequences.users)
        reports = []
        for k, model in self.state.models.items():
            rows = sequences.take(np.flatnonzero(shard_of == k))
            if len(rows):
                own = seeds.derive(seed, "shard", str(k))
                reports.append(cast(Trainable, model).train_on(rows, passes, own, progress, learning_rate))
        return summed(reports)


def _kind_of(maker: Maker) -> type[Ensemble]:
    one = maker.fresh()
    torch_like = isinstance(one, Trainable) and isinstance(one, Modular) and isinstance(one, Represents)
    return TorchEnsemble if torch_like else Ensemble


def _parameters(models: Iterable[Scorer]) -> int:
    modules = [module for model in models if isinstance(model, Modular) for module in model.modules()]
    return sum(p.numel() for module in modules for p in module.parameters())
