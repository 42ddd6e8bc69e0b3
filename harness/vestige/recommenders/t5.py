"""T5 as a sequential recommender: one token an item, trained from scratch.

A pass over the data takes one random window of up to `window` items of every sequence. The encoder reads up to
`context` items before the window, the decoder predicts the window's items with a loss at every position. To
score a history, its last `recent` items go into the decoder and up to `context` items before them into the
encoder; one decoder step then gives the log-probabilities of the whole catalogue.

Architecture: Raffel et al., "Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer",
JMLR 2020 (arXiv 1910.10683), as implemented in `transformers`, with tied embeddings.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

from vestige.data.sequences import IntArray, Sequences, padded
from vestige.errors import InputError
from vestige.progress import Progress
from vestige.recommenders.contract import Catalogue, FitReport, FloatArray
from vestige.recommenders.t5_config import T5RecommenderConfig
from vestige.recommenders.torch_tools import (
    Flops,
    autocast,
    count_flops,
    deterministic,
    resolve_device,
    step,
    warm_then_linear,
)

PAD, EOS = 0, 1
FIRST_ITEM = 2
"""Token id of item 0; the tokens before it are padding (which also starts the decoder) and the end of input."""

IGNORED = -100
"""Target of a position without a loss."""


@dataclass(frozen=True)
class Batch:
    """Teacher-forced windows.

    Attributes:
        encoder: int64 [rows, context + 1], tokens, padded.
        decoder: int64 [rows, window], tokens, shifted right by one.
        targets: int64 [rows, window], items (not tokens), `IGNORED` at padding.
    """

    encoder: torch.Tensor
    decoder: torch.Tensor
    targets: torch.Tensor


class T5Recommender:
    """See the module's docstring. `module` is a plain `T5ForConditionalGeneration`."""

    reach: int | None = None  # a random window of a whole sequence can touch every transition

    def __init__(self, config: T5RecommenderConfig, catalogue: Catalogue, device: str = "cpu") -> None:
        self.config = config
        self.catalogue = catalogue
        self.device = resolve_device(device)
        self.module = self._new_module(seed=0)

    # -- training ---------------------------------------------------------------------------------------------

    def fit(self, sequences: Sequences, seed: int, progress: Progress) -> FitReport:
        """Trains from scratch for `config.passes` passes; the same arguments give the same weights."""
        self.module = self._new_module(seed)
        return self.train_on(sequences, self.config.passes, seed, progress)

    def train_on(
        self, sequences: Sequences, passes: float, seed: int, progress: Progress, learning_rate: float | None = None
    ) -> FitReport:
        """Trains on from the present weights for `passes` passes (a fraction of one is allowed).

        Raises:
            InputError: There are no sequences.
            FloatingPointError: The loss is not finite.
        """
        if len(sequences) == 0:
            raise InputError("there is nothing to train on: no user has a training interaction.")
        config = self.config
        deterministic(seed)
        rng = np.random.default_rng(seed)
        steps = max(1, math.ceil(passes * math.ceil(len(sequences) / config.batch_size)))
        parameters = [p for p in self.module.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(
            parameters, lr=learning_rate or config.learning_rate, weight_decay=config.weight_decay
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, warm_then_linear(steps, min(100, steps // 10), 0.02))
        per_pass = math.ceil(len(sequences) / config.batch_size)
        losses: list[float] = []
        flops = Flops(0.0, ())
        self.module.train()
        for done, rows in enumerate(_forever(len(sequences), config.batch_size, rng)):
            if done == steps:
                break
            batch = self.batch(sequences.take(rows), rng)
            if done == 0:
                flops = count_flops(partial(_forward_backward, self, batch))
                self.module.zero_grad(set_to_none=True)
                deterministic(seed)
            with autocast(self.device, config.amp):
                loss = self.batch_loss(batch)
            losses.append(step(optimizer, loss, parameters, config.clip))
            schedule.step()
            if done % 20 == 0:
                progress(done / steps, f"loss {losses[-1]:.3f}")
        self.module.eval()
        last = float(np.mean(losses[-per_pass:]))
        return FitReport(passes, steps, last, steps * flops.count, flops.uncounted)

    def loss(self, sequences: Sequences, rng: np.random.Generator) -> torch.Tensor:
        """The mean cross-entropy, in nats a position, of one random window of every sequence."""
        return self.batch_loss(self.batch(sequences, rng))

    def batch_loss(self, batch: Batch) -> torch.Tensor:
        """The mean cross-entropy of a batch, in nats a position."""
        logits = self.logits(batch.encoder, batch.decoder)
        return torch.nn.functional.cross_entropy(
            logits.float().flatten(0, 1), batch.targets.flatten(), ignore_index=IGNORED
        )

    def batch(self, sequences: Sequences, rng: np.random.Generator) -> Batch:
        """One random window of every sequence."""
        lengths = sequences.lengths
        starts = rng.integers(0, np.maximum(lengths - self.config.window, 0) + 1)
        return self.windows(sequences, starts)

    def windows(self, sequences: Sequences, starts: IntArray) -> Batch:
        """The windows that begin at position `starts` [rows] of every sequence."""
        config = self.config
        rows = np.arange(len(sequences))
        before = np.minimum(starts, config.context)
        inside = np.minimum(sequences.lengths - starts, config.window)
        encoder = self._encoder_input(sequences.slices(rows, starts - before, before))
        target = sequences.slices(rows, starts, inside)
        width = int(inside.max(initial=1))
        targets = padded(target, width, IGNORED)
        decoder = np.full_like(targets, PAD)
        decoder[:, 1:] = np.where(targets[:, :-1] >= 0, targets[:, :-1] + FIRST_ITEM, PAD)
        return Batch(encoder, self._tensor(decoder), self._tensor(targets))

    # -- the model --------------------------------------------------------------------------------------------

    def logits(self, encoder: torch.Tensor, decoder: torch.Tensor) -> torch.Tensor:
        """[rows, positions, items], unnormalised, of tokens `encoder` [rows, tokens], `decoder` [rows, positions]."""
        states, mask = self.encode(encoder)
        return self.project(self.decode(states, mask, decoder))

    def encode(self, encoder: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Encoder states [rows, tokens, d_model] and their attention mask [rows, tokens]."""
        mask = (encoder != PAD).long()
        return self.module.encoder(input_ids=encoder, attention_mask=mask)[0], mask

    def decode(self, states: torch.Tensor, mask: torch.Tensor, decoder: torch.Tensor) -> torch.Tensor:
        """Decoder states [rows, positions, d_model]."""
        return cast(
            torch.Tensor,
            self.module.decoder(
                input_ids=decoder, encoder_hidden_states=states, encoder_attention_mask=mask, use_cache=False
            )[0],
        )

    def project(self, states: torch.Tensor) -> torch.Tensor:
        """Logits [..., items] of decoder states [..., d_model]; special tokens are no items and get none."""
        if self.module.config.scale_decoder_outputs:
            states = states * self.module.config.d_model**-0.5
        return cast(torch.Tensor, self.module.lm_head(states))[..., FIRST_ITEM:]

    # -- scoring ----------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def score(self, histories: Sequences) -> FloatArray:
        """float32 [queries, items]: log-softmax over the whole catalogue, nothing masked."""
        self.module.eval()
        out = np.empty((len(histories), len(self.catalogue)), dtype=np.float32)
        for rows in self.scoring_batches(len(histories)):
            encoder, decoder, last = self.question(histories.take(rows))
            with autocast(self.device, self.config.amp):
                states, mask = self.encode(encoder)
                answer = self.decode(states, mask, decoder)[torch.arange(len(rows)), last]
                logits = self.project(answer)
            out[rows] = torch.log_softmax(logits.float(), dim=-1).cpu().numpy()
        return out

    @torch.inference_mode()
    def represent(self, histories: Sequences) -> FloatArray:
        """float32 [queries, 2 d_model]: the encoder's states, averaged over the tokens, and the state that answers."""
        self.module.eval()
        out = np.empty((len(histories), 2 * self.module.config.d_model), dtype=np.float32)
        for rows in self.scoring_batches(len(histories)):
            encoder, decoder, last = self.question(histories.take(rows))
            states, mask = self.encode(encoder)
            mean = (states * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)
            answer = self.decode(states, mask, decoder)[torch.arange(len(rows)), last]
            out[rows] = torch.cat([mean, answer], dim=1).float().cpu().numpy()
        return out

    def modules(self) -> tuple[torch.nn.Module, ...]:
        """The one module there is."""
        return (self.module,)

    def scoring_batches(self, queries: int) -> Iterator[IntArray]:
        """Row numbers, `config.score_batch_size` at a time."""
        for start in range(0, queries, self.config.score_batch_size):
            yield np.arange(start, min(start + self.config.score_batch_size, queries))

    def question(self, histories: Sequences) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Encoder tokens, decoder tokens and the decoder position [queries] whose state answers each query."""
        rows = np.arange(len(histories))
        lengths = histories.lengths
        recent = np.minimum(lengths, self.config.recent)
        before = np.minimum(lengths - recent, self.config.context)
        encoder = self._encoder_input(histories.slices(rows, lengths - recent - before, before))
        items = padded(histories.slices(rows, lengths - recent, recent), self.config.recent, PAD - FIRST_ITEM, 0)
        decoder = np.full((len(rows), self.config.recent + 1), PAD, dtype=np.int64)
        decoder[:, 1:] = items + FIRST_ITEM
        return encoder, self._tensor(decoder), self._tensor(recent)

    # -- files ------------------------------------------------------------------------------------------------

    def save(self, folder: Path) -> None:
        """Writes a normal Hugging Face checkpoint with its tokenizer."""
        self.module.save_pretrained(folder)
        item_tokenizer(self.catalogue).save_pretrained(folder)

    @classmethod
    def load(cls, folder: Path, config: T5RecommenderConfig, catalogue: Catalogue, device: str) -> "T5Recommender":
        """Reads what `save` wrote."""
        model = cls.__new__(cls)
        model.config, model.catalogue, model.device = config, catalogue, resolve_device(device)
        module = T5ForConditionalGeneration.from_pretrained(folder, local_files_only=True, use_safetensors=True)
        module.name_or_path = ""  # where it was read from is no part of it; adapters would write it down
        model.module = model._placed(module)
        return model

    # -- inside -----------------------------------------------------------------------------------------------

    def _new_module(self, seed: int) -> T5ForConditionalGeneration:
        c = self.config
        torch.manual_seed(seed)
        config = T5Config(**_shape(c, len(self.catalogue)))
        module = T5ForConditionalGeneration(config)
        return self._placed(module)

    def _placed(self, module: Any) -> T5ForConditionalGeneration:
        return cast(T5ForConditionalGeneration, module.to(self.device).eval())

    def _encoder_input(self, before: Sequences) -> torch.Tensor:
        """Tokens [rows, longest + 1]: the items, then the end of input, so that no row is empty."""
        width = int(before.lengths.max(initial=0)) + 1
        tokens = padded(before, width, PAD - FIRST_ITEM) + FIRST_ITEM
        tokens[np.arange(len(before)), before.lengths] = EOS
        return self._tensor(tokens)

    def _tensor(self, array: IntArray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array, dtype=np.int64)).to(self.device)


def item_tokenizer(catalogue: Catalogue) -> PreTrainedTokenizerFast:
    """A tokenizer whose words are `item_<id>`, one token each, so that a checkpoint is complete in itself."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = ["<pad>", "</s>", *(f"item_{item}" for item in catalogue.item_ids)]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>")


def _shape(config: T5RecommenderConfig, n_items: int) -> dict[str, Any]:
    """The arguments of `T5Config`."""
    return {
        "vocab_size": n_items + FIRST_ITEM,
        "d_model": config.d_model,
        "d_kv": config.d_model // config.heads,
        "d_ff": config.d_ff,
        "num_layers": config.layers,
        "num_decoder_layers": config.layers,
        "num_heads": config.heads,
        "dropout_rate": config.dropout,
        "initializer_factor": config.init_scale,
        "pad_token_id": PAD,
        "eos_token_id": EOS,
        "decoder_start_token_id": PAD,
    }


def _forward_backward(model: T5Recommender, batch: Batch) -> None:
    model.batch_loss(batch).backward()


def _forever(rows: int, size: int, rng: np.random.Generator) -> Iterator[IntArray]:
    """Batches of row numbers, every row once a pass, in a new order each pass."""
    while True:
        order = rng.permutation(rows)
        for start in range(0, rows, size):
            yield order[start : start + size]
