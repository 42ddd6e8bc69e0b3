"""The cross-entropy over a catalogue: the loss and the gradients of the plain formula, without its logits."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from torch.nn import functional

from vestige.data.sequences import sequences
from vestige.progress import silent
from vestige.recommenders import cross_entropy
from vestige.recommenders.contract import Catalogue
from vestige.recommenders.cross_entropy import IGNORED, catalogue_cross_entropy, mean_cross_entropy
from vestige.recommenders.flops import count_flops
from vestige.recommenders.sasrec import SASRec
from vestige.recommenders.sasrec_config import SASRecConfig
from vestige.recommenders.t5 import T5Recommender
from vestige.recommenders.t5_config import T5RecommenderConfig
from vestige.recommenders.torch_tools import deterministic

SHAPE = {"d_model": 8, "d_ff": 8, "layers": 1, "heads": 2}
CATALOGUE = Catalogue(tuple(map(str, range(70))))
ROWS = sequences([list(range(20)), [3, 5, 8], [69, 0, 69, 1]])


@given(
    positions=st.integers(1, 40),
    items=st.integers(1, 140),
    scale=st.sampled_from([0.1, 1.0, 60.0]),
    room=st.sampled_from([1, 100, 1 << 20]),
    seed=st.integers(0, 99),
)
def test_equals_the_plain_formula(positions: int, items: int, scale: float, room: int, seed: int) -> None:
    """However many rows are held at once, and where logits are so far apart that probabilities round to 0."""
    torch.manual_seed(seed)
    states = (scale * torch.randn(positions, 3, dtype=torch.float64)).requires_grad_()
    weight = torch.randn(items, 3, dtype=torch.float64, requires_grad=True)
    targets = torch.randint(0, items, (positions,))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cross_entropy, "ROOM", room)
        ours = catalogue_cross_entropy(states, weight, targets)
    plain = functional.cross_entropy(states @ weight.T, targets)
    assert ours.item() == pytest.approx(plain.item(), abs=1e-12)
    # Twice the loss, so that a gradient that is handed on unscaled is found.
    for found, wanted in zip(
        torch.autograd.grad(2 * ours, [states, weight]), torch.autograd.grad(2 * plain, [states, weight]), strict=True
    ):
        assert torch.allclose(found, wanted)


def test_no_target_is_too_unlikely_for_a_number() -> None:
    """In float32 e^-500 is 0, whose logarithm is none."""
    weight = torch.tensor([[1.0], [0.0]])
    loss = catalogue_cross_entropy(torch.tensor([[500.0]]), weight, torch.tensor([1]))
    assert loss.item() == 500.0


def test_gradients_are_those_of_differences() -> None:
    torch.manual_seed(0)
    states, weight = (torch.randn(n, 2, dtype=torch.float64, requires_grad=True) for n in (5, 7))
    targets = torch.randint(0, 7, (5,))
    assert torch.autograd.gradcheck(lambda s, w: catalogue_cross_entropy(s, w, targets), (states, weight))


def test_a_second_derivative_is_refused_and_not_wrong() -> None:
    before = torch.randn(2, 2, requires_grad=True)
    loss = catalogue_cross_entropy(torch.randn(4, 2) @ before, torch.randn(5, 2), torch.tensor([0, 1, 2, 3]))
    with pytest.raises(RuntimeError, match="differentiated once"):
        torch.autograd.grad(loss, before, create_graph=True)


def test_what_takes_no_gradient_gets_none() -> None:
    states, weight = torch.randn(4, 2, requires_grad=True), torch.randn(5, 2)
    catalogue_cross_entropy(states, weight, torch.tensor([0, 1, 2, 3])).backward()
    assert states.grad is not None and weight.grad is None


@pytest.mark.parametrize("keeping", [True, False])
@given(
    lengths=st.lists(st.integers(0, 7), min_size=1, max_size=5).filter(any),
    answers=st.integers(2, 9),
    seed=st.integers(0, 99),
)
def test_padding_costs_nothing_and_counts_for_nothing(
    keeping: bool, lengths: list[int], answers: int, seed: int
) -> None:
    """The loss and its gradient are those over all positions with padding ignored, but only targets are projected."""
    torch.manual_seed(seed)
    positions = max(lengths)
    targets = torch.randint(0, answers, (len(lengths), positions))
    targets[torch.arange(positions) >= torch.tensor(lengths)[:, None]] = IGNORED
    states = torch.randn(len(lengths), positions, 3, dtype=torch.float64, requires_grad=True)
    head = torch.nn.Linear(3, answers, bias=False, dtype=torch.float64)
    projected: list[int] = []

    def project(rows: torch.Tensor) -> torch.Tensor:
        projected.append(len(rows))
        return torch.as_tensor(head(rows))

    ours = mean_cross_entropy(states, targets, project, None if keeping else head.weight)
    (of_ours,) = torch.autograd.grad(ours, states)
    everywhere = functional.cross_entropy(head(states).flatten(0, 1), targets.flatten(), ignore_index=IGNORED)
    (of_all,) = torch.autograd.grad(everywhere, states)
    assert projected == ([sum(lengths)] if keeping else [])
    assert ours.item() == pytest.approx(everywhere.item()) and torch.allclose(of_ours, of_all)


def made(of: type[SASRec] | type[T5Recommender]) -> SASRec | T5Recommender:
    config = SASRecConfig(**SHAPE) if of is SASRec else T5RecommenderConfig(**SHAPE)  # type: ignore[arg-type]
    model = of(config, CATALOGUE)  # type: ignore[arg-type]
    model.fit(ROWS, 0, silent)
    return model


@pytest.mark.parametrize("of", [SASRec, T5Recommender])
def test_training_descends_on_what_score_gives(of: type[SASRec] | type[T5Recommender]) -> None:
    """A batch's loss is the mean over its transitions of −log softmax(logits)[target], and so are its gradients."""
    model = made(of)
    model.module.eval()
    transitions = model.transitions(ROWS, np.random.default_rng(5))
    slow = functional.cross_entropy(model.logits(transitions), transitions.targets)
    parameters = list(model.module.parameters())
    wanted = torch.autograd.grad(slow, parameters, allow_unused=True)
    fast = model.loss(ROWS, np.random.default_rng(5))
    assert fast.item() == pytest.approx(slow.item(), rel=1e-5)
    for found, right in zip(torch.autograd.grad(fast, parameters, allow_unused=True), wanted, strict=True):
        assert (found is None) == (right is None)
        assert found is None or torch.allclose(found, right, atol=1e-6)


