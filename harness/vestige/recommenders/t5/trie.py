"""Log-probabilities of all items where several tokens spell one: exact, over the prefix trie of their codes.

What a model knows is p(token | history, tokens before it). The probability that it spells item i, c(i) being i's code,
is P(c(i)) = Π_t p(c(i)_t | c(i)_<t), and the answer is that distribution, given that an item was spelled at all:

    log p(i) = log P(c(i)) − log Σ_j P(c(j))

So tokens are normalised over everything that could have been said, and items once, at the end. The alternative,
renormalising over the children of every prefix, is another distribution: it gives the mass of a token that no item
continues to that token's sisters, however unlikely the prefix had become, and its ranking differs from what a beam
search over an unlimited beam finds. This one is the conditional distribution of the model that was trained.

A prefix that items share is computed once, and all prefixes of one length in one step.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from vestige.data.sequences import IntArray
from vestige.recommenders.t5.codes import Codes

Follow = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""`follow(rows, tokens)`: [prefixes, answers], log-probabilities after prefixes that continue those of the call before
(of the queries themselves, at first): prefix i is the `rows[i]`-th of them and the answer token `tokens[i]`."""


@dataclass(frozen=True)
class Level:
    """The nodes at one depth.

    Attributes:
        parent: int64 [nodes], position among the inner nodes of the level above (0, the root, at the first).
        token: int64 [nodes], the answer token that leads here.
        item: int64 [nodes], the item spelled here, or −1 at inner nodes.
        size: int64 [nodes], items below.
    """

    parent: IntArray
    token: IntArray
    item: IntArray
    size: IntArray

    @cached_property
    def inner(self) -> IntArray:
        """The nodes that codes go on from."""
        return np.flatnonzero(self.item < 0)


@dataclass(frozen=True)
class Trie:
    """The prefix trie of all codes, level by level."""

    levels: tuple[Level, ...]
    items: int

    @property
    def widest(self) -> int:
        """Inner nodes of the level that has most of them; at least 1."""
        return max([1, *(len(level.inner) for level in self.levels)])


def trie_of(codes: Codes) -> Trie:
    """The trie of the codes."""
    alive, node = np.arange(len(codes)), np.zeros(len(codes), dtype=np.int64)
    levels = []
    for depth in range(codes.longest):
        token = codes.spelled[codes.offsets[alive] + depth]
        pairs, member = np.unique(np.stack([node, token]), axis=1, return_inverse=True)
        member = member.ravel()
        ends = codes.lengths[alive] == depth + 1
        item = np.full(pairs.shape[1], -1, dtype=np.int64)
        item[member[ends]] = alive[ends]
        level = Level(pairs[0], pairs[1], item, np.bincount(member))
        levels.append(level)
        place = np.cumsum(item < 0) - 1  # of a node among the inner ones
        alive, node = alive[~ends], place[member[~ends]]
    return Trie(tuple(levels), len(codes))


def item_log_probs(trie: Trie, first: torch.Tensor, follow: Follow, beams: int = 0) -> torch.Tensor:
    """[queries, items]: log-softmax over the whole catalogue; see the module's docstring.

    Args:
        trie: Of the items' codes.
        first: [queries, answers], log-probabilities of the first token.
        follow: Continues prefixes.
        beams: 0 follows every prefix. Otherwise the search goes on from so many prefixes of a query at each level, the
            most probable ones. Items below a prefix that it drops share that prefix's probability alike, and none of
            them is more than half as probable as the least probable item that was reached.
    """
    device, queries = first.device, len(first)
    known = first  # log-probabilities after every prefix that was followed
    place = torch.arange(queries, device=device)[:, None]  # [queries, prefixes]: where in `known`
    reached = first.new_zeros(queries, 1)  # [queries, prefixes]: log P(prefix)
    followed = torch.ones(queries, 1, dtype=torch.bool, device=device)
    size = torch.tensor([trie.items], device=device)
    found, missed, items = [], [], []
    for level in trie.levels:
        parent, token, below, item, inner = (
            torch.from_numpy(array).to(device)
            for array in (level.parent, level.token, level.size, level.item, level.inner)
        )
        asked = known[place[:, parent], token]
        share = torch.log(below / size[parent]).to(asked)
        here = reached[:, parent] + torch.where(followed[:, parent], asked, share)
        found.append(here[:, item >= 0])
        missed.append(~followed[:, parent[item >= 0]])
        items.append(item[item >= 0])
        if not len(inner):
            break
        reached, followed, size = here[:, inner], followed[:, parent[inner]], below[inner]
        if beams:
            followed = followed & _best(reached.detach().masked_fill(~followed, -torch.inf), beams)
        query, node = torch.nonzero(followed, as_tuple=True)
        if len(query):
            known = follow(place[query, parent[inner][node]], token[inner][node])
        place = torch.zeros_like(followed, dtype=torch.long)
        place[query, node] = torch.arange(len(query), device=device)
    order = torch.argsort(torch.cat(items))
    scores, unreached = torch.cat(found, dim=1)[:, order], torch.cat(missed, dim=1)[:, order]
    if beams:
        least = scores.masked_fill(unreached, torch.inf).min(dim=1, keepdim=True).values
        scores = torch.where(unreached, torch.minimum(scores, least - math.log(2)), scores)
    return torch.log_softmax(scores, dim=-1)


def _best(values: torch.Tensor, count: int) -> torch.Tensor:
    """bool, of the shape of `values`: True at the `count` largest of each row."""
    at = values.topk(min(count, values.shape[1]), dim=1).indices
    return torch.zeros_like(values, dtype=torch.bool).scatter(1, at, True)
