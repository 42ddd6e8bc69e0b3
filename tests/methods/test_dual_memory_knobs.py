"""Every knob of dual memory turns something, and what cannot be turned is refused with one sentence."""

import copy
import hashlib
import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import PeftModel, get_peft_model_state_dict
from safetensors.torch import load_file, save
from transformers import T5Config, T5ForConditionalGeneration

from tests.methods.test_dual_memory import CATALOGUE, TINY, task_for
from vestige import plugins
from vestige.errors import InputError
from vestige.methods import Task, Unlearned
from vestige.pipeline import board as boards
from vestige.recommenders.t5 import FIRST_ITEM, T5Recommender
from vestige_methods.dual_memory import losses
from vestige_methods.dual_memory.config import PRESETS, DualMemoryConfig, folder_checksum
from vestige_methods.dual_memory.layers import known_targets
from vestige_methods.dual_memory.method import DualMemory, _SideTraining
from vestige_methods.dual_memory.model import side_of

# Every loss has a weight, so that every margin counts; few and large steps.
ALL = {
    "epochs": 3, "batch_size": 64, "lr": 1e-2, "topk_penalty_weight": 1.0, "topk_k": 5, "hard_neg_k": 5,
    "distill_weight": 1.0, "router_epochs": 3, "router_histories": 8, "lora_blocks": 1,
}  # fmt: skip

TURNED = {
    "epochs": 2, "batch_size": 16, "forget_ratio": 0.5, "retain_ratio": 0.25, "lr": 5e-3, "clip": 0.1,
    "window_epochs": 2, "patience": 1,
    "min_delta": 1e9, "alpha_weight": 3.0, "beta_weight": 20.0, "kl_reg_weight": 0.0, "kl_mask_forgotten": False,
    "freeze_lm_head": False, "negative_weight": 0.0, "unlikelihood_weight": 0.0, "pairwise_weight": 0.0,
    "pairwise_margin": 4.0, "hard_neg_k": 2, "topk_penalty_weight": 0.0, "topk_k": 2, "topk_margin": 3.0,
    "abs_suppression_weight": 0.0, "abs_suppression_margin": 9.0, "distill_weight": 0.0, "shift_weight": 1.0,
    "distill_delta": 3.0,
    "lora_r": 4, "lora_alpha": 4.0, "lora_dropout": 0.5, "lora_targets": ("SelfAttention.q",), "positives": 2,
    "router_hidden": 8, "router_dropout": 0.6, "router_lr": 1e-2, "router_weight_decay": 5.0, "router_epochs": 9,
    "router_batch_size": 8, "router_layers": ("decoder",), "router_histories": 4,
    "router_retained_histories": 3, "target_precision": 0.2, "routing": "soft",
    "amp": True, "seed": 77,
}  # fmt: skip

BESIDE = {"min_delta": {"patience": 1}, "patience": {"min_delta": 1e9}, "lora_blocks": {}}
"""What must be set for a knob to count."""


@pytest.fixture(scope="module")
def task() -> Task:
    return task_for("users")


def unlearn(task: Task, **settings: object) -> Unlearned:
    return DualMemory(DualMemoryConfig(**{**ALL, **settings})).unlearn(task)


def digest(result: Unlearned) -> str:
    """Of everything that answers."""
    model = result.model
    weights = {**get_peft_model_state_dict(model.adapter, save_embedding_layers=False), **model.router.state_dict()}
    content = b"".join(f"{name}".encode() + weights[name].numpy().tobytes() for name in sorted(weights))
    return hashlib.sha256(content + repr((model.threshold, model._mode)).encode()).hexdigest()


@pytest.fixture(scope="module")
def plain(task: Task) -> str:
    return digest(unlearn(task))


def test_every_knob_is_tried() -> None:
    elsewhere = {"lora_blocks", "warm_start", "warm_start_sha256"}
    assert set(DualMemoryConfig.model_fields) - elsewhere == set(TURNED)


@pytest.mark.parametrize("knob", sorted(TURNED))
def test_every_knob_turns_something(task: Task, plain: str, knob: str) -> None:
    beside = BESIDE.get(knob, {})
    before = digest(unlearn(task, **beside)) if beside else plain
    assert digest(unlearn(task, **{**beside, knob: TURNED[knob]})) != before


