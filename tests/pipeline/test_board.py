"""Boards: what is wrong is named with file, key and the nearest valid name; what is right resolves."""

import re
from pathlib import Path

import pytest

from tests.conftest import TINY
from vestige import plugins
from vestige.errors import InputError
from vestige.pipeline import board as boards

PLUGINS = plugins.load()


def load(folder: Path, text: str, **more: object) -> boards.Board:
    folder.mkdir(exist_ok=True)
    (folder / "board.toml").write_text(text)
    return boards.load(str(folder), PLUGINS, **more)  # type: ignore[arg-type]


def test_a_tolerance_may_be_without_end(tmp_path: Path) -> None:
    """Which is how a measurement is left out of the gate."""
    text = TINY.replace("[request]", '[tolerance]\n"ndcg@10/retain" = inf\n[request]')
    assert load(tmp_path / "tiny", text).config.tolerance == {"ndcg@10/retain": float("inf")}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            'name = "synthetic"',
            'name = "syntetic"',
            r"\[dataset\]: unknown dataset 'syntetic'; did you mean 'synthetic'",
        ),
        (
            'name = "finetune"',
            'name = "finetun"',
            r"\[\[method\]\] 1: unknown method 'finetun'; did you mean 'finetune'",
        ),
        ("share = 0.4", 'preset = "strong"', r"unknown preset 'strong'"),
        ("share = 0.4", "shar = 0.4", r"unknown key 'shar'; did you mean 'share'"),
        ("share = 0.4", 'share = "much"', r"share: .*valid number.*'much'"),
        ("share = 0.4", "share = 1.5", r"share: .*less than or equal to 1"),
        ("seeds = [0]", "sedes = [0]", r"unknown key 'sedes'; did you mean 'seeds'"),
        ("seeds = [0]", "seeds = [0, 0]", r"every seed must stand once"),
        ("seeds = [0]", "seeds = []", r"seeds: list should have at least 1 item"),
        ("[[method]]", "[method]", r"method: a list of tables is needed, each under \[\[method\]\]"),
        ("count = 8", 'kind = "streem"\ncount = 8', r"request.kind: .*'stream', not 'streem'"),
        ("[request]", '[metrics]\nnames = ["ranking", "ranking"]\n[request]', r"'ranking' stands twice; name it once"),
        ("[request]", "[metrics]\nk = [5, 10, 5]\n[request]", r"5 stands twice; name it once"),
        ("names = []", 'names = ["relearn", "relearn"]', r"attacks.names: 'relearn' stands twice"),
        ("[request]", '[tolerance]\n"hit@10/retain" = nan\n[request]', r"tolerance.hit@10/retain"),
        ("count = 8", "cuont = 8", r"unknown key 'request.cuont'; did you mean 'count'"),
        ("count = 8", "count = 0", r"request.count: .*greater than or equal to 1"),
        ("count = 8", "count = 8\nfraction = 0.1", r"exactly one of count, fraction and file"),
        ("count = 8", "", r"exactly one of count, fraction and file"),
        ("count = 8", 'count = 8\nselect = "latest"', r"select must be one of 'random', 'longest'"),
        ("count = 8", "count = 8\npercent = 5", r"\[request\] percent: it is for interactions that are drawn"),
        (
            "count = 8",
            'kind = "interactions"\nfile = "f.tsv"\npercent = 20',
            r"\[request\] percent: it is for interactions",
        ),
        ("count = 8", 'file = "f.txt"\nselect = "longest"', r"\[request\] select: it is for what is drawn"),
        ("[request]", "[holdout]\nshare = 0.3\n[request]", r"\[holdout\] share: it is for rule = 'temporal'"),
        ("threads = 1", 'device = "gpu"', r"device"),
        ("[request]", '[metrics]\nnames = ["rankin"]\n[request]', r"unknown metric 'rankin'; did you mean 'ranking'"),
        ("[request]", "[metrics]\nk = [0]\n[request]", r"metrics.k.0: .*greater than 0"),
        (
            "[request]",
            '[tolerance]\n"hit@11/retain" = 0.1\n[request]',
            r"unknown metric 'hit@11'; did you mean 'hit@10'",
        ),
        ("[request]", '[tolerance]\n"hit@10/retian" = 0.1\n[request]', r"unknown view 'retian'; did you mean 'retain'"),
        ("d_model = 16", "d_modle = 16", r"\[recommender\]: unknown key 'd_modle'; did you mean 'd_model'"),
        ("d_model = 16", "d_model = 15", r"multiple of heads"),
        ("d_model = 16", "d_model = 16 16", r"this is not TOML"),
        ('title = "Tiny"', 'extends = "tinny"', r"board.toml: extends: unknown board 'tinny'"),
    ],
)
def test_faults_are_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = TINY.replace(old, new, 1)
    assert text != TINY
    with pytest.raises(InputError, match=message) as caught:
        load(tmp_path / "b", text)
    assert str(tmp_path / "b" / "board.toml") in str(caught.value) or "tinny" in new
    assert "\n" not in str(caught.value)


