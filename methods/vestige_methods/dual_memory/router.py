"""The router: p(forget | history) from activations of the frozen main memory."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

from vestige.configs import Config
from vestige.data.sequences import Sequences, offsets_of
from vestige.errors import InputError
from vestige.recommenders.contract import FloatArray
from vestige.recommenders.flops import FlopsByShape
from vestige.recommenders.t5 import PAD, T5Recommender
from vestige_methods.dual_memory.config import DualMemoryConfig
from vestige_methods.dual_memory.layers import known_layers
from vestige_methods.uniform_on_f import scattered

HELD_OUT = 0.25
"""Share of the histories that choose the threshold."""

SHORTENED = 0.25
"""Share of the training histories of which a shortened copy is trained on as well."""

ROUNDING = 1e-4
"""A history's probability may differ by so much with how long the others of its batch are."""

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
        return self.judge(self.standardised(activations))

    def standardised(self, activations: torch.Tensor) -> torch.Tensor:
        """[queries, features] with the mean 0 and the deviation 1 of what it was trained on."""
        return (activations - self.mean) / self.scale

    def judge(self, standardised: torch.Tensor) -> torch.Tensor:
        """Logits [queries] of p(forget)."""
        out: torch.Tensor = self.layers(standardised)
        return out.squeeze(-1)


@dataclass(frozen=True)
class Observed:
    """What the main memory computes for a batch of questions.

    Attributes:
        states: Encoder states [queries, tokens, d_model].
        mask: [queries, tokens], 1 at tokens.
        answer: The decoder states [queries, d_model] from which the main memory answers.
        features: [queries, features], what the router sees.
    """

    states: torch.Tensor
    mask: torch.Tensor
    answer: torch.Tensor
    features: torch.Tensor


def observe(
    main: T5Recommender, encoder: torch.Tensor, decoder: torch.Tensor, last: torch.Tensor, layers: tuple[str, ...]
) -> Observed:
    """Runs the main memory and keeps what its layers say of each history.

    The hidden states that `layers` names (see `DualMemoryConfig.router_layers`) are averaged over the history, and put
    beside each other.
    """
    mask = (encoder != PAD).long()
    encoded = main.module.encoder(input_ids=encoder, attention_mask=mask, output_hidden_states=True)
    decoded = main.module.decoder(
        input_ids=decoder,
        encoder_hidden_states=encoded[0],
        encoder_attention_mask=mask,
        use_cache=False,
        output_hidden_states=True,
    )
    asked = (torch.arange(decoder.shape[1], device=decoder.device) <= last[:, None]).long()
    seen = {"encoder": (encoded.hidden_states, mask), "decoder": (decoded.hidden_states, asked)}
    features = []
    for layer in layers:
        stack, _, number = layer.partition(".")
        hidden, where = seen[stack]
        features += [_average(states, where) for states in ([hidden[int(number)]] if number else hidden)]
    answer = decoded[0][torch.arange(len(decoder)), last]
    return Observed(encoded[0], mask, answer, torch.cat(features, dim=-1).float())