def test_equal_knobs_are_equal(task: Task, plain: str) -> None:
    assert digest(unlearn(task)) == plain


def test_early_stopping_keeps_the_best_epoch(task: Task) -> None:
    # Nothing falls by so much, so the second epoch is the first that waits, and the first one's weights are kept.
    stopped = unlearn(task, epochs=20, patience=1, min_delta=1e9)
    assert stopped.notes["epochs"] == 2
    assert stopped.notes["steps"] == 2 * unlearn(task, epochs=1).notes["steps"]
    once = get_peft_model_state_dict(unlearn(task, epochs=1).model.adapter)
    kept = get_peft_model_state_dict(stopped.model.adapter)
    assert all(torch.equal(once[name], kept[name]) for name in once)
    assert unlearn(task, epochs=4, patience=9).notes["epochs"] == 4


def test_the_adapter_sits_where_it_is_told() -> None:
    shape = TINY.model_copy(update={"layers": 3})
    main = T5Recommender(shape, CATALOGUE)
    last = [f"decoder.block.{block}.layer.2.DenseReluDense.wi" for block in (1, 2)]
    assert sorted(DualMemory(DualMemoryConfig())._lora(main).target_modules) == last
    assert "lm_head" in DualMemory(DualMemoryConfig(freeze_lm_head=False))._lora(main).target_modules
    assert known_targets(main, ("SelfAttention.q",)) == [f"decoder.block.{b}.layer.0.SelfAttention.q" for b in range(3)]
    assert known_targets(main, ("lm_head", last[0])) == ["lm_head", last[0]]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lora_targets": ("SelfAttention.w",)}, r"lora_targets: unknown layer 'SelfAttention.w'; did you mean 'SelfA"),
        (
            {"lora_targets": ("decoder.block.9.layer.2.DenseReluDense.wi",)},
            r"did you mean 'decoder\.block\.0\.layer\.2\.DenseReluDense\.wi'",
        ),
        ({"lora_targets": ("encoder.block.0.layer.0.SelfAttention.q",)}, r"in the encoder, whose states both"),
        ({"router_layers": ("decodr",)}, r"router_layers: unknown layer 'decodr'; did you mean 'decoder'"),
        ({"router_layers": ("encoder.2",)}, r"router_layers: unknown layer 'encoder.2'; did you mean 'encoder.[01]'"),
    ],
)
def test_a_layer_that_does_not_exist_names_the_nearest(task: Task, settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        unlearn(task, **settings)
    assert "\n" not in str(caught.value)


def test_single_layers_can_be_seen(task: Task) -> None:
    width = {
        layers: len(unlearn(task, router_layers=layers).model.router.mean)
        for layers in (("encoder.0",), ("encoder.0", "decoder.1"))
    }
    assert list(width.values()) == [TINY.d_model, 2 * TINY.d_model]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("alpha_weight = -1", r"\[\[method\]\] 1: alpha_weight: .*greater than or equal to 0, not -1"),
        ("unlikelihood_weight = -0.5", r"unlikelihood_weight: .*greater than or equal to 0"),
        ('preset = "e3_strong"', r"unknown preset 'e3_strong'; did you mean 'e2_strong'"),
        ("beta_weight = 0", r"nothing would be forgotten"),
        ('preset = "distilled"\nbeta_weight = 0', r"nothing would be forgotten"),
        ('freeze_lm_head = true\nlora_targets = ["lm_head"]', r"lora_targets names lm_head, which freeze_lm_head"),
        ('warm_start = "nowhere"', r"warm_start: there is no folder nowhere"),
        ("hard_neg = 3", r"unknown key 'hard_neg'; did you mean 'hard_neg_k'"),
    ],
)
def test_a_fault_in_a_board_is_one_sentence(tmp_path: Path, table: str, message: str) -> None:
    (tmp_path / "board.toml").write_text(f'extends = "smoke"\n[[method]]\nname = "dual_memory"\n{table}\n')
    with pytest.raises(InputError, match=message) as caught:
        boards.load(str(tmp_path), plugins.load())
    assert "\n" not in str(caught.value)


