"""How items are spelled: each by one answer token, or by several."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from vestige.data.sequences import IntArray, Sequences, offsets_of, ragged
from vestige.errors import InputError


@dataclass(frozen=True)
class Codes:
    """The code of every item. No code begins another, so that reading tokens one after another ends at one item.

    Attributes:
        answers: int64 [answers], the token ids that occur in codes; an answer token is its position here. Where one
            token spells an item, this is the catalogue: answer token i is item i.
        spelled: int64 [tokens], all codes one after another, as answer tokens.
        offsets: int64 [items + 1].
    """

    answers: IntArray
    spelled: IntArray
    offsets: IntArray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> IntArray:
        """int64 [items]."""
        return np.diff(self.offsets)

    @property
    def longest(self) -> int:
        """Tokens of the longest code."""
        return int(self.lengths.max(initial=1))

    @cached_property
    def single(self) -> bool:
        """Whether one token spells an item."""
        return self.longest == 1

    def spell(self, rows: Sequences) -> Sequences:
        """Rows of answer tokens from rows of items."""
        if self.single:
            return rows
        lengths = self.lengths[rows.items]
        tokens = self.spelled[ragged(self.offsets[rows.items], lengths)]
        return Sequences(tokens, offsets_of(lengths)[rows.offsets], rows.users)


def codes_of(token_ids: Sequence[Sequence[int]], names: Sequence[str], end: int) -> Codes:
    """The codes of items from their token ids, one list an item.

    Where a code begins another one, all of them get the token `end` at their end.

    Raises:
        InputError: Two items are spelled alike; `names` says which.
    """
    codes = [tuple(ids) for ids in token_ids]
    seen: dict[tuple[int, ...], int] = {}
    for item, code in enumerate(codes):
        if code in seen:
            raise InputError(
                f"the items {names[seen[code]]!r} and {names[item]!r} are spelled by the same tokens; "
                "give each a name of its own."
            )
        seen[code] = item
    if any(code[:cut] in seen for code in codes for cut in range(1, len(code))):
        codes = [(*code, end) for code in codes]
    flat = np.asarray([token for code in codes for token in code], dtype=np.int64)
    offsets = offsets_of(np.asarray([len(code) for code in codes], dtype=np.int64))
    if len(flat) == len(codes):
        return Codes(flat, np.arange(len(codes), dtype=np.int64), offsets)
    answers, spelled = np.unique(flat, return_inverse=True)
    return Codes(answers.astype(np.int64), spelled.astype(np.int64), offsets)
