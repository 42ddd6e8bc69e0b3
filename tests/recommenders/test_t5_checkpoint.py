"""Starting from a pretrained checkpoint, and from none: what is read, what is added, and what is said of a bad one."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoTokenizer, PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

from tests.conftest import SHARED
from vestige.data.sequences import Sequences, sequences
from vestige.errors import InputError
from vestige.progress import silent
from vestige.recommenders.contract import Catalogue
from vestige.recommenders.t5 import EOS, FIRST_ITEM, IGNORED, PAD, T5Recommender
from vestige.recommenders.t5 import checkpoint as checkpoints
from vestige.recommenders.t5.prompts import text_of
from vestige.recommenders.t5_config import PRESETS, T5RecommenderConfig

ITEMS = 20
CATALOGUE = Catalogue(tuple(str(100 + i) for i in range(ITEMS)))
TOKENIZER = SHARED / "t5-small-tokenizer"
SETTINGS = {
    "prompt": "text", "passes": 3, "window": 6, "context": 8, "recent": 3, "batch_size": 8, "learning_rate": 1e-2
}  # fmt: skip
ROWS = sequences([[(start + step) % ITEMS for step in range(14)] for start in range(ITEMS)])
HISTORIES = sequences([[1], list(range(ITEMS)), [4, 4, 7, 2, 9], []])


def words_of_its_own() -> PreTrainedTokenizerFast:
    """A small tokenizer of T5's kind: pieces with scores, blanks as marks, and an end of input."""
    letters = sorted(set("User recent history:. Recommend next item.0123456789") - {" "})
    words = ["▁User", "▁recent", "▁history", "▁next", "▁item", "▁100", "▁"]
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *((word, -2.0) for word in words)]
    tokenizer = Tokenizer(models.Unigram([*pieces, *((letter, -6.0) for letter in letters)], unk_id=2))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", EOS)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")


def small_checkpoint(folder: Path, tied: bool = True) -> Path:
    """A T5 of random weights and a real tokenizer, with more rows than tokens, as T5-small has."""
    shape = {
        "d_model": 16, "d_ff": 32, "d_kv": 8, "num_layers": 1, "num_decoder_layers": 1, "num_heads": 2,
        "pad_token_id": PAD, "eos_token_id": EOS, "decoder_start_token_id": PAD,
    }  # fmt: skip
    torch.manual_seed(0)
    if TOKENIZER.exists():
        tokenizer = AutoTokenizer.from_pretrained(TOKENIZER)
        config = T5Config.from_pretrained(TOKENIZER, **shape)
    else:
        tokenizer = words_of_its_own()
        config = T5Config(vocab_size=len(tokenizer) + 5, **shape)
    module = T5ForConditionalGeneration(config)
    module.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if not tied:  # as T5 1.1 is published: a head of its own, and a configuration that says so
        weights = {name: weight for name, weight in module.state_dict().items() if "embed_tokens" not in name}
        weights["lm_head.weight"] = torch.randn_like(module.lm_head.weight)
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        published = json.loads((folder / "config.json").read_text())
        published.pop("scale_decoder_outputs", None)
        (folder / "config.json").write_text(json.dumps({**published, "tie_word_embeddings": False}))
    return folder


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_checkpoint(tmp_path_factory.mktemp("pretrained"))


def config_for(folder: Path, **settings: object) -> T5RecommenderConfig:
    return T5RecommenderConfig(**{**SETTINGS, "init": str(folder), **settings})


# -- from scratch ---------------------------------------------------------------------------------------------