def test_what_a_board_inherits_it_did_not_write(tmp_path: Path) -> None:
    """So another request may be laid over one whose settings mean nothing to it."""
    load(tmp_path / "below", TINY.replace("count = 8", 'kind = "interactions"\ncount = 8\npercent = 20'))
    above = load(tmp_path / "above", 'extends = "../below"\n[request]\nkind = "users"\nselect = "random"\n')
    assert (above.config.request.kind, above.config.request.percent) == ("users", 20)


def test_an_unknown_board_names_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'smoke'"):
        boards.find("smokee")


def test_a_file_that_is_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "board.toml").write_bytes(b'title = "\xff"')
    with pytest.raises(InputError, match="not UTF-8"):
        boards.load(str(tmp_path), PLUGINS)


def test_extends_lays_tables_over_each_other(tmp_path: Path) -> None:
    load(tmp_path / "below", TINY)
    board = load(tmp_path / "above", 'extends = "../below"\ntitle = "Above"\n[recommender]\npasses = 7\n')
    assert board.config.title == "Above"
    assert board.recommender.config.passes == 7  # type: ignore[attr-defined]
    assert board.recommender.config.d_model == 16  # type: ignore[attr-defined]
    assert [m.label for m in board.methods] == ["do_nothing", "retrain", "finetune"]


def test_remarks_are_said_of_one_boards_results(tmp_path: Path) -> None:
    below = load(tmp_path / "below", TINY.replace('title = "Tiny"', 'title = "Tiny"\nremarks = ["It forgets."]'))
    assert below.config.remarks == ("It forgets.",)
    assert load(tmp_path / "above", 'extends = "../below"\n').config.remarks == ()
    assert load(tmp_path / "own", 'extends = "../below"\nremarks = ["Not here."]\n').config.remarks == ("Not here.",)
    with pytest.raises(InputError, match=r"remarks"):
        load(tmp_path / "empty", 'extends = "../below"\nremarks = [""]\n')


def test_another_plugin_does_not_inherit_settings(tmp_path: Path) -> None:
    load(tmp_path / "below", TINY)
    board = load(tmp_path / "above", 'extends = "../below"\n[recommender]\nname = "popularity"\n')
    assert board.recommender.spec.name == "popularity"


def test_another_preset_does_not_inherit_settings(tmp_path: Path) -> None:
    nano = '[recommender]\nname = "t5"\npreset = "nano"\nlearning_rate = 0.02\n'
    load(tmp_path / "below", re.sub(r"\[recommender\][^\[]*", nano + "\n", TINY, count=1))
    small = load(tmp_path / "small", 'extends = "../below"\n[recommender]\npreset = "mini"\n').recommender
    assert small.spec.name == "t5"
    assert small.config.d_model == 128 and small.config.learning_rate == 2e-3  # type: ignore[attr-defined]
    same = load(tmp_path / "same", 'extends = "../below"\n[recommender]\npreset = "nano"\npasses = 2\n').recommender
    assert (same.config.learning_rate, same.config.passes) == (0.02, 2)  # type: ignore[attr-defined]


def test_only_a_request_has_one_size(tmp_path: Path) -> None:
    """A setting of another table that is called as a size of a request is no such size."""
    size = {"count": 3, "missing": 1}
    for table, kept in (("request", {"fraction": 0.5}), ("dataset", {**size, "fraction": 0.5})):
        below = {table: size}
        assert boards._laid_over(below, {table: {"fraction": 0.5}})[table] == kept


def test_a_board_that_extends_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    (tmp_path / "one" / "board.toml").write_text('extends = "../two"')
    (tmp_path / "two" / "board.toml").write_text('extends = "../one"')
    with pytest.raises(InputError, match="leads back"):
        boards.load(str(tmp_path / "one"), PLUGINS)


def test_an_added_method_joins_the_board(tmp_path: Path) -> None:
    board = load(tmp_path / "b", TINY, extra_methods=("dual_memory:published",), seeds=(4, 5))
    assert board.methods[-1].label == "dual_memory (published)"
    assert board.config.seeds == (4, 5)
    with pytest.raises(InputError, match="the label 'finetune' is taken"):
        load(tmp_path / "b", TINY, extra_methods=("finetune",))


MORE = """
[[method]]
name = "dual_memory"
preset = "published"

[[method]]
name = "dual_memory"
preset = "distilled"

[[method]]
name = "finetune"
label = "a little"
share = 0.1
"""