def _average(states: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    """[queries, d_model]: the mean of [queries, tokens, d_model] over the tokens under `where`."""
    return (states * where[..., None]).sum(dim=1) / where.sum(dim=1, keepdim=True)


@dataclass(frozen=True)
class RouterReport:
    """How the threshold was found, on held-out histories at their natural prevalence.

    Attributes:
        threshold: p at or above it goes to the side memory.
        precision, recall: On the held-out histories; see `labelled_histories` for what these are.
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
    features: torch.Tensor, histories: Histories, config: DualMemoryConfig, seed: int, start: Router | None = None
) -> tuple[Router, RouterReport]:
    """Trains on the histories that are not held out, then chooses the threshold on those that are.

    Args:
        features: [queries, features], see `observe`.
        histories: Their labels.
        config: The router's settings.
        seed: Of initial weights, dropout and order.
        start: A router to go on from; its standardisation is kept, since its weights were made for that.

    Raises:
        InputError: `start` has another shape.
    """
    torch.manual_seed(seed)
    device = features.device
    # A class of one history has it held out, and must be trained on it all the same.
    alone = np.asarray([histories.forget[~histories.held_out].sum() == 0, histories.forget[~histories.held_out].all()])
    training = ~histories.held_out | (histories.forget & alone[0]) | (~histories.forget & alone[1])
    train = torch.from_numpy(np.flatnonzero(training)).to(device)
    label = torch.from_numpy(histories.forget).to(device).float()
    router = Router(features.shape[1], config.router_hidden, config.router_dropout).to(device)
    if start is None:
        router.mean.copy_(features[train].mean(dim=0))
        router.scale.copy_(features[train].std(dim=0).clamp_min(1e-6))
    else:
        _continue(router, start)
    optimizer = torch.optim.AdamW(
        router.parameters(), lr=config.router_lr, weight_decay=config.router_weight_decay, fused=True
    )
    positive = label[train].mean().clamp(1e-3, 1 - 1e-3)
    weight = torch.where(label > 0, (1 - positive) / positive, torch.ones_like(positive))
    shuffle = torch.Generator().manual_seed(seed)
    router.train()
    seen = router.standardised(features)
    for _ in range(config.router_epochs):
        order = train[torch.randperm(len(train), generator=shuffle).to(device)]
        for rows in order.split(config.router_batch_size):
            x, y, w = (each.index_select(0, rows) for each in (seen, label, weight))
            loss = functional.binary_cross_entropy_with_logits(router.judge(x), y, w)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
    router.eval()
    held = np.flatnonzero(histories.held_out)
    with torch.inference_mode():
        probability = torch.sigmoid(router.judge(seen[torch.from_numpy(held).to(device)])).cpu().numpy()
    report = choose_threshold(probability, histories.forget[held], histories.weight[held], config.target_precision)
    return router, report


def _continue(router: Router, start: Router) -> None:
    shapes, own = (
        {name: tuple(tensor.shape) for name, tensor in each.state_dict().items()} for each in (start, router)
    )
    if shapes != own:
        hidden = len(start.state_dict()["layers.0.bias"])
        raise InputError(f"warm_start: its router has {hidden} hidden units; give router_hidden = {hidden}.")
    router.load_state_dict(start.state_dict())


def choose_threshold(
    probability: FloatArray, forget: npt.NDArray[np.bool_], weight: npt.NDArray[np.float64], target: float
) -> RouterReport:
    """The lowest threshold at which the weighted precision is at least `target`; else that of the highest precision.

    It lies under the probability of the last history that it takes, by `ROUNDING` or half of the way to the next one.
    """
    order = np.argsort(-probability, kind="stable")
    p, w, f = probability[order], weight[order], forget[order]
    true = np.cumsum(w * f)
    precision = true / np.cumsum(w)
    ends = np.append(np.diff(p) != 0, True)  # a threshold takes all of equal probabilities or none
    good = np.flatnonzero(ends & (precision >= target))
    reached = len(good) > 0
    at = int(good[-1]) if reached else int(np.argmax(np.where(ends, precision, -1.0)))
    retained = float((w * ~f)[: at + 1].sum() / max((w * ~f).sum(), 1e-12))
    below = float(p[at + 1]) if at + 1 < len(p) else 0.0
    threshold = float(p[at]) - min(ROUNDING, (float(p[at]) - below) / 2)
    return RouterReport(threshold, float(precision[at]), float(true[at] / true[-1]), retained, reached)


def labelled_histories(
    retained: Sequences,
    forget: Sequences,
    whole: bool,
    per_forgotten: int,
    per_retained: int,
    rng: np.random.Generator,
    users_of_r: int,
) -> Histories:
    """Histories to train the router on and to choose its threshold.

    From every user at most so many prefixes at random cuts, of which one is the whole sequence. A quarter is held out
    to choose the threshold. To those for training come shortened copies of a quarter of them, truncated or sampled, so
    that a shortened history is still recognised.

    Where single interactions are forgotten, the histories before them are the very questions that must be recognised,
    and say nothing of one another: all are trained on, and stand beside the held-out retained ones where the threshold
    is chosen. A retained prefix that is such a history (as a user's whole retained sequence is, of whom the latest
    interactions are forgotten) is left out: no router could tell it from itself.

    Args:
        retained, forget: Training sequences.
        whole: `forget` holds the sequences of whole users, of whom every prefix is to be recognised. Otherwise it holds
            one complete history for each forgotten interaction.
        per_forgotten, per_retained: Prefixes of a user. Of the forgotten each is a question that will be asked; of the
            retained, who are many, a few of each show as much.
        users_of_r: Of whom `retained` are some or all: so many stand against the forgotten where a threshold is chosen.
    """
    forget_rows = prefixes(forget, per_forgotten, rng) if whole else _distinct(forget)
    retained_rows = prefixes(retained, per_retained, rng)
    if not whole:
        retained_rows = retained_rows.take(np.flatnonzero(~np.isin(_names(retained_rows), _names(forget_rows))))
    held_f = _held_out(len(forget_rows), rng) if whole else np.zeros(len(forget_rows), dtype=np.bool_)
    held_r = _held_out(len(retained_rows), rng)
    judged = forget_rows.take(np.zeros(0, dtype=np.int64) if whole else np.arange(len(forget_rows)))
    short_f, short_r = (
        shortened(rows.take(np.flatnonzero(~held & (rng.random(len(rows)) < SHORTENED))), rng)
        for rows, held in ((forget_rows, held_f), (retained_rows, held_r))
    )
    # Natural prevalence: every user counts alike, however many histories there are of them, and all of R is there.
    seen = max(len(np.unique(retained.users)), 1)
    times = np.repeat(
        [1.0, users_of_r / seen], [len(forget_rows) + len(short_f) + len(judged), len(retained_rows) + len(short_r)]
    )
    weighed = [
        (forget_rows, held_f),
        (short_f, np.zeros(len(short_f), dtype=np.bool_)),
        (judged, np.ones(len(judged), dtype=np.bool_)),
        (retained_rows, held_r),
        (short_r, np.zeros(len(short_r), dtype=np.bool_)),
    ]
    rows = Sequences(
        np.concatenate([piece.items for piece, _ in weighed]),
        offsets_of(np.concatenate([piece.lengths for piece, _ in weighed])),
        np.concatenate([piece.users for piece, _ in weighed]),
    )
    return Histories(
        rows=rows,
        forget=np.arange(len(rows)) < len(forget_rows) + len(short_f) + len(judged),
        held_out=np.concatenate([held for _, held in weighed]),
        weight=times * np.concatenate([_user_weights(piece, held) for piece, held in weighed]),
    )


def _names(rows: Sequences) -> npt.NDArray[np.uint64]:
    """uint64 [rows]: a sum of one random word for each item and place, so equal for equal histories of a user alone."""
    row_of = np.repeat(np.arange(len(rows)), rows.lengths)
    place = np.arange(len(rows.items)) - rows.offsets[row_of]
    words = scattered(scattered(rows.items.astype(np.uint64)) + place.astype(np.uint64))
    summed = np.add.reduceat(words, rows.offsets[:-1]) if len(rows) else np.zeros(0, dtype=np.uint64)
    return scattered(rows.users.astype(np.uint64)) + summed


def _distinct(rows: Sequences) -> Sequences:
    """Every history of a user once."""
    return rows.take(np.sort(np.unique(_names(rows), return_index=True)[1]))


def _held_out(rows: int, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """A share of `HELD_OUT` of the rows: at least one, and never all of them unless there is only one."""
    count = min(max(round(HELD_OUT * rows), 1), max(rows - 1, 1))
    out = np.zeros(rows, dtype=np.bool_)
    out[rng.permutation(rows)[:count]] = True
    return out


def _user_weights(rows: Sequences, held_out: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """0 but of held-out rows: the same in sum for every user who has one, and as many in all as there are users."""
    users, index = np.unique(rows.users, return_inverse=True)
    held = np.bincount(index[held_out], minlength=len(users))
    weights = np.where(held_out, 1.0 / np.maximum(held, 1)[index], 0.0)
    scaled: npt.NDArray[np.float64] = weights * len(users) / max(int((held > 0).sum()), 1)
    return scaled


def prefixes(rows: Sequences, per_row: int, rng: np.random.Generator) -> Sequences:
    """At most `per_row` different prefixes of every row: the whole row, and others drawn at random."""
    index = np.repeat(np.arange(len(rows)), rows.lengths)
    lengths = np.arange(len(index)) - np.repeat(rows.offsets[:-1], rows.lengths) + 1
    lot = np.where(lengths == rows.lengths[index], -1.0, rng.random(len(index)))
    order = np.lexsort((lot, index))
    place = np.arange(len(order)) - np.repeat(rows.offsets[:-1], rows.lengths)
    chosen = np.sort(order[place < per_row])
    return rows.slices(index[chosen], np.zeros(len(chosen), dtype=np.int64), lengths[chosen])


def shortened(rows: Sequences, rng: np.random.Generator) -> Sequences:
    """Half of the rows cut to their last 2 to 15 items, of the others items left out at random; never empty."""
    cut = rng.random(len(rows)) < 0.5
    lengths = np.where(cut, np.minimum(rows.lengths, rng.integers(2, 16, len(rows))), rows.lengths)
    rows = rows.slices(np.arange(len(rows)), rows.lengths - lengths, lengths)
    row_of = np.repeat(np.arange(len(rows)), rows.lengths)
    keep = rng.random(len(rows.items)) < np.where(cut, 1.0, rng.uniform(0.3, 0.9, len(rows)))[row_of]
    keep[rows.offsets[1:] - 1] = True
    return Sequences(rows.items[keep], offsets_of(np.bincount(row_of[keep], minlength=len(rows))), rows.users)


def features_of(
    main: T5Recommender, histories: Sequences, layers: tuple[str, ...], counter: FlopsByShape | None = None
) -> torch.Tensor:
    """[queries, features] of the main memory, in scoring batches of histories that are about as long.

    Args:
        main: The main memory.
        histories: Of the queries.
        layers: See `DualMemoryConfig.router_layers`.
        counter: Is told what it takes.
    """
    order = np.argsort(histories.lengths, kind="stable")
    pieces: list[torch.Tensor] = []
    with torch.inference_mode():
        for rows in main.scoring_batches(len(histories)):
            encoder, decoder, last = main.question(histories.take(order[rows]))

            def ask(
                encoder: torch.Tensor = encoder, decoder: torch.Tensor = decoder, last: torch.Tensor = last
            ) -> None:
                pieces.append(observe(main, encoder, decoder, last, layers).features)

            if counter is None:
                ask()
            else:
                counter.run((*encoder.shape, *decoder.shape), ask)
    # Indexed out of inference mode, so that the router can be trained on the copy.
    return torch.cat(pieces)[torch.from_numpy(np.argsort(order)).to(main.device)]


def save_router(router: Router, folder: Path, settings: dict[str, Any]) -> None:
    """Writes `router.safetensors` and `router.json`."""
    save_file({name: tensor.contiguous() for name, tensor in router.state_dict().items()}, folder / WEIGHTS)
    (folder / SETTINGS).write_text(json.dumps(settings, indent=1))


def load_router(folder: Path, main: T5Recommender) -> tuple[Router, float, tuple[str, ...], str]:
    """The router for this main memory, its threshold, the layers it sees, and the routing.

    Raises:
        InputError: A file is missing or does not fit.
    """
    try:
        settings = _Settings.model_validate_json((folder / SETTINGS).read_bytes())
        weights = load_file(folder / WEIGHTS, device=main.device)
        layers = known_layers(main, settings.layers)
        hidden = len(weights["layers.0.bias"])
        router = Router(len(weights["mean"]), hidden, 0.0)
        router.load_state_dict(weights)
        seen, there = len(weights["mean"]), _features(main, layers)
        if seen != there:
            raise InputError(f"it sees {seen} activations, and its layers have {there}")
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError, InputError) as error:
        raise InputError(f"{folder}: the router cannot be read ({str(error).splitlines()[0]}).") from error
    return router.to(main.device).eval(), settings.threshold, layers, settings.routing


def _features(main: T5Recommender, layers: tuple[str, ...]) -> int:
    """How many activations `observe` gives of these layers."""
    shape = main.module.config
    blocks = {"encoder": shape.num_layers, "decoder": shape.num_decoder_layers or shape.num_layers}
    # All of a stack are those of its blocks, and the embedding.
    return sum(1 if "." in layer else blocks[layer] + 1 for layer in layers) * int(shape.d_model)


class _Settings(Config):
    """`router.json`."""

    threshold: float
    layers: tuple[str, ...]
    routing: Literal["hard", "soft"]