def test_presets_are_the_published_ones() -> None:
    made = {name: DualMemoryConfig(**values) for name, values in PRESETS.items()}
    assert set(made) == {"e1_stable", "e2_strong", "published", "distilled"}
    told = ("pairwise_weight", "pairwise_margin", "kl_reg_weight", "alpha_weight", "beta_weight", "unlikelihood_weight")
    assert [getattr(made["e1_stable"], name) for name in told] == [0.6, 1.5, 15, 40, 120, 1.0]
    assert [getattr(made["e2_strong"], name) for name in told] == [1.2, 2.0, 12, 35, 150, 1.5]
    assert [getattr(made["published"], name) for name in told] == [0.8, 2.0, 6, 35, 240, 1.5]
    for name in ("e1_stable", "e2_strong", "published"):
        config = made[name]
        assert (config.negative_weight, config.distill_weight, config.kl_mask_forgotten) == (1, 0, True)
        assert (config.freeze_lm_head, config.patience, config.routing) == (True, 0, "hard")
    told = ("epochs", "batch_size", "lr", "lora_r", "hard_neg_k", "topk_penalty_weight", "topk_k", "topk_margin")
    assert [getattr(made["published"], name) for name in told] == [28, 256, 5e-4, 16, 50, 1.5, 100, 0.4]
    absolute = ("abs_suppression_weight", "abs_suppression_margin")
    assert [getattr(made["published"], name) for name in absolute] == [3.0, 3.5]
    assert [getattr(made["e2_strong"], name) for name in absolute] == [1.5, 3.0]
    assert made["e1_stable"].abs_suppression_weight == 0
    assert DualMemoryConfig(**{**PRESETS["published"], "beta_weight": 7.0}).beta_weight == 7


# -- warm start -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def saved(task: Task, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Unlearned]:
    result = unlearn(task)
    folder = tmp_path_factory.mktemp("saved")
    result.model.save(folder)
    return folder, result


def test_a_warm_start_goes_on_from_what_was_saved(task: Task, saved: tuple[Path, Unlearned]) -> None:
    folder, result = saved
    still = unlearn(task, warm_start=str(folder), epochs=1, lr=1e-12, router_epochs=1, router_lr=1e-12)
    histories = task.forget.histories
    assert still.model.side.score(histories) == pytest.approx(result.model.side.score(histories), abs=1e-5)
    probability = [model.parts().router.probability(histories) for model in (still.model, result.model)]
    assert probability[0] == pytest.approx(probability[1], abs=1e-5)
    on = unlearn(task, warm_start=str(folder))
    assert on.notes["loss total"] < unlearn(task).notes["loss total"]


