"""The published project's files: read strictly, written as they are read, and what they name is forgotten."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import SHARED
from tests.planted import world
from vestige.data.given import kind_of
from vestige.data.interactions import from_columns
from vestige.data.interchange import Sample, read_named, read_samples, to_json
from vestige.data.request import HoldoutConfig, Part, RequestConfig, draw, hold_out
from vestige.data.samples import RETAIN, SamplesConfig, draw_samples
from vestige.errors import InputError
from vestige.pipeline.samples import write_samples

DATA = world()
RNG = np.random.default_rng(0)
RATED = from_columns(DATA.user, DATA.item, RNG.integers(1, 6, len(DATA)), RNG.integers(0, 99, len(DATA)), "rated")
LAST = HoldoutConfig()
IDS = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=6)
ITEMS = st.lists(IDS, min_size=1, max_size=5)


def forget_file(folder: Path, entries: object) -> str:
    file = folder / "forget.json"
    file.write_text(entries if isinstance(entries, str) else json.dumps(entries))
    return str(file)


def entry(user: int, *positions: int) -> dict[str, object]:
    """A user, who must forget what stands at these positions of their history."""
    mine = DATA.item_ids[DATA.item[DATA.offsets[user] : DATA.offsets[user + 1]]].tolist()
    chosen = [mine[at] for at in positions]
    return {
        "user_id": str(DATA.user_ids[user]),
        "seq_items": [item for item in mine if item not in chosen],
        "suppression_targets": chosen,
    }


def request(file: str, missing: str = "error") -> RequestConfig:
    return RequestConfig(kind="interactions", file=file, missing=missing)  # type: ignore[arg-type]


@given(st.lists(st.tuples(IDS, ITEMS, ITEMS), min_size=1, max_size=5, unique_by=lambda row: row[0]))
@settings(max_examples=40)
def test_what_is_written_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, list[str], list[str]]]
) -> None:
    file = tmp_path_factory.mktemp("samples") / "a.json"
    samples = tuple(Sample(user, tuple(kept), tuple(gone)) for user, kept, gone in rows)
    file.write_bytes(to_json(samples, "forget"))
    assert read_samples(file, "forget") == samples
    file.write_bytes(to_json(samples, "retain"))
    assert read_samples(file, "retain") == tuple(replace(sample, suppression_targets=()) for sample in samples)


def test_numbers_are_ids_too(tmp_path: Path) -> None:
    file = forget_file(tmp_path, [{"user_id": 7, "seq_items": [1, "2"], "suppression_targets": [3]}])
    assert read_samples(Path(file), "forget") == (Sample("7", ("1", "2"), ("3",)),)


def test_what_a_file_names_is_forgotten_and_as_much_before_it_is_never_trained(tmp_path: Path) -> None:
    file = forget_file(tmp_path, [entry(4, 7, 8), entry(9, 5)])
    split = draw(DATA, request(file), LAST, 0)
    four, nine = DATA.offsets[4], DATA.offsets[9]
    assert split.events(Part.FORGET).tolist() == [four + 7, four + 8, nine + 5]
    assert split.events(Part.UNSEEN).tolist() == [four + 5, four + 6, nine + 4]
    assert not split.exchangeable
    assert split.forget_users.tolist() == [4, 9]
    lines = tmp_path / "forget.tsv"
    named = [
        f"{sample.user_id}\t{item}"
        for sample in read_samples(Path(file), "forget")
        for item in sample.suppression_targets
    ]
    lines.write_text("\n".join(named))
    assert draw(DATA, request(str(lines)), LAST, 0).part.tolist() == split.part.tolist()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[{]", r"line 1, column 3: this is not JSON"),
        ("[" * 100_000, r"forget.json: it cannot be read \(maximum recursion depth"),
        ("[" + "9" * 5000 + "]", r"forget.json: it cannot be read \(Exceeds the limit"),
        ("", r"the file is empty"),
        ("{}", r"a list of samples is needed \(user_id, seq_items, …\), not 'dict'"),
        ("[]", r"not an empty list"),
        ("[3]", r"entry 1: an object is needed"),
        ([{"seq_items": [], "suppression_targets": ["1"]}], r"entry 1: the key 'user_id' is missing"),
        ([{"user_id": "3", "seq_items": []}], r"entry 1 \(user '3'\): the key 'suppression_targets' is missing"),
        ([{"user_id": "3", "suppression_targets": ["1"]}], r"\(user '3'\): the key 'seq_items' is missing"),
        ([{**entry(3, 5), "suppression_targets": []}], r"\(user '3'\): suppression_targets: .*at least 1 item"),
        ([{**entry(3, 5), "suppression_targets": "12"}], r"\(user '3'\): suppression_targets: .*not '12'"),
        ([{**entry(3, 5), "seq_items": [None]}], r"\(user '3'\): seq_items.0: "),
        ([entry(3, 5), entry(3, 6)], r"entry 2 \(user '3'\): this user already stands in entry 1"),
        ([entry(2, 5), {**entry(3, 5), "user_id": "nobody"}], r"entry 2 \(user 'nobody'\): user 'nobody' is not in"),
        ([{**entry(3, 5), "suppression_targets": ["none"]}], r"\(user '3'\): item 'none' is not in the dataset"),
        ([{**entry(3, -1)}], r"\(user '3'\): .* is held out for validation or test"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_sentence(tmp_path: Path, content: object, message: str) -> None:
    file = forget_file(tmp_path, content)
    with pytest.raises(InputError, match=message) as caught:
        draw(DATA, request(file), LAST, 0)
    assert str(caught.value).startswith(file)
    assert "\n" not in str(caught.value)


def test_whole_users_can_be_named_by_either_file(tmp_path: Path) -> None:
    file = forget_file(tmp_path, [entry(4, 7), entry(9, 5)])
    split = draw(DATA, RequestConfig(file=file), LAST, 0)
    assert split.forget_users.tolist() == [4, 9]
    forget_file(tmp_path, [{"user_id": DATA.user_ids[4].item(), "seq_items": []}])
    assert draw(DATA, RequestConfig(file=file), LAST, 0).forget_users.tolist() == [4]
    forget_file(tmp_path, [{"user_id": "nobody", "seq_items": []}])
    with pytest.raises(InputError, match="entry 1: user 'nobody' is not in the dataset"):
        draw(DATA, RequestConfig(file=file), LAST, 0)


def test_an_item_that_the_user_never_had(tmp_path: Path) -> None:
    mine = set(DATA.item[DATA.offsets[3] : DATA.offsets[4]].tolist())
    other = next(item for item in range(DATA.n_items) if item not in mine)
    file = forget_file(tmp_path, [{**entry(3, 5), "suppression_targets": [str(DATA.item_ids[other])]}])
    with pytest.raises(InputError, match=rf"entry 1 \(user '3'\): user '3' never had item '{DATA.item_ids[other]}'"):
        draw(DATA, request(file), LAST, 0)


def test_dropping_keeps_what_exists_and_counts_the_rest(tmp_path: Path) -> None:
    odd = {"user_id": "nobody", "seq_items": [], "suppression_targets": ["1", "2"]}
    mixed = {**entry(4, 7, -1), "suppression_targets": [*entry(4, 7, -1)["suppression_targets"], "none"]}  # type: ignore[misc]
    file = forget_file(tmp_path, [odd, mixed, entry(9, 5)])
    split = draw(DATA, request(file, "drop"), LAST, 0)
    assert split.events(Part.FORGET).tolist() == [DATA.offsets[4] + 7, DATA.offsets[9] + 5]
    assert split.notes == {
        "affected users": 2,
        "forgotten interactions": 2,
        "never-trained interactions": 2,
        "users named by the file": 3,
        "interactions named by the file": 6,
        "of them not in the dataset": 3,
        "of them held out of training": 1,
    }
    with pytest.raises(InputError, match="none of the 2 interactions that it names"):
        draw(DATA, request(forget_file(tmp_path, [odd]), "drop"), LAST, 0)
    with pytest.raises(ValueError, match="with a file"):
        RequestConfig(count=3, missing="drop")


@pytest.mark.parametrize("holdout", [LAST, HoldoutConfig(rule="temporal")])
def test_samples_are_the_latest_twentieth_and_can_be_requested(tmp_path: Path, holdout: HoldoutConfig) -> None:
    part = hold_out(RATED, holdout)
    config = SamplesConfig(forget=6, retain=5, min_events=4, percent=20)
    samples = draw_samples(RATED, part, config, 3)
    assert samples == draw_samples(RATED, part, config, 3) != draw_samples(RATED, part, config, 4)
    forget, retain = write_samples(samples, tmp_path)
    assert (read_samples(forget, "forget"), read_samples(retain, "retain")) == (samples.forget, samples.retain)
    users = [sample.user_id for sample in (*samples.forget, *samples.retain)]
    assert (len(samples.forget), len(samples.retain), len(set(users))) == (6, 5, 11)
    for sample in (*samples.forget, *samples.retain):
        user = RATED.user_ids.tolist().index(sample.user_id)
        mine = np.arange(RATED.offsets[user], RATED.offsets[user + 1])
        trained = mine[part[mine] == Part.RETAINED]
        assert [*sample.seq_items, *sample.suppression_targets] == RATED.item_ids[RATED.item[trained]].tolist()
        assert len(trained) >= 4
        late = mine[np.isin(part[mine], (Part.TEST, Part.UNUSED))]
        assert RATED.rating[late].max() >= 4
    assert all(
        len(s.suppression_targets) == max(1, (len(s.seq_items) + len(s.suppression_targets)) // 5)
        for s in samples.forget
    )
    split = draw(RATED, request(str(forget)), holdout, 0)
    assert len(split.events(Part.FORGET)) == sum(len(s.suppression_targets) for s in samples.forget)
    with pytest.raises(InputError, match=r"500 forget and 565 retain users were asked for, but only \d+ users"):
        draw_samples(RATED, part, SamplesConfig(retain=565), 0)


def test_unless_said_otherwise_as_many_retain_as_the_pool_has_left() -> None:
    part = hold_out(RATED, HoldoutConfig(rule="temporal"))
    pool = draw_samples(RATED, part, SamplesConfig(forget=3, min_events=4), 0)
    assert 0 < len(pool.retain) < RETAIN
    exact = SamplesConfig(forget=3, retain=len(pool.retain), min_events=4)
    assert draw_samples(RATED, part, exact, 0) == pool
    with pytest.raises(InputError, match=r"users were asked for"):
        draw_samples(RATED, part, SamplesConfig(forget=3, retain=len(pool.retain) + 1, min_events=4), 0)


def test_a_file_without_users_is_not_written(tmp_path: Path) -> None:
    """It could not be read."""
    part = hold_out(RATED, HoldoutConfig(rule="temporal"))
    everybody = 3 + len(draw_samples(RATED, part, SamplesConfig(forget=3, min_events=4), 0).retain)
    with pytest.raises(
        InputError, match=rf"{everybody} forget and 1 retain users were asked for, but only {everybody}"
    ):
        draw_samples(RATED, part, SamplesConfig(forget=everybody, min_events=4), 0)
    all_but_one = draw_samples(RATED, part, SamplesConfig(forget=everybody - 1, min_events=4), 0)
    _, retain = write_samples(all_but_one, tmp_path)
    assert read_samples(retain, "retain") == all_but_one.retain
    with pytest.raises(pydantic.ValidationError, match="greater than or equal to 1"):
        SamplesConfig(retain=0)


def test_a_path_through_a_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("1\n")
    for path in (tmp_path / "file" / "below", tmp_path / ("x" * 300)):
        with pytest.raises(InputError, match=r"the file cannot be read \((Not a directory|File name too long)\)"):
            kind_of(path)


@pytest.mark.skipif(not (SHARED / "ml-1m").exists(), reason="real data is not at hand (set VESTIGE_TEST_DATA)")
def test_the_published_files() -> None:
    from vestige_datasets import readers

    data = readers.read(SHARED / "ml-1m" / "ml-1m.inter")
    file = SHARED / "ml-1m" / "forget_samples_subset.json"
    with pytest.raises(InputError, match="missing = 'drop'"):
        draw(data, request(str(file)), LAST, 0)
    found = draw(data, request(str(file), "drop"), LAST, 0).notes
    assert (found["users named by the file"], found["interactions named by the file"]) == (500, 5_977)
    assert 5_977 - int(found["of them not in the dataset"]) == 3_093
    assert len(read_samples(SHARED / "ml-1m" / "retain_samples_subset.json", "retain")) == 565


@pytest.mark.parametrize(("text", "what"), [("1\t\n", "item"), ("1\t2\n\t3\n", "user"), ("1\n2\t3\n", "two fields")])
def test_a_line_that_lacks_an_id_is_no_whole_user(tmp_path: Path, text: str, what: str) -> None:
    """One missing item id would turn the request for one interaction into one for all of a user's."""
    file = tmp_path / "forget.txt"
    file.write_text(text)
    assert kind_of(file) == "interactions"
    with pytest.raises(InputError, match=rf"line \d: (the )?{what}"):
        read_named(file)