def test_an_adapter_on_the_output_head_is_part_of_the_loss() -> None:
    """Where the head is more than one product, its weights alone are not what answers."""
    model = made(T5Recommender)
    side = copy.copy(model)
    lora = LoraConfig(r=2, target_modules=["lm_head"], init_lora_weights=False)
    side.module = get_peft_model(copy.deepcopy(model.module), lora).base_model.model  # type: ignore[arg-type]
    side.module.eval()
    plain, adapted = (m.loss(ROWS, np.random.default_rng(5)) for m in (model, side))
    transitions = side.transitions(ROWS, np.random.default_rng(5))
    slow = functional.cross_entropy(side.logits(transitions), transitions.targets)
    assert adapted.item() == pytest.approx(slow.item(), rel=1e-6)
    assert adapted.item() != pytest.approx(plain.item(), rel=1e-4)


def test_operations_are_counted_as_those_of_the_plain_formula() -> None:
    states, weight = torch.randn(6, 3, requires_grad=True), torch.randn(9, 3, requires_grad=True)
    targets = torch.arange(6)
    ours = count_flops(lambda: catalogue_cross_entropy(states, weight, targets).backward())
    plain = count_flops(lambda: functional.cross_entropy(states @ weight.T, targets).backward())
    assert ours.count == plain.count == 3 * 2 * 6 * 3 * 9


def test_memory_is_not_written_before_it_is_used() -> None:
    deterministic(0)
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.utils.deterministic.fill_uninitialized_memory