def test_a_warm_start_for_another_base_or_shape_is_one_sentence(task: Task, saved: tuple[Path, Unlearned]) -> None:
    folder, _ = saved
    other = replace(task, recommender=T5Recommender(TINY, CATALOGUE))
    for asked, settings, message in (
        (other, {}, "belongs to another base"),
        (task, {"lora_r": 4}, r"its adapter has rank 16 on .*give the same lora_r"),
        (task, {"lora_targets": ("SelfAttention.q",)}, r"its adapter has rank 16 on decoder\.block\.0"),
        (task, {"router_hidden": 8}, "give router_hidden = 64"),
        (task, {"router_layers": ("decoder",)}, r"give router_layers = \['encoder', 'decoder'\]"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            unlearn(asked, warm_start=str(folder), **settings)  # type: ignore[arg-type]
        assert "\n" not in str(caught.value)


def test_another_start_is_another_configuration(task: Task, saved: tuple[Path, Unlearned], tmp_path: Path) -> None:
    folder, _ = saved
    config = DualMemoryConfig(warm_start=str(folder))
    assert config.warm_start_sha256 == folder_checksum(folder)
    assert DualMemoryConfig(**config.model_dump()) == config
    other = DualMemoryConfig(warm_start=str(folder), warm_start_sha256="0" * 64)
    with pytest.raises(InputError, match="another checksum than is asked for"):
        DualMemory(other).unlearn(task)
    # What was made of it long ago stays readable, wherever it is now.
    gone = DualMemoryConfig(warm_start=str(tmp_path / "gone"), warm_start_sha256="0" * 64)
    assert gone.warm_start_sha256 == "0" * 64


def test_an_adapter_on_the_output_head_comes_back_too(task: Task, tmp_path: Path) -> None:
    model = unlearn(task, freeze_lm_head=False).model
    model.save(tmp_path)
    again = DualMemory(DualMemoryConfig()).load(tmp_path, copy.deepcopy(task.recommender))
    histories = task.forget.histories
    assert np.array_equal(again.side.score(histories), model.side.score(histories))
    names = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert all("lora_" in name for name in names)  # nothing of the base's own weights is saved with it


def damaged(folder: Path, file: str, content: bytes | None) -> Path:
    place = folder / file
    if content is None:
        place.unlink()
    else:
        place.write_bytes(content)
    return folder


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("router.safetensors", b"cut", "the router cannot be read"),
        ("router.json", b"{", "the router cannot be read"),
        ("router.json", b'{"threshold": 0.5, "layers": ["encoder"], "routing": "harrd"}', "the router cannot be read"),
        ("router.json", b'{"threshold": 0.5, "layers": ["encoder.9"], "routing": "hard"}', "unknown layer 'encoder.9'"),
        ("router.json", b'{"threshold": 0.5, "layers": ["encoder"], "routing": "hard"}', "it sees 64 activations"),
        ("adapter/adapter_model.safetensors", b"cut", "the adapter cannot be read"),
        ("adapter/adapter_model.safetensors", save({}), "its weights are not those of its layers"),
        ("adapter/adapter_model.safetensors", None, "adapter_model.safetensors is missing"),
        ("adapter/adapter_config.json", None, "adapter_config.json is missing"),
        ("adapter/adapter_config.json", b"{", "the adapter cannot be read"),
        ("dual_memory.json", b"[]", "this is no dual memory"),
    ],
)
def test_a_damaged_artifact_is_one_sentence(
    task: Task, saved: tuple[Path, Unlearned], tmp_path: Path, file: str, content: bytes | None, message: str
) -> None:
    folder = damaged(Path(shutil.copytree(saved[0], tmp_path / "damaged")), file, content)
    with pytest.raises(InputError, match=message) as caught:
        DualMemory(DualMemoryConfig()).load(folder, copy.deepcopy(task.recommender))
    assert "\n" not in str(caught.value)
    if file != "adapter/adapter_config.json":
        with pytest.raises(InputError):
            unlearn(task, warm_start=str(folder))


def test_the_wi_of_a_gated_t5_are_both() -> None:
    module = copy.deepcopy(T5Recommender(TINY, CATALOGUE))
    module.module = T5ForConditionalGeneration(
        T5Config(
            vocab_size=50, d_model=16, d_ff=32, num_layers=1, num_heads=2, d_kv=8, feed_forward_proj="gated-gelu",
            decoder_start_token_id=0,
        )
    )  # fmt: skip
    ends = [name.rpartition(".")[2] for name in known_targets(module, ("wi", "wo"))]
    assert sorted(ends) == ["wi_0", "wi_1", "wo"]
    with pytest.raises(InputError, match="unknown layer 'wj'"):
        known_targets(module, ("wj",))


