"""What the encoder reads: the items themselves, or a sentence around them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vestige.data.sequences import Sequences

PAD, EOS = 0, 1
"""T5's padding, which also starts the decoder, and its end of input."""

BEFORE, AFTER = "User recent history:", ". Recommend next item."
"""The sentence around the items. It names no user: whoever asks a recommender hands over a history and nothing else."""


@dataclass(frozen=True)
class Prompt:
    """Tokens around a history.

    Attributes:
        before, after: Token ids; `after` ends with the end of input, so that no prompt is empty.
    """

    before: tuple[int, ...] = ()
    after: tuple[int, ...] = (EOS,)

    def around(self, histories: Sequences) -> npt.NDArray[np.int64]:
        """int64 [rows, longest]: the prompt of every row of token ids, filled up with `PAD`."""
        rows, lengths = np.arange(len(histories)), histories.lengths
        first, last = len(self.before), len(self.after)
        out = np.full((len(histories), first + int(lengths.max(initial=0)) + last), PAD, dtype=np.int64)
        out[:, :first] = self.before
        row_of = np.repeat(rows, lengths)
        within = np.arange(len(histories.items)) - np.repeat(histories.offsets[:-1], lengths)
        out[row_of, first + within] = histories.items
        out[rows[:, None], first + lengths[:, None] + np.arange(last)] = self.after
        return out


def text_of(names: list[str]) -> str:
    """The same prompt as text, of the items' names: what the checkpoint's tokenizer makes of it is the prompt."""
    return " ".join([BEFORE, *names, AFTER])
