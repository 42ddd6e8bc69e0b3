"""The recommender: T5, which reads a history and says the next items.

A pass over the data takes one random window of up to `window` items of every sequence. The encoder reads up to
`context` items before the window, the decoder predicts the window's items with a loss at every token. To
score a history, its last `recent` items go into the decoder and up to `context` items before them into the
encoder. Where one token spells an item, one decoder step then gives the log-probabilities of the whole catalogue;
where several do, `vestige.recommenders.t5.trie` says how they are found.

Architecture: Raffel et al., "Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer",
JMLR 2020 (arXiv 1910.10683), as implemented in `transformers`, with tied embeddings.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from transformers import DynamicCache, EncoderDecoderCache, T5Config, T5ForConditionalGeneration

from vestige.data.sequences import IntArray, Sequences, offsets_of, padded
from vestige.data.sequences import sequences as rows_of
from vestige.data.views import Queries
from vestige.progress import Progress
from vestige.recommenders.bookmark import Bookmark, identity_of
from vestige.recommenders.contract import Catalogue, FitReport, FloatArray, Transitions, Unfinished
from vestige.recommenders.cross_entropy import IGNORED, mean_cross_entropy
from vestige.recommenders.t5 import checkpoint, vocabulary
from vestige.recommenders.t5 import items as indexing
from vestige.recommenders.t5.codes import Codes
from vestige.recommenders.t5.prompts import EOS, PAD
from vestige.recommenders.t5.trie import item_log_probs, trie_of
from vestige.recommenders.t5.vocabulary import Vocabulary
from vestige.recommenders.t5_config import SCRATCH, T5RecommenderConfig
from vestige.recommenders.torch_tools import autocast, resolve_device
from vestige.recommenders.training import Training, descend
from vestige.recommenders.windows import draw_windows

PREFIXES = 4096
"""So many prefixes of names are followed at once, at most, where several tokens spell an item."""


@dataclass(frozen=True)
class Batch:
    """Teacher-forced windows.

    Attributes:
        encoder: int64 [rows, tokens], the prompt, padded.
        decoder: int64 [rows, positions], token ids, shifted right by one.
        targets: int64 [rows, positions], answer tokens (where one token spells an item: items), `IGNORED` at padding.
    """

    encoder: torch.Tensor
    decoder: torch.Tensor
    targets: torch.Tensor


@dataclass(frozen=True)
class Questions:
    """Which item comes next?

    Attributes:
        encoder: int64 [rows, tokens].
        decoder: int64 [rows, positions], token ids, shifted right by one.
        row, last: int64 [questions], the row that asks, and the decoder position at which it does.
    """

    encoder: torch.Tensor
    decoder: torch.Tensor
    row: torch.Tensor
    last: torch.Tensor

    def take(self, rows: torch.Tensor) -> "Questions":
        """Those of some rows [n], where every row asks one."""
        asks = torch.arange(len(rows), device=rows.device)
        return Questions(self.encoder[rows], self.decoder[rows], asks, self.last[rows])


class T5Recommender:
    """See the module's docstring. `module` is a plain `T5ForConditionalGeneration`."""

    reach: int | None = None  # a random window of a whole sequence can touch every transition

    def __init__(self, config: T5RecommenderConfig, catalogue: Catalogue, device: str = "cpu") -> None:
        self.config = config
        self.catalogue = catalogue
        self.device = resolve_device(device)
        self._begin(rows_of([]), seed=0)

    # -- training ---------------------------------------------------------------------------------------------

    def fit(self, sequences: Sequences, seed: int, progress: Progress) -> FitReport:
        """Trains for `config.passes` passes, from scratch or from the checkpoint; the same arguments give the same."""
        self._begin(sequences, seed)
        return self.train_on(sequences, self.config.passes, seed, progress)

    def fit_or_resume(self, sequences: Sequences, seed: int, progress: Progress, unfinished: Unfinished) -> FitReport:
        """See `vestige.recommenders.contract.Resumable`."""
        self._begin(sequences, seed)
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

    def loss(self, sequences: Sequences, rng: np.random.Generator) -> torch.Tensor:
        """The mean cross-entropy, in nats a token, of one random window of every sequence."""
        with autocast(self.device, self.config.amp):
            return self.batch_loss(self.batch(sequences, rng))

    def batch_loss(self, batch: Batch) -> torch.Tensor:
        """The mean cross-entropy of a batch, in nats a token."""
        states = self.decode(*self.encode(batch.encoder), batch.decoder)
        return mean_cross_entropy(self._scaled(states), batch.targets, self._project, self._weight())

    def batch(self, sequences: Sequences, rng: np.random.Generator) -> Batch:
        """One random window of every sequence."""
        return self.windows(sequences, *self._drawn(sequences, rng))

    def windows(self, sequences: Sequences, starts: IntArray, sizes: IntArray) -> Batch:
        """The windows of `sizes` items from position `starts` on, both [rows], of every sequence."""
        before, inside = self._cut(sequences, starts, sizes)
        spelled = self.codes.spell(inside)
        targets = padded(spelled, int(spelled.lengths.max(initial=1)), IGNORED)
        return Batch(self._encoder_input(before), self._tensor(self._shifted(targets)), self._tensor(targets))

    def _drawn(self, sequences: Sequences, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
        return draw_windows(sequences.lengths, self.config.window, self.config.coverage, rng)

    def _cut(self, sequences: Sequences, starts: IntArray, sizes: IntArray) -> tuple[Sequences, Sequences]:
        """What the encoder reads, and the window."""
        rows = np.arange(len(sequences))
        before = np.minimum(starts, self.config.context)
        return sequences.slices(rows, starts - before, before), sequences.slices(rows, starts, sizes)

    def _shifted(self, answers: IntArray) -> IntArray:
        """Token ids that the decoder reads to say `answers`, both [rows, positions]; negative answers are padding."""
        decoder = np.full_like(answers, PAD)
        said = answers[:, :-1]
        decoder[:, 1:] = np.where(said >= 0, self.codes.answers[np.maximum(said, 0)], PAD)
        return decoder

    # -- transitions ------------------------------------------------------------------------------------------

    def transitions(self, sequences: Sequences, rng: np.random.Generator) -> Transitions:
        """The transitions of one random window of every sequence, as training draws them."""
        starts, sizes = self._drawn(sequences, rng)
        batch = self.windows(sequences, starts, sizes)
        _, inside = self._cut(sequences, starts, sizes)
        row = np.repeat(np.arange(len(inside)), inside.lengths)
        begins = offsets_of(self.codes.lengths[inside.items])  # of every item, over all rows
        last = begins[:-1] - np.repeat(begins[inside.offsets[:-1]], inside.lengths)
        asked = Questions(batch.encoder, batch.decoder, self._tensor(row), self._tensor(last))
        return Transitions(asked, self._tensor(inside.items), asked.row)

    def transitions_of(self, queries: Queries) -> Transitions:
        """Every query's target after its history, as `score` reads it."""
        asked = self.questions(queries.histories)
        return Transitions(asked, self._tensor(queries.targets), asked.row)

    def logits(self, transitions: Transitions) -> torch.Tensor:
        """[transitions, items], differentiable; their log-softmax over the catalogue is what `score` gives.

        With `amp`, to within the rounding of bfloat16, as in training.
        """
        with autocast(self.device, self.config.amp):
            return self._ask(transitions.inputs).float()

    # -- the model --------------------------------------------------------------------------------------------

    @property
    def codes(self) -> Codes:
        """How items are spelled."""
        return self.vocabulary.codes

    def token_logits(self, encoder: torch.Tensor, decoder: torch.Tensor) -> torch.Tensor:
        """[rows, positions, answers], unnormalised, of `encoder` [rows, tokens] and `decoder` [rows, positions]."""
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
        """Logits [..., answers] of decoder states [..., d_model]; tokens that spell no item get none.

        Where one token spells an item, answers are items.
        """
        return self._project(self._scaled(states))

    def _scaled(self, states: torch.Tensor) -> torch.Tensor:
        return states * self.module.config.d_model**-0.5 if self.module.config.scale_decoder_outputs else states

    def _project(self, scaled: torch.Tensor) -> torch.Tensor:
        weight = self._weight()
        if weight is not None:
            return torch.nn.functional.linear(scaled, weight)
        return cast(torch.Tensor, self.module.lm_head(scaled))[..., self._answers]

    def _weight(self) -> torch.Tensor | None:
        """The output head's rows of the answers [answers, d_model], where nothing else (an adapter) is part of it."""
        head = self.module.lm_head
        return head.weight[self._answers] if type(head) is torch.nn.Linear and head.bias is None else None

    # -- scoring ----------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def score(self, histories: Sequences) -> FloatArray:
        """float32 [queries, items]: log-softmax over the whole catalogue, nothing masked."""
        self.module.eval()
        out = np.empty((len(histories), len(self.catalogue)), dtype=np.float32)
        for rows in self.scoring_batches(len(histories)):
            logits = self._ask(self.questions(histories.take(rows)))
            out[rows] = torch.log_softmax(logits, dim=-1).cpu().numpy()
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
        """Row numbers, `config.score_batch_size` at a time, or fewer, where each has many prefixes to follow."""
        size = self.config.score_batch_size
        if not self.codes.single:
            size = min(size, max(1, PREFIXES // self._trie.widest))
        for start in range(0, queries, size):
            yield np.arange(start, min(start + size, queries))

    def question(self, histories: Sequences) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Encoder tokens, decoder tokens and the decoder position [queries] whose state answers each query."""
        rows = np.arange(len(histories))
        lengths = histories.lengths
        recent = np.minimum(lengths, self.config.recent)
        before = np.minimum(lengths - recent, self.config.context)
        encoder = self._encoder_input(histories.slices(rows, lengths - recent - before, before))
        spelled = self.codes.spell(histories.slices(rows, lengths - recent, recent))
        # One place more than tokens: after the last of them stands the answer, which is not known.
        answers = padded(spelled, self.config.recent * self.codes.longest + 1, IGNORED)
        return encoder, self._tensor(self._shifted(answers)), self._tensor(spelled.lengths)

    def questions(self, histories: Sequences) -> Questions:
        """What comes after each history? A row a question."""
        encoder, decoder, last = self.question(histories)
        return Questions(encoder, decoder, torch.arange(len(histories), device=last.device), last)

    def _ask(self, asked: Questions) -> torch.Tensor:
        return self.answers(*self.encode(asked.encoder), asked)

    def answers(self, states: torch.Tensor, mask: torch.Tensor, asked: Questions) -> torch.Tensor:
        """[questions, items], differentiable, of encoder states [rows, tokens, d_model] and their mask.

        Logits where one token spells an item; where several do, log-probabilities.
        """
        if self.codes.single:
            return self.project(self.decode(states, mask, asked.decoder)[asked.row, asked.last])
        follow = _Following(self, states[asked.row], mask[asked.row])
        first = follow.begin(asked.decoder[asked.row], asked.last)
        return item_log_probs(self._trie, first, follow, self.config.beams)

    # -- files ------------------------------------------------------------------------------------------------

    def save(self, folder: Path) -> None:
        """Writes a normal Hugging Face checkpoint with its tokenizer, and the index of the items where there is one."""
        self.module.save_pretrained(folder)
        self.vocabulary.tokenizer.save_pretrained(folder)
        if list(self.vocabulary.names) != indexing.token_names(self.catalogue):
            indexing.write_indexing(folder / indexing.FILE, self.catalogue, self.vocabulary.names)

    @classmethod
    def load(cls, folder: Path, config: T5RecommenderConfig, catalogue: Catalogue, device: str) -> "T5Recommender":
        """Reads what `save` wrote.

        Raises:
            InputError: Something is missing or damaged, or it belongs to another catalogue.
        """
        model = cls.__new__(cls)
        model.config, model.catalogue, model.device = config, catalogue, resolve_device(device)
        module, tokenizer = checkpoint.read(folder, config.dropout)
        model._hold(vocabulary.read(tokenizer, folder, catalogue, config.prompt == "text"), module)
        return model

    # -- inside -----------------------------------------------------------------------------------------------

    def _begin(self, seen: Sequences, seed: int) -> None:
        """Names for the items, which may depend on the sequences `seen`, and weights to start from."""
        config, catalogue = self.config, self.catalogue
        names = indexing.item_names(config.items, catalogue, seen, seed)
        if config.init == SCRATCH:
            words = vocabulary.from_scratch(catalogue, names)
            torch.manual_seed(seed)
            self._hold(words, T5ForConditionalGeneration(T5Config(**_shape(config, len(words.tokenizer)))))
            return
        folder = checkpoint.find(config.init)
        module, tokenizer = checkpoint.read(folder, config.dropout)
        words = vocabulary.with_items(tokenizer, catalogue, names, config.prompt == "text", f"init: {folder}")
        checkpoint.grow(module, len(words.tokenizer), torch.from_numpy(words.added), seed, config.init_scale)
        self._hold(words, module)

    def _hold(self, words: Vocabulary, module: T5ForConditionalGeneration) -> None:
        self.vocabulary, self._trie = words, trie_of(words.codes)
        ids = words.codes.answers
        in_one = np.array_equal(ids, ids[0] + np.arange(len(ids)))
        self._answers = slice(int(ids[0]), int(ids[-1]) + 1) if in_one else self._tensor(ids)  # among all tokens
        self.module = cast(T5ForConditionalGeneration, cast(Any, module).to(self.device).eval())
        if self.device == "cpu":  # rows are short, and the plain products are a tenth faster there
            self.module.set_attn_implementation("eager")

    def _encoder_input(self, before: Sequences) -> torch.Tensor:
        """Token ids [rows, longest]: the prompt round the items."""
        spelled = self.codes.spell(before)
        tokens = Sequences(self.codes.answers[spelled.items], spelled.offsets, spelled.users)
        return self._tensor(self.vocabulary.prompt.around(tokens))

    def _tensor(self, array: IntArray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array, dtype=np.int64)).to(self.device)


class _Following:
    """Follows prefixes of items' names, a token at a time; keys and values of what was read are kept."""

    def __init__(self, model: T5Recommender, states: torch.Tensor, mask: torch.Tensor) -> None:
        self._model, self._states, self._mask = model, states, mask
        self._ids = torch.from_numpy(model.codes.answers).to(states.device)
        self._cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
        self._read = torch.zeros(0)  # [prefixes, tokens], 1 at tokens that were read, 0 at padding

    def begin(self, decoder: torch.Tensor, last: torch.Tensor) -> torch.Tensor:
        """Log-probabilities [queries, answers] after `decoder` [queries, positions], each read up to its `last`."""
        width = int(last.max()) + 1 if len(last) else 1
        # Aligned at the right, so that for all of them the next token stands one place after the last.
        column = torch.arange(width, device=last.device) - (width - 1 - last)[:, None]
        self._read = (column >= 0).long()
        return self._step(decoder.gather(1, column.clamp_min(0)))

    def __call__(self, rows: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """See `vestige.recommenders.t5.trie.Follow`."""
        for cache in (self._cache.self_attention_cache, self._cache.cross_attention_cache):
            cache.batch_select_indices(rows)
        self._mask = self._mask[rows]
        self._read = torch.cat([self._read[rows], torch.ones_like(tokens)[:, None]], dim=1)
        return self._step(self._ids[tokens][:, None])

    def _step(self, ids: torch.Tensor) -> torch.Tensor:
        # Keys and values of the encoder's states are kept too: after the first step only their shape is looked at.
        states = self._states if len(self._states) == len(ids) else self._states[:1].expand(len(ids), -1, -1)
        decoded = self._model.module.decoder(
            input_ids=ids,
            attention_mask=self._read,
            encoder_hidden_states=states,
            encoder_attention_mask=self._mask,
            past_key_values=self._cache,
            use_cache=True,
        )[0]
        return torch.log_softmax(self._model.project(decoded[:, -1]).float(), dim=-1)


def _shape(config: T5RecommenderConfig, tokens: int) -> dict[str, Any]:
    """The arguments of `T5Config`."""
    return {
        "vocab_size": tokens,
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