def plainly_trained(config: T5RecommenderConfig, rows: Sequences, items: int, seed: int) -> T5ForConditionalGeneration:
    """The procedure, written out once more: item i is token i + 2, one window a row and pass."""
    torch.manual_seed(seed)
    module = T5ForConditionalGeneration(
        T5Config(
            vocab_size=items + FIRST_ITEM, d_model=config.d_model, d_kv=config.d_model // config.heads,
            d_ff=config.d_ff, num_layers=config.layers, num_decoder_layers=config.layers, num_heads=config.heads,
            dropout_rate=0.0, initializer_factor=config.init_scale, pad_token_id=PAD, eos_token_id=EOS,
            decoder_start_token_id=PAD,
        )
    )  # fmt: skip
    rng = np.random.default_rng(seed)
    per_pass = -(-len(rows) // config.batch_size)
    steps = config.passes * per_pass
    optimizer = torch.optim.AdamW(module.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    warm = steps // 10
    factor = lambda step: (step + 1) / warm if step < warm else max(0.02, 1 - (step - warm) / (steps - warm))  # noqa: E731
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    module.train()
    for _ in range(config.passes):
        order = rng.permutation(len(rows))
        for at in range(0, len(rows), config.batch_size):
            chosen = [rows.row(row) for row in order[at : at + config.batch_size]]
            starts = rng.integers(0, np.maximum(np.asarray([len(r) for r in chosen]) - config.window, 0) + 1)
            before = [r[max(0, s - config.context) : s] for r, s in zip(chosen, starts, strict=True)]
            inside = [r[s : s + config.window] for r, s in zip(chosen, starts, strict=True)]
            encoder = padded_rows([[*(b + FIRST_ITEM), EOS] for b in before], PAD)
            decoder = padded_rows([[PAD, *(i[:-1] + FIRST_ITEM)] for i in inside], PAD)
            targets = padded_rows([list(i) for i in inside], IGNORED)
            mask = (encoder != PAD).long()
            states = module.encoder(input_ids=encoder, attention_mask=mask)[0]
            said = module.decoder(
                input_ids=decoder, encoder_hidden_states=states, encoder_attention_mask=mask, use_cache=False
            )[0]
            known = targets != IGNORED
            logits = module.lm_head(said[known] * config.d_model**-0.5)[..., FIRST_ITEM:]
            loss = torch.nn.functional.cross_entropy(logits, targets[known])
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(list(module.parameters()), config.clip)
            optimizer.step()
            schedule.step()
    return module.eval()


def padded_rows(rows: list[list[int]], fill: int) -> torch.Tensor:
    width = max(len(row) for row in rows)
    return torch.tensor([[*map(int, row), *[fill] * (width - len(row))] for row in rows])


def test_from_scratch_nothing_changed() -> None:
    """`nano`, one token an item: the same weights as the plain procedure gives, but for rounding."""
    config = T5RecommenderConfig(**{**PRESETS["nano"], "passes": 4, "batch_size": 8})
    rng = np.random.default_rng(0)
    rows = sequences([rng.integers(0, ITEMS, rng.integers(5, 90)).tolist() for _ in range(20)])
    model = T5Recommender(config, CATALOGUE)
    model.fit(rows, 3, silent)
    plain = plainly_trained(config, rows, ITEMS, 3)
    weights = model.module.state_dict()
    assert all(torch.allclose(weights[name], t, rtol=1e-3, atol=1e-5) for name, t in plain.state_dict().items())
    # And the answer of one decoder step is the log-softmax of its logits.
    encoder, decoder, last = model.question(HISTORIES)
    mask = (encoder != PAD).long()
    with torch.inference_mode():
        logits = model.module(input_ids=encoder, attention_mask=mask, decoder_input_ids=decoder).logits
    expected = torch.log_softmax(logits[torch.arange(len(HISTORIES)), last, FIRST_ITEM:], dim=-1)
    assert np.allclose(model.score(HISTORIES), expected.numpy(), atol=1e-5)


def test_records_of_old_settings_stay_as_they_were() -> None:
    """Settings that came later stand in a record only where they were set."""
    written = T5RecommenderConfig(**PRESETS["nano"]).model_dump(mode="json")
    assert not {"init", "items", "prompt", "beams"} & written.keys()
    again = T5RecommenderConfig(items="random", beams=5)
    assert T5RecommenderConfig(**again.model_dump(mode="json")) == again
    assert again.model_dump(mode="json")["items"] == "random"


# -- from a checkpoint ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("items", ["tokens", "sequential", "collaborative"])
def test_the_prompt_is_what_the_tokenizer_makes_of_its_text(items: str, pretrained: Path, tmp_path: Path) -> None:
    model = T5Recommender(config_for(pretrained, items=items), CATALOGUE)
    model.save(tmp_path)
    history = [3, 1, 4, 1, 5]
    encoder, _, last = model.question(sequences([[*history, 9, 2, 6]]))
    text = text_of([model.vocabulary.names[item] for item in history])
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert tokenizer(text).input_ids == encoder[0].tolist()
    said = [token for item in (9, 2, 6) for token in tokenizer(model.vocabulary.names[item]).input_ids[:-1]]
    ending = [EOS] if model.codes.answers[model.codes.spelled[-1]] == EOS else []
    assert len(said) + 3 * len(ending) == int(last)
    assert model.codes.single == (items == "tokens")


@pytest.mark.parametrize("tied", [True, False])
def test_it_begins_with_the_checkpoints_weights(tied: bool, tmp_path: Path) -> None:
    folder = small_checkpoint(tmp_path, tied)
    old = load_file(folder / "model.safetensors")
    words = len(AutoTokenizer.from_pretrained(folder))
    model = T5Recommender(config_for(folder), CATALOGUE)
    new = dict(model.module.named_parameters())
    assert new.keys() == old.keys()
    for name, weight in old.items():
        table = name in ("shared.weight", "lm_head.weight")
        assert torch.equal(new[name][:words] if table else new[name], weight[:words] if table else weight)
    assert model.module.config.scale_decoder_outputs == tied
    again = T5Recommender.load(saved(model, tmp_path), model.config, CATALOGUE, "cpu")
    assert np.array_equal(again.score(HISTORIES), model.score(HISTORIES))
    # New rows are like the words that are known, and no two alike.
    tables = [model.module.shared.weight] + ([] if tied else [model.module.lm_head.weight])
    for table in tables:
        items = table[torch.from_numpy(model.codes.answers)].detach()
        known = table[:words].detach()
        assert len(torch.unique(items, dim=0)) == ITEMS
        assert (items - known.mean(dim=0)).std() == pytest.approx(0.2 * float(known.std(dim=0).mean()), rel=0.25)


def test_it_trains_answers_and_comes_back(pretrained: Path, tmp_path: Path) -> None:
    model = T5Recommender(config_for(pretrained), CATALOGUE)
    before = model.score(HISTORIES)
    assert np.exp(before.astype(np.float64)).sum(axis=1) == pytest.approx(np.ones(len(HISTORIES)), rel=1e-4)
    first = model.fit(ROWS, 1, silent)
    scores = model.score(HISTORIES)
    assert not np.allclose(scores, before)
    assert np.array_equal(
        T5Recommender.load(saved(model, tmp_path), model.config, CATALOGUE, "cpu").score(HISTORIES), scores
    )
    again = T5Recommender(config_for(pretrained), CATALOGUE)
    assert again.fit(ROWS, 1, silent) == first
    assert np.array_equal(again.score(HISTORIES), scores)
    again.fit(ROWS, 2, silent)
    assert not np.array_equal(again.score(HISTORIES), scores)  # its new rows are drawn anew
    plain = T5ForConditionalGeneration.from_pretrained(tmp_path)
    assert plain.config.vocab_size >= len(AutoTokenizer.from_pretrained(tmp_path))
    assert not list(tmp_path.glob("*.bin"))


def saved(model: T5Recommender, folder: Path) -> Path:
    model.save(folder)
    return folder


def test_the_published_way_reads_all_and_says_one(pretrained: Path) -> None:
    """`window` 1 and `recent` 0: the whole history is in the prompt, and the decoder says one item."""
    model = T5Recommender(config_for(pretrained, window=1, recent=0), CATALOGUE)
    batch = model.batch(ROWS, np.random.default_rng(0))
    assert batch.decoder.tolist() == [[PAD]] * ITEMS and batch.targets.shape == (ITEMS, 1)
    encoder, decoder, last = model.question(sequences([[3, 1, 4]]))
    assert decoder.tolist() == [[PAD]] and last.tolist() == [0]
    items = model.codes.answers[[3, 1, 4]].tolist()
    assert [token for token in encoder[0].tolist() if token in model.codes.answers] == items
    assert model.score(HISTORIES).shape == (len(HISTORIES), ITEMS)


def test_a_recommender_of_ours_is_a_checkpoint_too(tmp_path: Path) -> None:
    """Of the same catalogue, whatever it was called; of another one it is refused."""
    shape = {"d_model": 16, "d_ff": 32, "layers": 1, "heads": 2}
    ours = T5Recommender(T5RecommenderConfig(**{**SETTINGS, **shape, "prompt": "ids"}), CATALOGUE)
    ours.fit(ROWS, 1, silent)
    folder = saved(ours, tmp_path)
    config = config_for(folder, prompt="ids")
    assert np.array_equal(T5Recommender(config, CATALOGUE).score(HISTORIES), ours.score(HISTORIES))
    with pytest.raises(InputError, match="knows items of another catalogue, such as 'item_100'"):
        T5Recommender(config, Catalogue(tuple(map(str, range(ITEMS)))))
    with pytest.raises(InputError, match="no words for the prompt; set prompt = 'ids'"):
        T5Recommender(config_for(folder), CATALOGUE)


def test_a_saved_recommender_of_another_catalogue_is_refused(pretrained: Path, tmp_path: Path) -> None:
    model = T5Recommender(config_for(pretrained), CATALOGUE)
    folder = saved(model, tmp_path)
    with pytest.raises(InputError, match="another catalogue"):
        T5Recommender.load(folder, model.config, Catalogue(CATALOGUE.item_ids[1:]), "cpu")
    with pytest.raises(InputError, match="it has no token 'item_new'"):
        T5Recommender.load(folder, model.config, Catalogue((*CATALOGUE.item_ids, "new")), "cpu")


# -- what is wrong with a checkpoint --------------------------------------------------------------------------


def other_architecture(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "bart"}))