@pytest.mark.parametrize(
    ("only", "kept"),
    [
        (("dual_memory",), ["dual_memory (published)", "dual_memory (distilled)"]),
        (("dual_memory:distilled",), ["dual_memory (distilled)"]),
        (("dual_memory (published)",), ["dual_memory (published)"]),
        (("a little",), ["a little"]),
        (("finetune",), ["finetune", "a little"]),
        (("a little", "dual_memory:distilled"), ["dual_memory (distilled)", "a little"]),
        (("retrain",), []),
    ],
)
def test_of_a_boards_rows_those_that_are_named_are_run(only: tuple[str, ...], kept: list[str], tmp_path: Path) -> None:
    text = (
        'remarks = ["of all rows"]\n' + TINY.replace("controls = false", "") + MORE + '\n[[method]]\nname = "retrain"\n'
    )
    whole, some = load(tmp_path / "b", text), load(tmp_path / "b", text, only=only)
    other = {"finetune", "dual_memory (published)", "dual_memory (distilled)", "a little"} - {*kept}
    assert [m for m in some.methods if m.label in kept] == [m for m in whole.methods if m.label in kept]
    assert [m.label for m in some.methods] == [m.label for m in whole.methods if m.label not in other]
    assert {"do_nothing", "retrain", "untrained"} <= {m.label for m in some.methods}
    assert whole.config.remarks and not some.config.remarks


def test_a_row_that_is_not_there_is_named_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--only: unknown row 'finetun'; did you mean 'finetune'"):
        load(tmp_path / "b", TINY, only=("finetun",))
    board = load(tmp_path / "b", TINY + MORE, extra_methods=("npo",), only=("a little",))
    assert [m.label for m in board.methods] == ["do_nothing", "retrain", "a little", "npo"]
    alone = load(tmp_path / "b", TINY + MORE, extra_methods=("npo",), only=("npo",))
    assert [m.label for m in alone.methods] == ["do_nothing", "retrain", "npo"]
    named = load(tmp_path / "b", TINY + MORE + '\n[[method]]\nname = "untrained"\n', only=("a little",))
    assert [m.label for m in named.methods] == ["do_nothing", "retrain", "a little", "untrained"]


def test_rows_whose_files_would_be_one_are_refused(tmp_path: Path) -> None:
    text = TINY + '\n[[method]]\nname = "dual_memory"\nlabel = "dual memory (published)"\n'
    with pytest.raises(InputError, match="is taken"):
        load(tmp_path / "b", text, extra_methods=("dual_memory:published",))
    with pytest.raises(InputError, match="reference row"):
        load(tmp_path / "b", TINY.replace("share = 0.4", 'label = "Control"'))


def test_paths_are_relative_to_the_board_that_names_them(tmp_path: Path) -> None:
    below = TINY.replace("count = 8", 'file = "users.txt"')
    load(tmp_path / "below", below)
    board = load(tmp_path / "above", 'extends = "../below"\n')
    assert Path(board.config.request.file).resolve() == tmp_path / "below" / "users.txt"
    other = load(tmp_path / "above", 'extends = "../below"\n[request]\nfraction = 0.1\n')
    assert (other.config.request.file, other.config.request.fraction) == (None, 0.1)


def test_a_folder_beside_the_board_called_as_a_setting_is_not_meant_by_it(tmp_path: Path) -> None:
    for name in ("scratch", "random", "own"):
        (tmp_path / name).mkdir()
    words = TINY.replace('name = "t5"', 'name = "t5"\ninit = "scratch"\nitems = "random"')
    config = load(tmp_path, words).recommender.config
    assert (config.init, config.items) == ("scratch", "random")
    own = TINY.replace('name = "t5"', 'name = "t5"\ninit = "own"')
    own = re.sub(r"(d_model|d_ff|layers|heads) = .*\n", "", own)
    assert Path(load(tmp_path, own).recommender.config.init) == tmp_path / "own"


def test_a_checkpoint_that_is_missing_beside_the_board_is_not_taken_from_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name with one slash may be one of the hub; a path may not, wherever the command is started."""
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "a" / "t5" / "base").mkdir(parents=True)
    monkeypatch.chdir(elsewhere)
    text = re.sub(r"(d_model|d_ff|layers|heads) = .*\n", "", TINY)

    def init(place: str) -> str:
        own = text.replace('name = "t5"', f'name = "t5"\ninit = "{place}"')
        return str(load(tmp_path / "board", own).recommender.config.init)

    assert Path(init("./a")) == tmp_path / "board" / "a"
    assert Path(init("a/t5/base")) == tmp_path / "board" / "a" / "t5" / "base"
    assert init("google/t5-base") == "google/t5-base"


def test_explicit_values_win_over_a_preset(tmp_path: Path) -> None:
    text = TINY + '\n[[method]]\nname = "dual_memory"\npreset = "published"\nbeta_weight = 7\nlabel = "mine"\n'
    mine = load(tmp_path / "b", text).methods[-1]
    assert (mine.label, mine.config.beta_weight, mine.config.kl_reg_weight) == ("mine", 7, 6)  # type: ignore[attr-defined]


def test_the_boards_that_ship_are_valid() -> None:
    known = {"smoke", "quickstart", "ml-100k", "ml-100k-sasrec", "amazon-beauty", "ml-1m-users", "ml-1m-published"}
    assert set(boards.shipped()) == known
    for name in boards.shipped():
        boards.load(name, PLUGINS)
