"""SASRec: a causal transformer over item embeddings, trained with the cross-entropy of the whole catalogue.

A pass over the data takes one random window of up to `window` items of every sequence; every position predicts the
next item from those before it. To score a history, its last `window` items are read, and the last state is multiplied
with every item's embedding.

Architecture: Kang and McAuley, "Self-Attentive Sequential Recommendation", ICDM 2018 (arXiv 1808.09781). They compare
the next item with one sampled negative; with the cross-entropy of all items the same network is on par with later ones
(Klenitskiy and Vasilev, "Turning Dross Into Gold Loss", RecSys 2023, arXiv 2309.07602).
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from vestige.data.sequences import IntArray, Sequences, padded
from vestige.data.views import Queries
from vestige.errors import InputError
from vestige.progress import Progress
from vestige.recommenders.bookmark import Bookmark, identity_of
from vestige.recommenders.contract import Catalogue, FitReport, FloatArray, Transitions, Unfinished
from vestige.recommenders.cross_entropy import IGNORED, mean_cross_entropy
from vestige.recommenders.sasrec_config import SASRecConfig
from vestige.recommenders.torch_tools import autocast, resolve_device
from vestige.recommenders.training import Training, descend
from vestige.recommenders.windows import draw_windows

WEIGHTS = "model.safetensors"

CATALOGUE = "catalogue_sha256"


@dataclass(frozen=True)
class Windows:
    """Teacher-forced windows.

    Attributes:
        tokens: int64 [rows, window], the item before each position; `n_items` where a sequence begins.
        targets: int64 [rows, window], items, `IGNORED` at padding.
    """

    tokens: torch.Tensor
    targets: torch.Tensor


@dataclass(frozen=True)
class Asked:
    """Which states answer.

    Attributes:
        tokens: int64 [rows, positions].
        row, position: int64 [transitions].
    """

    tokens: torch.Tensor
    row: torch.Tensor
    position: torch.Tensor


class Block(nn.Module):
    """Attention to what came before, and a feed-forward network, each around a normalised residual."""

    def __init__(self, config: SASRecConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.dropout = config.dropout
        self.before = nn.LayerNorm(config.d_model)
        self.mix = nn.Linear(config.d_model, 3 * config.d_model)
        self.out = nn.Linear(config.d_model, config.d_model)
        self.between = nn.LayerNorm(config.d_model)
        self.feed = nn.Sequential(
            nn.Linear(config.d_model, config.d_ff), nn.GELU(), nn.Linear(config.d_ff, config.d_model)
        )
        self.drop = nn.Dropout(config.dropout)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """[rows, positions, d_model] of the same."""
        rows, positions, width = states.shape
        mixed = self.mix(self.before(states)).view(rows, positions, 3, self.heads, width // self.heads)
        query, key, value = mixed.permute(2, 0, 3, 1, 4)
        # Padding stands at the end, where no earlier position looks.
        seen = nn.functional.scaled_dot_product_attention(
            query, key, value, is_causal=True, dropout_p=self.dropout if self.training else 0.0
        )
        states = states + self.drop(self.out(seen.transpose(1, 2).reshape(rows, positions, width)))
        fed: torch.Tensor = self.drop(self.feed(self.between(states)))
        return states + fed


class Network(nn.Module):
    """Items and positions to states."""

    def __init__(self, config: SASRecConfig, n_items: int) -> None:
        super().__init__()
        self.items = nn.Embedding(n_items + 1, config.d_model)
        self.positions = nn.Embedding(config.window, config.d_model)
        self.drop = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList([Block(config) for _ in range(config.layers)])
        self.last = nn.LayerNorm(config.d_model)
        for table in (self.items, self.positions):
            nn.init.normal_(table.weight, std=0.02)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """States [rows, positions, d_model] of tokens [rows, positions]."""
        places = torch.arange(tokens.shape[1], device=tokens.device)
        states = self.drop(self.items(tokens) + self.positions(places))
        for block in self.blocks:
            states = block(states)
        out: torch.Tensor = self.last(states)
        return out

    def project(self, states: torch.Tensor) -> torch.Tensor:
        """Logits [..., items] of states [..., d_model]; the embedding of a beginning is no item."""
        return states @ self.items.weight[:-1].T


class SASRec:
    """See the module's docstring."""

    reach: int | None = None  # a random window of a whole sequence can touch every transition

    def __init__(self, config: SASRecConfig, catalogue: Catalogue, device: str = "cpu") -> None:
        self.config = config
        self.catalogue = catalogue
        self.device = resolve_device(device)
        self.module = self._new_module(seed=0)

    # -- training ---------------------------------------------------------------------------------------------

    def fit(self, sequences: Sequences, seed: int, progress: Progress) -> FitReport:
        """Trains from scratch for `config.passes` passes; the same arguments give the same weights."""
        self.module = self._new_module(seed)
        return self.train_on(sequences, self.config.passes, seed, progress)

    def fit_or_resume(self, sequences: Sequences, seed: int, progress: Progress, unfinished: Unfinished) -> FitReport:
        """See `vestige.recommenders.contract.Resumable`."""
        self.module = self._new_module(seed)
        bookmark = Bookmark(unfinished, identity_of(unfinished, self.module, repr(self.config), sequences, seed))
        return descend(self, self._how(), sequences, self.config.passes, seed, progress, bookmark)

    def train_on(
        self, sequences: Sequences, passes: float, seed: int, progress: Progress, learning_rate: float | None = None
    ) -> FitReport:
        """Trains on from the present weights; see `vestige.recommenders.training.descend`."""
        return descend(self, self._how(learning_rate), sequences, passes, seed, progress)

    def _how(self, learning_rate: float | None = None) -> Training:
        c = self.config
        rate = learning_rate or c.learning_rate
        return Training(c.window, c.coverage, c.batch_size, rate, c.weight_decay, c.clip, c.amp)

    def transitions(self, sequences: Sequences, rng: np.random.Generator) -> Transitions:
        """The transitions of one random window of every sequence, as training draws them."""
        batch = self.batch(sequences, rng)
        row, position = torch.nonzero(batch.targets != IGNORED, as_tuple=True)
        return Transitions(Asked(batch.tokens, row, position), batch.targets[row, position], row)

    def transitions_of(self, queries: Queries) -> Transitions:
        """Every query's target after its history, as `score` reads it."""
        tokens, last = self.question(queries.histories)
        row = torch.arange(len(queries), device=self.device)
        return Transitions(Asked(tokens, row, last), self._tensor(queries.targets), row)

    def logits(self, transitions: Transitions) -> torch.Tensor:
        """[transitions, items], differentiable; their log-softmax is what `score` gives.

        With `amp`, to within the rounding of bfloat16, as in training.
        """
        asked: Asked = transitions.inputs
        with autocast(self.device, self.config.amp):
            return self.module.project(self.module(asked.tokens)[asked.row, asked.position]).float()

    def loss(self, sequences: Sequences, rng: np.random.Generator) -> torch.Tensor:
        """The mean cross-entropy, in nats a position, of one random window of every sequence."""
        with autocast(self.device, self.config.amp):
            return self.batch_loss(self.batch(sequences, rng))

    def batch_loss(self, batch: Windows) -> torch.Tensor:
        """The mean cross-entropy of a batch, in nats a position."""
        states = self.module(batch.tokens)
        return mean_cross_entropy(states, batch.targets, self.module.project, self.module.items.weight[:-1])

    def batch(self, sequences: Sequences, rng: np.random.Generator) -> Windows:
        """One random window of every sequence."""
        return self.windows(sequences, *draw_windows(sequences.lengths, self.config.window, self.config.coverage, rng))

    def windows(self, sequences: Sequences, starts: IntArray, sizes: IntArray) -> Windows:
        """The windows of `sizes` items from position `starts` on, both [rows], of every sequence."""
        rows = np.arange(len(sequences))
        targets = padded(sequences.slices(rows, starts, sizes), int(sizes.max(initial=1)), IGNORED)
        begin = len(self.catalogue)
        tokens = np.full_like(targets, begin)
        tokens[:, 1:] = np.where(targets[:, :-1] >= 0, targets[:, :-1], begin)
        later = np.flatnonzero((starts > 0) & (sizes > 0))
        tokens[later, 0] = sequences.items[sequences.offsets[later] + starts[later] - 1]
        return Windows(self._tensor(tokens), self._tensor(targets))

    # -- scoring ----------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def score(self, histories: Sequences) -> FloatArray:
        """float32 [queries, items]: log-softmax over the whole catalogue, nothing masked."""
        out = np.empty((len(histories), len(self.catalogue)), dtype=np.float32)
        for rows in self.scoring_batches(len(histories)):
            states, last = self._answers(histories.take(rows))
            logits = self.module.project(states[torch.arange(len(rows)), last])
            out[rows] = torch.log_softmax(logits, dim=-1).cpu().numpy()
        return out

    @torch.inference_mode()
    def represent(self, histories: Sequences) -> FloatArray:
        """float32 [queries, 2 d_model]: the states averaged over the history, and the state that answers."""
        out = np.empty((len(histories), 2 * self.config.d_model), dtype=np.float32)
        for rows in self.scoring_batches(len(histories)):
            states, last = self._answers(histories.take(rows))
            inside = (torch.arange(states.shape[1], device=self.device) <= last[:, None]).to(states.dtype)
            mean = (states * inside[..., None]).sum(dim=1) / inside.sum(dim=1, keepdim=True)
            answer = states[torch.arange(len(rows)), last]
            out[rows] = torch.cat([mean, answer], dim=1).float().cpu().numpy()
        return out

    def modules(self) -> tuple[nn.Module, ...]:
        """The one module there is."""
        return (self.module,)

    def scoring_batches(self, queries: int) -> Iterator[IntArray]:
        """Row numbers, `config.score_batch_size` at a time."""
        for start in range(0, queries, self.config.score_batch_size):
            yield np.arange(start, min(start + self.config.score_batch_size, queries))

    def question(self, histories: Sequences) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens [queries, positions] and the position [queries] whose state answers each query."""
        window, begin = self.config.window, len(self.catalogue)
        lengths = histories.lengths
        read = np.minimum(lengths, window)
        rows = padded(histories.slices(np.arange(len(lengths)), lengths - read, read), window, begin)
        # A history that fits begins with the mark of a beginning, as in training.
        fits = lengths < window
        rows[fits, 1:] = rows[fits, :-1]
        rows[fits, 0] = begin
        return self._tensor(rows), self._tensor(np.where(fits, lengths, window - 1))

    # -- files ------------------------------------------------------------------------------------------------

    def save(self, folder: Path) -> None:
        """Writes the weights as safetensors, with a checksum of the catalogue whose rows they are."""
        state = {name: value.contiguous().cpu() for name, value in self.module.state_dict().items()}
        save_file(state, folder / WEIGHTS, {CATALOGUE: _checksum(self.catalogue)})

    @classmethod
    def load(cls, folder: Path, config: SASRecConfig, catalogue: Catalogue, device: str) -> "SASRec":
        """Reads what `save` wrote.

        Raises:
            InputError: There are no weights, they are damaged, or of another shape or catalogue.
        """
        model = cls(config, catalogue, device)
        file = folder / WEIGHTS
        try:
            with safe_open(file, framework="pt") as held:
                told = (held.metadata() or {}).get(CATALOGUE)
            weights = load_file(file, device=model.device)
        except (OSError, SafetensorError) as error:
            raise InputError(f"{file}: the weights cannot be read ({' '.join(str(error).split())[:200]}).") from error
        if told not in (None, _checksum(catalogue)):
            raise InputError(f"{file}: these weights were trained on another catalogue; take ones of this dataset.")
        try:
            model.module.load_state_dict(weights)
        except RuntimeError as error:
            raise InputError(f"{file}: these are no weights of this model and catalogue ({error}).") from None
        return model

    # -- inside -----------------------------------------------------------------------------------------------

    def _answers(self, histories: Sequences) -> tuple[torch.Tensor, torch.Tensor]:
        self.module.eval()
        tokens, last = self.question(histories)
        return self.module(tokens[:, : int(last.max()) + 1]), last

    def _new_module(self, seed: int) -> Network:
        torch.manual_seed(seed)
        return Network(self.config, len(self.catalogue)).to(self.device).eval()

    def _tensor(self, array: IntArray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array, dtype=np.int64)).to(self.device)


def _checksum(catalogue: Catalogue) -> str:
    """SHA-256 of the items' names in their order."""
    return hashlib.sha256("\n".join(catalogue.item_ids).encode()).hexdigest()