def other_padding(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "pad_token_id": 7}))


def no_tokenizer(folder: Path) -> None:
    for file in folder.glob("*"):
        if file.name.startswith(("tokenizer", "spiece", "special", "added")):
            file.unlink()


def damaged_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{")


def cut_weights(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def other_shape(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "d_ff": 48}))


def more_layers(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_layers": 2}))


def larger_tokenizer(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens([f"word{number}" for number in range(40)])
    tokenizer.save_pretrained(folder)


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def with_an_adapter(folder: Path) -> None:
    """As PEFT writes it; transformers would load it unasked, and leave nothing to train."""
    module = T5ForConditionalGeneration.from_pretrained(folder)
    get_peft_model(module, LoraConfig(target_modules=["q"])).save_pretrained(folder)


def no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (other_architecture, "this is a checkpoint of 'bart', and one of 't5' is needed"),
        (other_padding, "pad_token_id must be 0"),
        (no_tokenizer, "the tokenizer is missing"),
        (damaged_tokenizer, "the tokenizer cannot be read"),
        (cut_weights, "the weights cannot be read"),
        (other_shape, "the weights cannot be read"),
        (more_layers, "the weights are not complete: '.*' is missing"),
        (larger_tokenizer, "the tokenizer has .* tokens, and the weights only"),
        (pickled, "no weights as safetensors"),
        (with_an_adapter, "an adapter lies beside the weights"),
        (no_config, "this is no checkpoint"),
    ],
)
def test_a_bad_checkpoint_is_one_sentence(
    fault: Callable[[Path], None], message: str, pretrained: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "bad"
    shutil.copytree(pretrained, folder)
    fault(folder)
    with pytest.raises(InputError, match=message) as caught:
        T5Recommender(config_for(folder), CATALOGUE)
    assert str(folder) in str(caught.value) and "\n" not in str(caught.value)


def test_code_of_a_checkpoint_is_never_run(pretrained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "armed"
    shutil.copytree(pretrained, folder)
    (folder / "own.py").write_text(f"open({str(tmp_path / 'was_run')!r}, 'w')\nclass Own: ...\n")
    for name, key in (("config.json", "AutoModelForSeq2SeqLM"), ("tokenizer_config.json", "AutoTokenizer")):
        settings = json.loads((folder / name).read_text())
        own = ["own.Own", "own.Own"] if key == "AutoTokenizer" else "own.Own"
        (folder / name).write_text(json.dumps({**settings, "auto_map": {key: own, "AutoConfig": "own.Own"}}))
    T5Recommender(config_for(folder), CATALOGUE).score(HISTORIES)
    assert not (tmp_path / "was_run").exists()


def test_a_folder_called_as_a_setting_is_not_meant_by_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A `scratch` is in many a home; a training must not be another one for what lies in it."""
    for name in ("scratch", "tokens"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    assert T5RecommenderConfig().places() == {} == T5RecommenderConfig(init="scratch", items="tokens").places()
    assert T5RecommenderConfig(init="./scratch").places() == {"init": Path("scratch")}


def test_a_name_that_leads_nowhere_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without a network: what the machine has is looked at first, and then the hub, which does not answer."""
    asked: list[dict[str, object]] = []

    def unreachable(name: str, **settings: object) -> str:
        asked.append({"name": name, **settings})
        raise OSError("no network")

    monkeypatch.setattr("huggingface_hub.snapshot_download", unreachable)
    with pytest.raises(InputError, match=r"'t5-nowhere' is neither a folder nor on this machine.*did not give it"):
        checkpoints.find("t5-nowhere")
    assert [bool(one.get("local_files_only")) for one in asked] == [True, False]
    assert not any("bin" in str(pattern) for one in asked for pattern in one["allow_patterns"])  # type: ignore[attr-defined]
    asked.clear()
    for place in (str(tmp_path / "nowhere"), "./nowhere"):
        with pytest.raises(InputError, match="there is no such folder"):
            checkpoints.find(place)
    assert not asked


def test_settings_that_do_not_agree_are_sentences() -> None:
    with pytest.raises(ValueError, match="prompt = 'text' needs a checkpoint"):
        T5RecommenderConfig(prompt="text")
    with pytest.raises(ValueError, match="brings its own shape; leave out d_model"):
        T5RecommenderConfig(init="t5-small", d_model=128)
