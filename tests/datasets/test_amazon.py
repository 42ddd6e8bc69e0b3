"""amazon-beauty: the order in a line is the order in time, every fault is one sentence, nothing is fetched."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import SHARED, TINY, vestige
from vestige.data.request import HoldoutConfig, Part, hold_out
from vestige.errors import InputError
from vestige.progress import silent
from vestige_datasets import readers
from vestige_datasets.amazon import AmazonBeauty
from vestige_datasets.configs import AmazonBeautyConfig

LINES = "1 9 3 7 3\n2 1 4 9\n\n12 7 10 2 1 4\n"


def dataset(path: Path | None, **settings: object) -> AmazonBeauty:
    return AmazonBeauty(
        AmazonBeautyConfig(path=None if path is None else str(path), **settings),  # type: ignore[arg-type]
        Path("nowhere"),
    )


def folder_of(place: Path, text: str = LINES, name: str = "Beauty.txt") -> Path:
    place.mkdir(parents=True, exist_ok=True)
    (place / name).write_text(text)
    return place


def made(users: int = 60, items: int = 40) -> str:
    rng = np.random.default_rng(0)
    return "".join(f"{u} {' '.join(map(str, rng.permutation(items)[:12] + 1))}\n" for u in range(1, users + 1))


def test_a_folder_and_its_file_are_the_same(tmp_path: Path) -> None:
    folder = dataset(folder_of(tmp_path / "s3rec"))
    file = dataset(tmp_path / "s3rec" / "Beauty.txt")
    elsewhere = dataset(folder_of(tmp_path / "there"))
    hashes = {found.load().content_hash for found in (folder, file, elsewhere)}
    assert hashes == {readers.read(tmp_path / "s3rec" / "Beauty.txt", "s3rec").content_hash}
    assert folder.fingerprint() == file.fingerprint() == elsewhere.fingerprint()
    assert folder.is_local() and file.is_local()
    assert str(tmp_path) not in str(folder.load().notes)
    folder_of(tmp_path / "there", LINES + "13 1 2 3\n")
    assert elsewhere.fingerprint() != folder.fingerprint()


@given(st.lists(st.lists(st.integers(1, 30), min_size=3, max_size=9), min_size=1, max_size=9))
@settings(max_examples=40)
def test_the_last_of_a_line_is_the_test_and_the_one_before_the_validation(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[int]]
) -> None:
    text = "".join(f"{user} {' '.join(map(str, row))}\n" for user, row in enumerate(rows, start=1))
    data = dataset(folder_of(tmp_path_factory.mktemp("beauty"), text)).load()
    item = data.item_ids[data.item].astype(int)
    assert [item[a:b].tolist() for a, b in zip(data.offsets[:-1], data.offsets[1:], strict=True)] == rows
    part = hold_out(data, HoldoutConfig())
    assert item[part == Part.TEST].tolist() == [row[-1] for row in rows]
    assert item[part == Part.VALIDATION].tolist() == [row[-2] for row in rows]


def test_what_it_has_not_is_told(tmp_path: Path) -> None:
    found = dataset(folder_of(tmp_path))
    notes = found.load().notes
    assert notes["timestamps"] == "none in the source; the order in time is the position in the line"
    assert notes["ratings"] == "none in the source"
    assert "not the whole of S3-Rec's Beauty (12 of 198,502 interactions)" in notes["verified"]
    assert len(dataset(tmp_path, core=2).load()) < 12


def test_what_needs_times_or_ratings_is_refused(tmp_path: Path) -> None:
    folder_of(tmp_path, made())
    with pytest.raises(InputError, match="min_rating = 4 was asked for, but the file has no ratings") as no_ratings:
        dataset(tmp_path, min_rating=4).load()
    sources = (dataset(tmp_path).load(), readers.read(tmp_path / "Beauty.txt"))
    for data in sources:
        with pytest.raises(InputError, match=r"'temporal' needs timestamps, and Beauty\.txt has none") as no_times:
            hold_out(data, HoldoutConfig(rule="temporal"))
        assert "\n" not in str(no_ratings.value) + str(no_times.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2 3 4\n5\n", r"Beauty\.txt, line 2: a user and at least one item are needed"),
        ("1 2 3 4\n\n5 6 B00X 7\n", r"Beauty\.txt, line 3: 'B00X' is not a number"),
        ("1 2 3 4\nA1 5 6 7\n", r"Beauty\.txt, line 2: 'A1' is not a number"),
        ("1 2 -3 4\n", r"Beauty\.txt, line 1: '-3' is not a number"),
        ("1 2 3 4\n1 5 6 7\n", r"Beauty\.txt, line 2: user '1' already has line 1"),
        ("1 2 3\n2 4 5\n", r"Beauty\.txt: no user has the 3 interactions"),
        (" \n", r"Beauty\.txt: the file is empty"),
    ],
)
def test_a_bad_file_is_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        dataset(folder_of(tmp_path, text)).load()
    assert "\n" not in str(caught.value)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    cases = {
        None: r"amazon-beauty is not fetched: take data/Beauty\.txt from https://.*S3Rec",
        tmp_path / "no": "no: there is no such file",
        tmp_path: r"the folder holds no Beauty\.txt",
    }
    for path, message in cases.items():
        missing = dataset(path)
        assert not missing.is_local()
        for asked in (missing.fingerprint, missing.load, lambda found=missing: found.fetch(silent)):
            with pytest.raises(InputError, match=message) as caught:
                asked()
            assert "\n" not in str(caught.value)


def test_the_command_line_describes_it_or_says_where_it_comes_from(tmp_path: Path) -> None:
    folder_of(tmp_path / "s3rec", made())
    done = vestige("data", "info", "amazon-beauty", "--path", tmp_path / "s3rec", cache=tmp_path / "c", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = " ".join(done.stdout.split())
    for word in ("McAuley", "S3Rec", "users 60", "interactions 720", "position in the line", "not the whole"):
        assert word in told
    for words in (("info", "amazon-beauty"), ("fetch", "amazon-beauty")):
        done = vestige("data", *words, cache=tmp_path / "c", cwd=tmp_path)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1 and "take data/Beauty.txt from https://" in done.stderr


def test_a_board_runs_on_it_and_refuses_a_temporal_holdout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VESTIGE_DATA", str(folder_of(tmp_path / "s3rec", made()).parent))
    start, _, rest = TINY.partition('name = "synthetic"')
    named = 'name = "amazon-beauty"\npath = "${VESTIGE_DATA}/s3rec"\n\n'
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "board.toml").write_text(start + named + rest[rest.index("[request]") :])
    done = vestige("run", "mine", "--out", "out", cache=tmp_path / "cache", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    record = (tmp_path / "out" / "records" / "finetune-s0.json").read_text()
    assert "position in the line" in record and str(tmp_path) not in record
    for table, message in (
        ('[holdout]\nrule = "temporal"\n', "rule = 'temporal' needs timestamps"),
        ("[dataset]\nmin_rating = 4\n", "the file has no ratings"),
    ):
        (tmp_path / "late").mkdir(exist_ok=True)
        (tmp_path / "late" / "board.toml").write_text('extends = "../mine"\n' + table)
        late = vestige("plan", "late", cache=tmp_path / "cache", cwd=tmp_path)
        assert late.returncode == 2
        assert late.stderr.count("\n") == 1 and message in late.stderr


@pytest.mark.skipif(not (SHARED / "s3rec").exists(), reason="real data is not at hand (set VESTIGE_TEST_DATA)")
def test_the_real_file() -> None:
    data = dataset(SHARED / "s3rec").load()
    assert (len(data), data.n_users, data.n_items) == (198_502, 22_363, 12_101)
    assert "as in S3-Rec's paper" in data.notes["verified"]
    assert np.bincount(data.user).min() == np.bincount(data.item).min() == 5
    first = (SHARED / "s3rec" / "Beauty.txt").read_text().partition("\n")[0].split()
    assert data.item_ids[data.item[: data.offsets[1]]].tolist() == first[1:]
