"""Items of several tokens: scored exactly, by their whole names, whatever the tree of the names."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vestige.data.sequences import sequences
from vestige.errors import InputError
from vestige.recommenders.t5.codes import Codes, codes_of
from vestige.recommenders.t5.trie import item_log_probs, trie_of

END = 1
QUERIES = 3

spellings = st.lists(
    st.lists(st.integers(2, 6), min_size=1, max_size=4).map(tuple), min_size=2, max_size=12, unique=True
)


def codes_for(spelled: list[tuple[int, ...]]) -> Codes:
    return codes_of(spelled, [str(code) for code in spelled], END)


def code(codes: Codes, item: int) -> tuple[int, ...]:
    return tuple(codes.spelled[codes.offsets[item] : codes.offsets[item + 1]].tolist())


class Table:
    """A model that has a distribution of its own after every prefix of every query; it counts what it is asked."""

    def __init__(self, answers: int) -> None:
        self.answers, self.asked = answers, 0
        self.read: list[tuple[int, tuple[int, ...]]] = [(query, ()) for query in range(QUERIES)]

    def after(self, query: int, prefix: tuple[int, ...]) -> torch.Tensor:
        rng = np.random.default_rng([query, *prefix, 99])
        return torch.log_softmax(torch.from_numpy(rng.normal(0, 3, self.answers)), dim=-1)

    def first(self) -> torch.Tensor:
        return torch.stack([self.after(query, ()) for query in range(QUERIES)])

    def follow(self, rows: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        old = [self.read[row] for row in rows.tolist()]
        self.read = [(query, (*prefix, token)) for (query, prefix), token in zip(old, tokens.tolist(), strict=True)]
        self.asked += len(self.read)
        return torch.stack([self.after(*pair) for pair in self.read])

    def forced(self, codes: Codes) -> torch.Tensor:
        """Every item by itself: the sum of its tokens' log-probabilities, normalised over the catalogue."""
        sums = [
            [
                sum(
                    float(self.after(query, code(codes, item)[:at])[token])
                    for at, token in enumerate(code(codes, item))
                )
                for item in range(len(codes))
            ]
            for query in range(QUERIES)
        ]
        return torch.log_softmax(torch.tensor(sums, dtype=torch.float64), dim=-1)


@settings(max_examples=60)
@given(spellings)
def test_every_item_has_the_probability_of_its_whole_name(spelled: list[tuple[int, ...]]) -> None:
    codes = codes_for(spelled)
    table = Table(len(codes.answers))
    found = item_log_probs(trie_of(codes), table.first(), table.follow)
    assert found.numpy() == pytest.approx(table.forced(codes).numpy(), abs=1e-9)
    assert found.exp().sum(dim=1).numpy() == pytest.approx(np.ones(QUERIES))
    prefixes = {code(codes, item)[:cut] for item in range(len(codes)) for cut in range(1, len(code(codes, item)))}
    assert table.asked == QUERIES * len(prefixes)  # every prefix once, however many items share it


@settings(max_examples=40)
@given(spellings, st.integers(1, 4))
def test_a_beam_is_a_distribution_and_a_wide_one_is_exact(spelled: list[tuple[int, ...]], beams: int) -> None:
    codes = codes_for(spelled)
    trie, table, wide = trie_of(codes), Table(len(codes.answers)), Table(len(codes.answers))
    found = item_log_probs(trie, table.first(), table.follow, beams)
    assert torch.isfinite(found).all()
    assert found.exp().sum(dim=1).numpy() == pytest.approx(np.ones(QUERIES))
    assert table.asked <= QUERIES * beams * len(trie.levels)
    exact = item_log_probs(trie, wide.first(), wide.follow, trie.widest)
    assert exact.numpy() == pytest.approx(wide.forced(codes).numpy(), abs=1e-9)


def test_a_beam_can_miss_what_is_best() -> None:
    """One good start with poor ends against a poor start with a sure end: a beam of one takes the former."""
    codes = codes_for([(2, 4), (2, 5), (2, 6), (3, 4)])
    first = torch.log(torch.tensor([[0.6, 0.4, 1e-9, 1e-9, 1e-9]], dtype=torch.float64))

    def follow(rows: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        after = {0: [1e-9, 1e-9, 0.34, 0.33, 0.33], 1: [1e-9, 1e-9, 1.0, 1e-9, 1e-9]}
        return torch.log(torch.tensor([after[token] for token in tokens.tolist()], dtype=torch.float64))

    trie = trie_of(codes)
    assert int(item_log_probs(trie, first, follow).argmax()) == 3
    assert int(item_log_probs(trie, first, follow, beams=1).argmax()) == 0


@settings(max_examples=60)
@given(spellings)
def test_no_name_begins_another(spelled: list[tuple[int, ...]]) -> None:
    codes = codes_for(spelled)
    names = [code(codes, item) for item in range(len(codes))]
    assert not any(long[: len(short)] == short for short, long in itertools.permutations(names, 2))
    assert [
        tuple(codes.answers[list(name)].tolist())[: len(s)] for name, s in zip(names, spelled, strict=True)
    ] == spelled
    rows = sequences([[0, 1], [], [1, 0, 1]])
    assert codes.spell(rows).row(2).tolist() == [*names[1], *names[0], *names[1]]
    assert codes.spell(rows).lengths.tolist() == [len(names[0] + names[1]), 0, len(names[1] * 2 + names[0])]


def test_one_token_an_item_is_the_catalogue_itself() -> None:
    codes = codes_for([(7,), (3,), (5,)])
    assert codes.single and codes.answers.tolist() == [7, 3, 5]
    rows = sequences([[2, 0]])
    assert codes.spell(rows) is rows


def test_two_items_of_one_name_are_a_sentence() -> None:
    with pytest.raises(InputError, match="'a' and 'c' are spelled by the same tokens"):
        codes_of([[2, 3], [3], [2, 3]], ["a", "b", "c"], END)
