"""T5 as a sequential recommender, from scratch or from a pretrained checkpoint.

- `items`: which tokens spell an item, and how an index of items is read or built;
- `codes`: the spelling as arrays; `trie`: exact scores of all items where several tokens spell one;
- `prompts`: what the encoder reads; `vocabulary`: the tokenizer behind both; `checkpoint`: files;
- `model`: the recommender.
"""

from vestige.recommenders.cross_entropy import IGNORED
from vestige.recommenders.t5.model import Batch, Questions, T5Recommender
from vestige.recommenders.t5.prompts import EOS, PAD
from vestige.recommenders.t5.vocabulary import FIRST_ITEM, item_tokenizer

__all__ = ["EOS", "FIRST_ITEM", "IGNORED", "PAD", "Batch", "Questions", "T5Recommender", "item_tokenizer"]