def test_the_total_is_the_terms_by_their_weights(task: Task) -> None:
    """α retention + β forgetting + γ stability, each of its own samples."""
    # The side differs from main, so that no term is 0 by chance.
    settings = {**ALL, "freeze_lm_head": False, "lora_blocks": 1, "shift_weight": 0.7, "distill_delta": 0.4}
    weights = {"negative": 1.1, "unlikelihood": 1.3, "pairwise": 0.6, "topk_penalty": 0.9, "abs_suppression": 1.7}
    settings |= {f"{name}_weight": weight for name, weight in weights.items()}
    for masked in (True, False):
        config = DualMemoryConfig(**{**settings, "alpha_weight": 2.0, "beta_weight": 3.0, "kl_reg_weight": 5.0,
                                     "kl_mask_forgotten": masked})  # fmt: skip
        main = copy.deepcopy(task.recommender)
        side = side_of(main, copy.deepcopy(main.module))
        with torch.no_grad():
            for parameter in side.module.decoder.parameters():
                parameter.mul_(1.1)
        training = _SideTraining(config, task, main, side)
        batch = next(training._drawn(np.arange(4)))
        forgotten, positives, retain = batch.forgotten, batch.positives, batch.retained
        total, terms = training._loss(batch)
        s_f, s_r = training._side(batch)
        m_f, m_r = (training._of_main(states) for states in training._main(batch))
        log = partial(torch.log_softmax, dim=-1)
        y, s_minus = forgotten.targets, s_f[torch.arange(len(s_f)), forgotten.targets]
        expected = 2.0 * (losses.positive_bce(s_f, positives) + losses.retained_cross_entropy(log(s_r), retain.targets))
        expected += 3.0 * (
            1.1 * losses.negative_bce(s_minus)
            + 1.3 * losses.unlikelihood(log(s_f), y)
            + 0.6 * losses.pairwise(s_f, losses.rivals(m_f, y, config.hard_neg_k), s_minus, config.pairwise_margin)
            + 0.9 * losses.topk_penalty(s_f, s_minus, config.topk_margin, config.topk_k)
            + 1.7 * losses.absolute_suppression(s_minus, config.abs_suppression_margin)
            + 1.0 * losses.self_distillation(log(s_f), log(m_f), y, 0.4)
            + 0.7 * losses.log_prob_shift(log(s_f), log(m_f), y, 0.4)
        )
        still = losses.stability(log(s_r), log(m_r))
        away = losses.stability(log(s_f), log(m_f))
        assert min(float(still), float(away), *(float(term) for term in terms.values())) > 0
        expected += 5.0 * (still if masked else still + away)
        assert float(total) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("kind", ["users", "interactions"])
def test_samples_that_come_again_are_heard_once(kind: str, monkeypatch) -> None:
    task = task_for(kind)
    main = copy.deepcopy(task.recommender)
    main.module.requires_grad_(False)
    side = side_of(main, copy.deepcopy(main.module))
    side.module.requires_grad_(True)
    config = DualMemoryConfig(**{**ALL, "epochs": 4, "window_epochs": 2, "batch_size": 4})
    training = _SideTraining(config, task, main, side)
    frozen, loss = training.frozen, training._loss
    heard, asked = [], []
    monkeypatch.setattr(training, "frozen", lambda *batch: heard.append(batch) or frozen(*batch))
    monkeypatch.setattr(training, "_loss", lambda batch: asked.append(batch) or loss(batch))
    per_epoch = training.run().steps // 4
    # The first batch is heard and asked once more, to be counted.
    assert (len(heard), len(asked)) == (2 * per_epoch + 1, 4 * per_epoch + 1)
    first, again, drawn, _ = (asked[1:][at * per_epoch :][:per_epoch] for at in range(4))
    order = [[id(batch.forgotten) for batch in epoch] for epoch in (first, again, drawn)]
    assert order[0] != order[1] and set(order[0]) == set(order[1]) and not set(order[0]) & set(order[2])
    positives = {id(batch.forgotten): batch.positives for batch in first}
    assert not all(torch.equal(positives[id(batch.forgotten)], batch.positives) for batch in again)
    for batch in again:
        fresh = frozen(batch.forgotten, batch.retained)
        assert torch.equal(fresh.rivals, batch.frozen.rivals)
        for kept, anew in zip(batch.frozen.heard, fresh.heard, strict=True):
            said = main.answers(*main.encode(kept.asked.encoder), kept.asked)
            assert torch.equal(training._of_main(kept.main), said) and torch.equal(kept.states, anew.states)


def test_what_is_heard_once_costs_less(task: Task) -> None:
    once, each = (unlearn(task, epochs=6, window_epochs=n, router_epochs=1).flops for n in (6, 1))
    router = unlearn(task, epochs=1, router_epochs=1).flops
    assert each - once > 0.1 * each and once > router


# -- what answers ---------------------------------------------------------------------------------------------


def test_the_side_memory_computes_routed_rows_only(task: Task, saved: tuple[Path, Unlearned], monkeypatch) -> None:
    model = saved[1].model
    histories = task.forget.histories
    p = model.parts().router.probability(histories)
    counted: list[int] = []
    decode = T5Recommender.decode

    def counting(self, states, mask, decoder):
        if self is model.side:
            counted.append(len(decoder))
        return decode(self, states, mask, decoder)

    monkeypatch.setattr(T5Recommender, "decode", counting)
    monkeypatch.setattr(T5Recommender, "encode", lambda *_: pytest.fail("the encoder's states are shared"))
    for quantile in (0.1, 0.5, 0.9):
        monkeypatch.setattr(model, "threshold", float(np.quantile(p, quantile)))
        counted.clear()
        model.score(histories)
        assert sum(counted) == (p >= model.threshold).sum() > 0
    monkeypatch.setattr(model, "threshold", 2.0)
    counted.clear()
    model.score(histories)
    assert counted == []


