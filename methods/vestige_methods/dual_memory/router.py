"""The router: p(forget | history) from activations of the frozen main memory."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from vestige.data.sequences import Sequences, offsets_of
from vestige.errors import InputError
from vestige.recommenders.contract import FloatArray
from vestige.recommenders.t5 import T5Recommender
from vestige_methods.dual_memory.config import DualMemoryConfig

WEIGHTS, SETTINGS = "router.safetensors", "router.json"


class Router(nn.Module):
    """A classifier with one hidden layer on standardised activations."""

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, features: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))
        self.layers = nn.Sequential(nn.Linear(features, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, 1))

    def forward(self, activations: torch.Tensor) -> torch.Tensor:
        """Logits [queries] of p(forget), from [queries, features]."""
        out: torch.Tensor = self.layers((activations - self.mean) / self.scale)
        return out.squeeze(-1)


def activations(
    states: torch.Tensor, mask: torch.Tensor, answer: torch.Tensor, layers: tuple[str, ...]
) -> torch.Tensor:
    """[queries, features]: the mean encoder state and the decoder state that answers, as `layers` asks.

    Args:
        states: Encoder states [queries, tokens, d_model].
        mask: [queries, tokens], 1 at tokens.
        answer: The decoder state [queries, d_model] from which the main memory answers.
        layers: `encoder`, `decoder` or both.
    """
    parts = {
        "encoder": (states * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True),
        "decoder": answer,
    }
    return torch.cat([parts[layer] for layer in layers], dim=-1)


@dataclass(frozen=True)
class RouterReport:
    """How the threshold was found, on held-out histories at their natural prevalence.

    Attributes:
        threshold: p at or above it goes to the side memory.
        precision, recall: On the held-out histories.
        retained_share: The share of held-out retained histories that are routed.
        reached: Whether the target precision was reached.
    """

    threshold: float
    precision: float
    recall: float
    retained_share: float
    reached: bool


@dataclass(frozen=True)
class Histories:
    """Labelled histories, of which some are held out to choose the threshold.

    Attributes:
        rows: The histories.
        forget: bool, the label.
        held_out: bool.
        weight: float, so that every user counts alike however many histories there are of them.
    """

    rows: Sequences
    forget: npt.NDArray[np.bool_]
    held_out: npt.NDArray[np.bool_]
    weight: npt.NDArray[np.float64]


def train_router(
    features: torch.Tensor, histories: Histories, config: DualMemoryConfig, seed: int
) -> tuple[Router, RouterReport]:
    """Trains on the histories that are not held out, then chooses the threshold on those that are."""
    torch.manual_seed(seed)
    device = features.device
    train = torch.from_numpy(np.flatnonzero(~histories.held_out)).to(device)
    label = torch.from_numpy(histories.forget).to(device).float()
    router = Router(features.shape[1], config.router_hidden, config.router_dropout).to(device)
    router.mean.copy_(features[train].mean(dim=0))
    router.scale.copy_(features[train].std(dim=0).clamp_min(1e-6))
    optimizer = torch.optim.AdamW(router.parameters(), lr=config.router_lr, weight_decay=config.router_weight_decay)
    positive = label[train].mean().clamp(1e-3, 1 - 1e-3)
    criterion = nn.BCEWithLogitsLoss(pos_weight=(1 - positive) / positive)
    shuffle = torch.Generator().manual_seed(seed)
    router.train()
    for _ in range(config.router_epochs):
        order = train[torch.randperm(len(train), generator=shuffle).to(device)]
        for rows in order.split(config.router_batch_size):
            loss = criterion(router(features[rows]), label[rows])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
    router.eval()
    held = np.flatnonzero(histories.held_out)
    with torch.inference_mode():
        probability = torch.sigmoid(router(features[torch.from_numpy(held).to(device)])).cpu().numpy()
    report = choose_threshold(probability, histories.forget[held], histories.weight[held], config.target_precision)
    return router, report


def choose_threshold(
    probability: FloatArray, forget: npt.NDArray[np.bool_], weight: npt.NDArray[np.float64], target: float
) -> RouterReport:
    """The lowest threshold at which the weighted precision is at least `target`; else that of the highest precision."""
    order = np.argsort(-probability, kind="stable")
    p, w, f = probability[order], weight[order], forget[order]
    true = np.cumsum(w * f)
    precision = true / np.cumsum(w)
    ends = np.append(np.diff(p) != 0, True)  # a threshold takes all of equal probabilities or none
    good = np.flatnonzero(ends & (precision >= target))
    reached = len(good) > 0
    at = int(good[-1]) if reached else int(np.argmax(np.where(ends, precision, -1.0)))
    retained = float((w * ~f)[: at + 1].sum() / max((w * ~f).sum(), 1e-12))
    return RouterReport(float(p[at]), float(precision[at]), float(true[at] / true[-1]), retained, reached)


def labelled_histories(
    retained: Sequences, forget: Sequences, whole: bool, per_user: int, rng: np.random.Generator
) -> Histories:
    """Histories to train the router on and to choose its threshold.

    From every user, `per_user` prefixes at random cuts; of those for training, half are truncated to a few last items
    or sampled, so that a shortened history is still recognised. Held out are a quarter of each forgotten user's
    prefixes (these users must all be recognised, so no user is held out) and all prefixes of a quarter of the
    retained users.

    Args:
        retained, forget: Training sequences.
        whole: `forget` holds the sequences of whole users, of whom every prefix is to be recognised. Otherwise it holds
            one complete history for each forgotten interaction, used as it is.
        per_user: Prefixes a user.
    """
    if whole:
        forget_rows = prefixes(forget, per_user, rng)
        held_f = np.arange(len(forget_rows)) % 4 == 0
    else:
        forget_rows = forget
        held_f = rng.random(len(forget)) < 0.25
    retained_rows = prefixes(retained, max(2, per_user // 2), rng)
    held_users = np.unique(retained.users)[rng.permutation(len(np.unique(retained.users)))]
    held_r = np.isin(retained_rows.users, held_users[: max(1, len(held_users) // 4)])
    forget_rows = augmented(forget_rows, ~held_f, rng)
    retained_rows = augmented(retained_rows, ~held_r, rng)
    rows = Sequences(
        np.concatenate([forget_rows.items, retained_rows.items]),
        offsets_of(np.concatenate([forget_rows.lengths, retained_rows.lengths])),
        np.concatenate([forget_rows.users, retained_rows.users]),
    )
    label = np.arange(len(rows)) < len(forget_rows)
    held = np.concatenate([held_f, held_r])
    # Natural prevalence: as many forgotten to retained users as there are, though only some retained ones are held out.
    weight = np.where(
        label,
        len(np.unique(forget.users)) / max(held_f.sum(), 1),
        len(np.unique(retained.users)) / max(held_r.sum(), 1),
    )
    return Histories(rows, label, held, weight)


def prefixes(rows: Sequences, per_row: int, rng: np.random.Generator) -> Sequences:
    """`per_row` prefixes of every row, of random lengths from 1 to the whole row."""
    index = np.repeat(np.arange(len(rows)), per_row)
    lengths = rng.integers(1, rows.lengths[index] + 1)
    return rows.slices(index, np.zeros(len(index), dtype=np.int64), lengths)


def augmented(rows: Sequences, which: npt.NDArray[np.bool_], rng: np.random.Generator) -> Sequences:
    """Of the rows under `which`, a quarter is cut to its last 2 to 15 items and a quarter loses random items."""
    fate = rng.random(len(rows))
    cut = which & (fate < 0.25)
    lengths = np.where(cut, np.minimum(rows.lengths, rng.integers(2, 16, len(rows))), rows.lengths)
    rows = rows.slices(np.arange(len(rows)), rows.lengths - lengths, lengths)
    sampled = which & (fate >= 0.25) & (fate < 0.5)
    keep_rate = np.where(sampled, rng.uniform(0.3, 0.9, len(rows)), 1.0)
    row_of = np.repeat(np.arange(len(rows)), rows.lengths)
    keep = rng.random(len(rows.items)) < keep_rate[row_of]
    if len(keep):
        keep[rows.offsets[1:] - 1] = True  # never an empty history
    return Sequences(rows.items[keep], offsets_of(np.bincount(row_of[keep], minlength=len(rows))), rows.users)


def activations_of(main: T5Recommender, histories: Sequences, layers: tuple[str, ...]) -> torch.Tensor:
    """[queries, features] of the main memory, in scoring batches."""
    pieces = []
    with torch.inference_mode():
        for rows in main.scoring_batches(len(histories)):
            encoder, decoder, last = main.question(histories.take(rows))
            states, mask = main.encode(encoder)
            answer = main.decode(states, mask, decoder)[torch.arange(len(rows)), last]
            pieces.append(activations(states, mask, answer, layers))
    # Out of inference mode, so that the router can be trained on them.
    return torch.cat(pieces).clone()


def save_router(router: Router, folder: Path, settings: dict[str, Any]) -> None:
    """Writes `router.safetensors` and `router.json`."""
    save_file({name: tensor.contiguous() for name, tensor in router.state_dict().items()}, folder / WEIGHTS)
    (folder / SETTINGS).write_text(json.dumps(settings, indent=1))


def load_router(folder: Path, device: str) -> tuple[Router, float, tuple[str, ...], str]:
    """The router, its threshold, the layers it sees, and the routing.

    Raises:
        InputError: A file is missing or does not fit.
    """
    try:
        settings = json.loads((folder / SETTINGS).read_bytes())
        weights = load_file(folder / WEIGHTS, device=device)
        hidden = len(weights["layers.0.bias"])
        router = Router(len(weights["mean"]), hidden, 0.0)
        router.load_state_dict(weights)
        return (
            router.to(device).eval(),
            float(settings["threshold"]),
            tuple(settings["layers"]),
            str(settings["routing"]),
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise InputError(f"{folder}: the router cannot be read ({error}).") from error
