"""Counting floating-point operations: as torch's own counter counts them, whatever mode they run in."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from vestige.data.sequences import sequences
from vestige.recommenders.contract import Catalogue
from vestige.recommenders.flops import FlopsByShape, count_flops
from vestige.recommenders.t5 import T5Recommender
from vestige.recommenders.t5_config import T5RecommenderConfig

TINY = T5RecommenderConfig(d_model=16, d_ff=32, layers=2, heads=2, window=8, context=10, recent=4)
ROWS = sequences([list(range(n)) for n in (12, 3, 20, 7)])


def t5() -> T5Recommender:
    return T5Recommender(TINY, Catalogue(tuple(str(item) for item in range(20))))


def trained() -> None:
    t5().loss(ROWS, np.random.default_rng(0)).backward()


def scored() -> None:
    t5().score(ROWS)


def convolved() -> None:
    functional.conv1d(torch.ones(2, 3, 9), torch.ones(4, 3, 5))


@pytest.mark.parametrize("work", [trained, scored, convolved])
@pytest.mark.parametrize("inference", [False, True])
def test_the_count_is_that_of_torch(work: Callable[[], None], inference: bool) -> None:
    if inference and work is trained:
        pytest.skip("nothing is differentiated in inference mode")
    with torch.inference_mode(inference):
        with FlopCounterMode(display=False) as counter:
            work()
        found = count_flops(work)
    assert found.count == counter.get_total_flops() > 0


def test_a_product_of_matrices_takes_what_it_takes_and_the_rest_is_named() -> None:
    """[3, 4] times [4, 5] are 60 products and as many sums; a softmax has no formula, a copy is none."""
    found = count_flops(lambda: torch.softmax(torch.ones(3, 4) @ torch.ones(4, 5), dim=-1).clone())
    assert found.count == 2 * 3 * 4 * 5 and found.uncounted == ("_softmax",)
    with torch.inference_mode():  # where `linear` is not taken apart by autograd
        found = count_flops(lambda: functional.linear(torch.ones(2, 3, 4), torch.ones(5, 4)))
    assert found.count == 2 * 6 * 4 * 5 and found.uncounted == ()


def test_fused_attention_takes_its_products_of_matrices() -> None:
    """Two forward, and five backward, since what the scores were is calculated again."""
    asked, keys, values = (torch.ones(2, 3, 5, 4, requires_grad=True) for _ in range(3))

    def attention() -> torch.Tensor:
        return functional.scaled_dot_product_attention(asked, keys, values, is_causal=True)

    product = 2 * 2 * 3 * 5 * 5 * 4
    with torch.inference_mode():
        found = count_flops(attention)
    assert found.count == 2 * product and found.uncounted == ()
    found = count_flops(lambda: attention().sum().backward())
    assert found.count == 7 * product and not [name for name in found.uncounted if "attention" in name]


def test_results_are_those_that_are_not_counted() -> None:
    found = []
    count_flops(lambda: found.append(t5().score(ROWS)))
    assert np.array_equal(found[0], t5().score(ROWS))


def test_what_has_a_shape_is_counted_once() -> None:
    counter, runs = FlopsByShape(), []
    for rows in (3, 7, 3, 3):
        counter.run((rows,), lambda rows=rows: runs.append(torch.exp(torch.ones(rows, 4) @ torch.ones(4, 5))))
    assert len(runs) == 4  # everything is done, counted or not
    assert counter.total.count == 2 * (3 + 7 + 3 + 3) * 4 * 5 and counter.total.uncounted == ("exp",)
