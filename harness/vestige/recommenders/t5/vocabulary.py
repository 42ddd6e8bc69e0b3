"""The tokenizer: made for the items alone, or a checkpoint's, with the items added to it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerFast

from vestige.data.sequences import IntArray
from vestige.errors import InputError
from vestige.recommenders.contract import Catalogue
from vestige.recommenders.t5 import items as indexing
from vestige.recommenders.t5.codes import Codes, codes_of
from vestige.recommenders.t5.prompts import AFTER, BEFORE, EOS, PAD, Prompt

FIRST_ITEM = 2
"""From scratch, the token id of item 0; the tokens before it are the padding and the end of input."""

TAG = re.compile(r"<[^<>]+>")
"""What stands in such brackets is one token, as `<CI3>` in a collaborative index."""

PIECE = r"<[^<>]+>|[0-9]{1,2}"
"""From scratch, a name of an index is cut into tags and pairs of digits; what is left between them is a token too."""


@dataclass(frozen=True)
class Vocabulary:
    """How items and histories become tokens.

    Attributes:
        tokenizer: Of `transformers`.
        names: The items' names.
        codes: Their tokens.
        prompt: What stands around a history.
        added: int64, ids of the tokens that a checkpoint did not have.
    """

    tokenizer: Any
    names: tuple[str, ...]
    codes: Codes
    prompt: Prompt
    added: IntArray


def from_scratch(catalogue: Catalogue, names: Sequence[str]) -> Vocabulary:
    """The vocabulary of a model that is to read and say items and nothing else."""
    if list(names) == indexing.token_names(catalogue):
        tokenizer = item_tokenizer(catalogue)
        ids = [[FIRST_ITEM + item] for item in range(len(names))]
    else:
        tokenizer = piece_tokenizer(names)
        ids = _spelled(tokenizer, names)
    return Vocabulary(tokenizer, tuple(names), codes_of(ids, names, EOS), Prompt(), np.zeros(0, np.int64))


def with_items(tokenizer: Any, catalogue: Catalogue, names: Sequence[str], text: bool, where: str) -> Vocabulary:
    """A checkpoint's vocabulary, with what is missing to spell the items added; the tokenizer is changed.

    Args:
        tokenizer: The checkpoint's.
        catalogue, names: The items.
        text: Whether a sentence stands around a history.
        where: What an error message begins with.

    Raises:
        InputError: It knows the items of another catalogue, or cannot spell an item or the prompt.
    """
    from tokenizers import AddedToken

    known = tokenizer.get_vocab()
    own = indexing.token_names(catalogue)
    single = list(names) == own
    # Names of an index may begin like this too, or its pieces.
    foreign = sorted({word for word in known if word.startswith("item_")} - {*own}) if single else []
    if foreign:
        raise InputError(
            f"{where}: this checkpoint knows items of another catalogue, such as {foreign[0]!r}; "
            "take one that was trained on this dataset, or on text alone."
        )
    wanted = list(names) if single else list(dict.fromkeys(tag for name in names for tag in TAG.findall(name)))
    new = [word for word in wanted if word not in known]
    # Blanks around such a token belong to it, so that a blank between two items is no token.
    tokenizer.add_tokens([AddedToken(word, lstrip=True, rstrip=True, normalized=False) for word in new])
    ids = [[token] for token in tokenizer.convert_tokens_to_ids(list(names))] if single else _spelled(tokenizer, names)
    prompt = Prompt()
    if text:
        before, after = (_ids(tokenizer, words) for words in (BEFORE, AFTER))
        if {PAD, tokenizer.unk_token_id} & {*before, *after}:
            raise InputError(f"{where}: its tokenizer has no words for the prompt; set prompt = 'ids'.")
        prompt = Prompt(tuple(before), (*after, EOS))
    added = np.asarray(tokenizer.convert_tokens_to_ids(new), dtype=np.int64)
    return Vocabulary(tokenizer, tuple(names), codes_of(ids, names, EOS), prompt, added)


def read(tokenizer: Any, folder: Path, catalogue: Catalogue, text: bool) -> Vocabulary:
    """The vocabulary of a folder that a recommender was saved in.

    Raises:
        InputError: It belongs to another catalogue.
    """
    file = folder / indexing.FILE
    names = indexing.names_from(file, catalogue) if file.exists() else indexing.token_names(catalogue)
    vocabulary = with_items(tokenizer, catalogue, names, text, str(folder))
    if len(vocabulary.added):
        missing = tokenizer.convert_ids_to_tokens(int(vocabulary.added[0]))
        raise InputError(f"{folder}: this checkpoint belongs to another catalogue: it has no token {missing!r}.")
    return vocabulary


def item_tokenizer(catalogue: Catalogue) -> PreTrainedTokenizerFast:
    """A tokenizer whose words are `item_<id>`, one token each, so that a checkpoint is complete in itself."""
    from tokenizers import pre_tokenizers

    words = ["<pad>", "</s>", *indexing.token_names(catalogue)]
    return _word_tokenizer(words, pre_tokenizers.WhitespaceSplit())


def piece_tokenizer(names: Sequence[str]) -> PreTrainedTokenizerFast:
    """A tokenizer of the pieces that names are made of: tags such as `<CI3>`, pairs of digits, and what is left."""
    from tokenizers import Regex, pre_tokenizers

    cut = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(Regex(PIECE), "isolated")])
    pieces = {piece for name in names for piece, _ in cut.pre_tokenize_str(name)}
    return _word_tokenizer(["<pad>", "</s>", *sorted(pieces)], cut)


def _word_tokenizer(words: list[str], cut: Any) -> PreTrainedTokenizerFast:
    from tokenizers import Tokenizer, models

    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<pad>"))
    tokenizer.pre_tokenizer = cut
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>")


def _ids(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False).input_ids)


def _spelled(tokenizer: Any, names: Sequence[str]) -> list[list[int]]:
    """The token ids of every name.

    Raises:
        InputError: The tokenizer cannot spell one of them.
    """
    spelled = [list(ids) for ids in tokenizer(list(names), add_special_tokens=False).input_ids]
    for name, ids in zip(names, spelled, strict=True):
        if not ids or {PAD, EOS, tokenizer.unk_token_id} & {*ids}:
            raise InputError(
                f"the tokenizer cannot spell the item {name!r}; give it a name of letters, digits or tags."
            )
    return spelled
