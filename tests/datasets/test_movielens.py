"""ml-1m: from every kind of folder the same interactions, and nothing that is not the real table is fetched."""

from http.client import IncompleteRead
from pathlib import Path

import pytest

from tests.conftest import SHARED, vestige
from vestige.errors import InputError
from vestige.progress import silent
from vestige_datasets import fetching, movielens
from vestige_datasets.configs import MovieLens1MConfig
from vestige_datasets.movielens import MovieLens1M, not_1m

HEADER = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
# Times tie, and their order is that of the rows.
TABLE = [(user, 10 * user + at, 1 + at % 5, 100 + at // 3) for user in (1, 2, 12) for at in range(8)]


def folder_of(place: Path, name: str, separator: str = "\t", header: str = "", index: str | None = None) -> Path:
    place.mkdir(parents=True, exist_ok=True)
    (place / name).write_text(header + "\n".join(separator.join(map(str, row)) for row in TABLE) + "\n")
    if index is not None:
        (place / "user_indexing.txt").write_text(index)
    return place


def dataset(folder: Path | None, cache: Path = Path("nowhere"), **settings: object) -> MovieLens1M:
    return MovieLens1M(
        MovieLens1MConfig(folder=None if folder is None else str(folder), **settings),  # type: ignore[arg-type]
        cache,
    )


def test_every_kind_of_folder_gives_the_same(tmp_path: Path) -> None:
    bare = dataset(folder_of(tmp_path / "bare", "ml-1m.inter", index="1 1\n2 2\n12 3\n"))
    typed = dataset(folder_of(tmp_path / "typed", "ml-1m.inter", header=HEADER))
    original = dataset(folder_of(tmp_path / "original", "ratings.dat", "::"))
    hashes = {found.load().content_hash for found in (bare, typed, original)}
    assert len(hashes) == 1
    data = bare.load()
    assert data.item_ids[data.item[:8]].tolist() == [str(10 + at) for at in range(8)]  # ties keep the rows' order
    assert data.notes["sorted by"] == "user, timestamp, row order (stable)"
    assert "not the whole of MovieLens-1M (24 of 1,000,209 rows)" in data.notes["verified"]
    assert len(dataset(tmp_path / "bare", min_rating=3).load()) == 12


def test_a_fingerprint_is_of_the_content_and_not_of_the_place(tmp_path: Path) -> None:
    here, there = (dataset(folder_of(tmp_path / name, "ml-1m.inter")) for name in ("here", "there"))
    assert here.fingerprint() == there.fingerprint()
    (tmp_path / "there" / "user_indexing.txt").write_text("1 1\n2 2\n12 3\n")
    assert here.fingerprint() != there.fingerprint()


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ("1 1\n2 2\n", r"user_indexing\.txt: user '12' of ml-1m\.inter is not in it \(1 users are missing\)"),
        ("1 1\n2 2\n12 3\n13 4\n", r"line 4: user '13' has no interaction in ml-1m\.inter"),
        ("1 1\n2\n12 3\n", r"line 2: two fields are needed \(original new\), not 1"),
        ("1 1\n2 2\n2 4\n12 3\n", r"line 3: the id '2' already stands in line 2"),
        ("1 1\n2 1\n12 3\n", r"line 2: the id '1' already stands in line 1"),
        ("\n", r"the file is empty"),
    ],
)
def test_a_user_index_that_does_not_fit_is_one_sentence(tmp_path: Path, index: str, message: str) -> None:
    found = dataset(folder_of(tmp_path, "ml-1m.inter", index=index))
    with pytest.raises(InputError, match=message) as caught:
        found.load()
    assert "\n" not in str(caught.value)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    for missing in (dataset(None, tmp_path), dataset(tmp_path / "no"), dataset(tmp_path)):
        assert not missing.is_local()
    with pytest.raises(InputError, match="run: vestige data fetch ml-1m"):
        dataset(None, tmp_path).load()
    with pytest.raises(InputError, match="there is no such folder"):
        dataset(tmp_path / "no").fetch(silent)
    with pytest.raises(InputError, match=r"holds neither ml-1m\.inter nor ratings\.dat"):
        dataset(tmp_path).fetch(silent)


def test_only_a_table_with_the_right_counts_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no ratings.dat" in not_1m(b"1::2::3\n")
    assert "the table has 2 rows, 1 users and 2 items, not 1,000,209" in not_1m(b"1::2::3::4\n1::3::3::4\n")
    table = "\n".join("::".join(map(str, row)) for row in TABLE).encode()
    monkeypatch.setattr(fetching, "from_archive", lambda address, inside: table)
    found = dataset(None, tmp_path)
    with pytest.raises(InputError, match=r"ml-1m could not be fetched \(grouplens: the table has 24 rows"):
        found.fetch(silent)
    assert not list(tmp_path.iterdir())
    for name, value in (("ROWS", 24), ("USERS", 3), ("ITEMS", 24)):
        monkeypatch.setattr(movielens, name, value)
    found.fetch(silent)
    assert found.is_local()
    assert found.load().n_users == 3
    assert "as in the original; no checksum is known" in found.load().notes["verified"]
    (tmp_path / "ratings.dat").write_bytes(table + b"\n1::2::3::999")  # damaged after it was verified
    assert not found.is_local()


def test_the_command_line_describes_it(tmp_path: Path) -> None:
    folder_of(tmp_path / "ml", "ml-1m.inter")
    done = vestige("data", "info", "ml-1m", "--path", tmp_path / "ml", cache=tmp_path / "cache", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for told in ("no redistribution", "user, timestamp, row order (stable)", "24", "not the whole"):
        assert told in " ".join(done.stdout.split())


@pytest.mark.skipif(not (SHARED / "ml-1m").exists(), reason="real data is not at hand (set VESTIGE_TEST_DATA)")
def test_the_published_folder() -> None:
    found = dataset(SHARED / "ml-1m")
    data = found.load()
    assert (data.notes["rows read"], data.n_users, data.n_items) == (575_281, 6_035, 3_533)
    assert "its users are those of user_indexing.txt" in data.notes["verified"]


def test_where_a_connection_is_cut_the_next_source_is_asked(tmp_path: Path) -> None:
    def cut() -> bytes:
        raise IncompleteRead(b"half")

    sources = {"first": cut, "second": lambda: b"whole"}
    fetching.fetch_first("made", sources, lambda _: "", tmp_path / "table", silent, "")
    assert (tmp_path / "table").read_bytes() == b"whole"