def test_plain_libraries_give_the_same_answers(task: Task, saved: tuple[Path, Unlearned], tmp_path: Path) -> None:
    """Nothing of Vestige answers here: transformers, peft, a safetensors file and a JSON file."""
    folder, result = saved
    model = result.model
    model.main.save(tmp_path)
    main = T5ForConditionalGeneration.from_pretrained(tmp_path).eval()
    side = PeftModel.from_pretrained(copy.deepcopy(main), str(folder / "adapter")).eval()
    weights, settings = load_file(folder / "router.safetensors"), json.loads((folder / "router.json").read_text())
    histories = task.forget.histories.take(np.arange(40))
    encoder, decoder, last = model.main.question(histories)
    mask, rows = (encoder != 0).long(), torch.arange(len(decoder))
    with torch.inference_mode():
        words = {"input_ids": encoder, "attention_mask": mask, "decoder_input_ids": decoder}
        told = main(**words, output_hidden_states=True)
        asked = (torch.arange(decoder.shape[1]) <= last[:, None]).long()
        seen = {"encoder": (told.encoder_hidden_states, mask), "decoder": (told.decoder_hidden_states, asked)}
        features = torch.cat(
            [
                (states * where[..., None]).sum(1) / where.sum(1, keepdim=True)
                for stack in settings["layers"]
                for states in seen[stack][0]
                for where in [seen[stack][1]]
            ],
            dim=1,
        )
        hidden = ((features - weights["mean"]) / weights["scale"]) @ weights["layers.0.weight"].T
        hidden = torch.relu(hidden + weights["layers.0.bias"])
        p = torch.sigmoid((hidden @ weights["layers.3.weight"].T + weights["layers.3.bias"]).squeeze(-1))
        routed = p >= settings["threshold"]
        logits = torch.where(routed[:, None], side(**words).logits[rows, last], told.logits[rows, last])
    expected = torch.log_softmax(logits[:, FIRST_ITEM:], dim=-1).numpy()
    assert routed.any() and not routed.all()
    assert model.score(histories) == pytest.approx(expected, abs=1e-4)


# -- distilled ------------------------------------------------------------------------------------------------


def memories(task: Task, **settings: object) -> tuple[torch.Tensor, torch.Tensor]:
    """What main and side memory say of the forgotten queries."""
    brief = {"epochs": 60, "batch_size": 64, "lr": 1e-2, "router_epochs": 1, "router_histories": 4}
    model = DualMemory(DualMemoryConfig(**{**settings, **brief})).unlearn(task).model
    main, side = (torch.from_numpy(memory.score(task.forget.histories)) for memory in (model.main, model.side))
    return main, side


@pytest.mark.parametrize("kind", ["users", "interactions"])
def test_distilled_approaches_its_target_and_does_not_hide(kind: str) -> None:
    task = task_for(kind)
    rows, target = torch.arange(len(task.forget)), torch.from_numpy(task.forget.targets.astype(np.int64))
    delta = 0.6
    preset = {**PRESETS["distilled"], "distill_delta": delta}

    def far(term, side: torch.Tensor) -> float:
        return term(side, main, target, delta).item()

    # The divergence alone: the whole distribution comes nearer to the target.
    main, side = memories(task, **{**preset, "shift_weight": 0.0})
    assert far(losses.self_distillation, side) < 0.9 * far(losses.self_distillation, main)
    # The preset: what was forgotten loses what it should and no more, and little else is touched.
    main, side = memories(task, **preset)
    assert far(losses.log_prob_shift, side) < 0.4 * far(losses.log_prob_shift, main)
    moved = (side - main)[rows, target].mean()
    assert -1.2 * delta < moved < -0.4 * delta
    main, hidden = memories(task, **PRESETS["published"])
    assert (hidden - main)[rows, target].mean() < 2 * moved
    assert far(losses.self_distillation, side) < 0.1 * far(losses.self_distillation, hidden)
