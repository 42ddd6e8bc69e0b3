"""What the page and the picture are made of: marks, plots, escapes and refusals; no browser needed."""

import http.client
import json
import re
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import ROOT, vestige
from tests.results.made import results, scored
from vestige import plugins
from vestige.errors import InputError, MissingExtra
from vestige.results.page import charts, data, extra
from vestige.results.page.build import PAGE, _named, _safe, page
from vestige.results.page.explain import explain
from vestige.results.page.index import index
from vestige.results.page.picture import write_picture
from vestige.results.page.serve import server
from vestige.results.pooling import Results
from vestige.results.render import read_results, render
from vestige.results.tables import markdown
from vestige.results.verdicts import against_best

HIT, NDCG = "hit@10/retain", "ndcg@10/retain"
FORGET = "hit@10/forget"
ACCEPTED = ROOT / "leaderboards" / "ml-100k" / "accepted"


def board(**more):  # type: ignore[no-untyped-def]
    """Base, gold, and two methods: one far better than the other on `retain`."""
    rows = {
        "do_nothing": {HIT: (0.30, 0.002), NDCG: (0.20, 0.002), FORGET: (0.5, 0.01)},
        "retrain": {HIT: (0.30, 0.002), NDCG: (0.20, 0.002), FORGET: (0.3, 0.01)},
        "good": {HIT: (0.299, 0.002), NDCG: (0.2, 0.002), FORGET: (0.31, 0.01), "hit@10:vs_gold/forget": (0.01, 0.01)},
        "poor": {HIT: (0.20, 0.002), NDCG: (0.1, 0.002), FORGET: (0.2, 0.01), "hit@10:vs_gold/forget": (-0.1, 0.01)},
        "control": {HIT: (0.30, 0.002), NDCG: (0.2, 0.002), FORGET: (0.3, 0.01), "hit@10:vs_gold/forget": (0.0, 0.01)},
    }
    return results({**rows, **more})


def test_marks_are_the_verdicts_of_the_tables() -> None:
    made = board()
    shown = data.columns(made)
    at = [column.name for column in shown].index(HIT)
    cells = {row.label: row.cells[at] for row in data.rows(made, shown)}
    assert cells["good"].is_best and not cells["poor"].is_best and not cells["do_nothing"].is_best
    assert cells["good"].gold == "" and cells["good"].best == ""
    assert cells["poor"].gold.startswith("differs from gold: -0.1000 (p < 0.001, Holm)")
    assert "best method, good: -0.0990 (p < 0.001" in cells["poor"].best
    assert cells["control"] == data.Cell(cells["control"].text, 0.3)


def test_the_best_method_stands_before_those_that_are_worse() -> None:
    best, compared = against_best(board(), HIT)
    assert best == "good" and [c.label for c in compared] == ["poor"]
    assert compared[0].difference.value == pytest.approx(-0.099)
    alone = results({"do_nothing": {HIT: (0.3, 0.1)}, "retrain": {HIT: (0.3, 0.1)}, "one": {HIT: (0.2, 0.1)}})
    assert against_best(alone, HIT) == (None, [])


@pytest.mark.parametrize(("base", "seen"), [(0.7, True), (0.55, False)])
def test_an_attack_without_power_is_no_way_of_seeing_forgetting(base: float, seen: bool) -> None:
    auc = "auc_calibrated/forget"
    rows = {label: {HIT: (0.3, 0.01), auc: (0.5, 0.01)} for label in ("retrain", "one")}
    made = results({"do_nothing": {HIT: (0.3, 0.01), auc: (base, 0.01)}, **rows})
    assert (auc in [way.name for way in charts.ways(made)]) is seen


def test_rows_that_compete_with_nobody_come_last() -> None:
    made = board()
    kinds = [row.control for row in data.rows(made, data.columns(made))]
    assert kinds == sorted(kinds) and kinds[-1]


def test_every_column_of_a_board_is_explained() -> None:
    real = read_results(ACCEPTED)
    assert [column.name for column in data.columns(real) if not explain(column.name)] == []


def test_the_picture_has_a_mark_for_every_row_and_the_same_bytes(tmp_path: Path) -> None:
    real = read_results(ACCEPTED)
    first = write_picture(real, tmp_path)
    assert first is not None
    before = first.read_bytes()
    assert write_picture(read_results(ACCEPTED), tmp_path) == first and first.read_bytes() == before
    text = before.decode()
    for label in ("do_nothing (base)", "retrain (gold)", "finetune", "dual_memory (published)", "recheck"):
        assert label in text
    assert [way.name for way in charts.ways(real)] == ["hit@10:vs_gold/forget", "shift/forget", "auc_calibrated/forget"]
    spec = charts.forgetting(real, charts.ways(real)[0])
    assert spec is not None
    rows = {row["row"]: row for row in spec["data"]["values"]}
    assert rows["retrain (gold)"]["x"] == 0
    pooled = real.pooled("finetune", "hit@10:vs_gold/forget")
    assert pooled is not None and rows["finetune"]["x"] == pooled.value
    # What lists hide, scores and an attacker show: dual memory stands near gold in the first alone.
    apart = []
    for way in charts.ways(real):
        drawn = charts.forgetting(real, way)
        assert drawn is not None
        at = {row["row"]: row["x"] for row in drawn["data"]["values"]}
        gap = at["do_nothing (base)"] - at["retrain (gold)"]
        apart.append(abs(at["dual_memory (published)"] - at["retrain (gold)"]) / gap)
    assert apart[0] < 0.5 < min(apart[1:])
    assert "![" in markdown(real, first) and "](leaderboard.svg)" in markdown(real, first)
    assert "leaderboard.svg" not in markdown(real)


def test_what_is_out_of_sight_leaves_room_for_the_others() -> None:
    """A score of -9994 nats is drawn at the edge; what is said of it is what was measured."""
    shifts = {"do_nothing": 0.6, "retrain": 0.0, "finetune": -2.9, "hidden": -9994.0}
    made = results({label: {"shift/forget": (shift, 0.01), NDCG: (0.2, 0.01)} for label, shift in shifts.items()})
    (way,) = [way for way in charts.ways(made) if way.name == "shift/forget"]
    spec = charts.forgetting(made, way)
    assert spec is not None
    rows = {row["row"]: row for row in spec["data"]["values"]}
    assert [rows["hidden"][name] for name in ("x", "x_low", "x_high", "value")] == [-3.0, -3.0, -3.0, -9994.0]
    assert rows["finetune"]["x"] == rows["finetune"]["value"] == -2.9


def test_a_board_of_one_row_has_no_plot_and_says_so(tmp_path: Path) -> None:
    lonely = results({"do_nothing": {HIT: (0.3, 0.01), NDCG: (0.2, 0.01)}})
    (tmp_path / "leaderboard.svg").write_text("an old one")
    assert charts.picture(lonely) is None and write_picture(lonely, tmp_path) is None
    assert not (tmp_path / "leaderboard.svg").exists()
    assert "there is nothing to plot" in page(lonely, tmp_path)


@given(st.text())
def test_data_cannot_end_its_script(text: str) -> None:
    safe = _safe(json.dumps({"name": text, "more": f"</script>{text}<!--"}, ensure_ascii=False))
    assert "<" not in safe and json.loads(safe)["name"] == text


def test_names_are_escaped_in_the_page(tmp_path: Path) -> None:
    name = """a"b'<i>c</i>"""
    made = board(**{name: {HIT: (0.1, 0.01), NDCG: (0.1, 0.01)}})
    text = page(made, tmp_path)
    assert "<i>c</i>" not in text
    assert "a&#34;b&#39;&lt;i&gt;c&lt;/i&gt;" in text


def test_the_page_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    text = page(board(), tmp_path)
    outside = re.sub(r"<(script|style)[^>]*>.*?</\1>", "", text, flags=re.DOTALL)
    assert not re.search(r"<(script|link|img|iframe)\b", outside)
    assert not re.search(
        r"<script[^>]+src=|@import|url\((?!['\"]?data:)", re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    )


def test_the_default_export_is_named() -> None:
    assert _named("var a=1,b=2;export{a as one,b as default};\n") == "var a=1,b=2;const DataTable=b;\n"


def test_without_the_extra_the_page_is_left_out_and_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(extra, "NEEDED", ("no_such_library",))
    with pytest.raises(MissingExtra, match=r"pip install -e '\.\[html\]'"):
        extra.require()
    (tmp_path / "leaderboard.html").write_text("of an earlier run")
    said: list[str] = []
    written = render(board(), plugins.load(), tmp_path, said.append)
    assert "html" not in written and (tmp_path / "leaderboard.md").exists()
    assert not (tmp_path / "leaderboard.html").exists(), "a page of other results stands beside the tables"
    assert len(said) == 1 and "left out" in said[0] and "'.[html]'" in said[0]
    assert "leaderboard.svg" not in (tmp_path / "leaderboard.md").read_text()


def test_without_the_extra_asking_for_the_page_is_one_sentence(tmp_path: Path) -> None:
    folder = shutil.copytree(ACCEPTED, tmp_path / "results")
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text("import sys\nsys.modules['vl_convert'] = None\n")
    place = {"cache": tmp_path, "cwd": tmp_path, "python_path": hidden, "cold": True}
    done = vestige("render", "ml-100k", "--html", "--out", folder, **place)
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.strip().splitlines()[-1].endswith("run, where Vestige lies: pip install -e '.[html]'.")
    assert "Traceback" not in done.stderr and not (Path(folder) / "leaderboard.html").exists()


def test_nothing_to_show_is_one_sentence(tmp_path: Path) -> None:
    for words in (
        ("render", "ml-100k", "--html", "--out", "empty"),
        ("index", "nowhere"),
        ("view", "ml-100k", "--no-browser"),
    ):
        done = vestige(*words, cache=tmp_path, cwd=tmp_path)
        assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1, (words, done.stderr)
    with pytest.raises(InputError, match="run a board first"):
        index(tmp_path)


def test_a_port_that_is_taken_is_one_sentence(tmp_path: Path) -> None:
    with server(tmp_path, PAGE, 0) as running, pytest.raises(InputError, match="choose another one with --port"):
        server(tmp_path, PAGE, running.server_address[1])


def test_pages_are_served_and_nothing_else_that_lies_there(tmp_path: Path) -> None:
    for name in ("index.html", f"a board/{PAGE}", f"other/{PAGE}", "other/board.json", ".ssh/id", PAGE, "a/b/" + PAGE):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "above").mkdir()
    with server(tmp_path, PAGE, 0) as running:
        port = running.server_address[1]
        threading.Thread(target=running.serve_forever, daemon=True).start()

        def asked(path: str, host: str = f"127.0.0.1:{port}", how: str = "GET") -> tuple[int, str]:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request(how, path, headers={"Host": host})
            answer = connection.getresponse()
            found = answer.status, answer.read().decode()
            connection.close()
            return found

        for path, content in (
            (f"/other/{PAGE}", f"other/{PAGE}"),
            (f"/a%20board/{PAGE}?sorted=yes", f"a board/{PAGE}"),
            ("/index.html", "index.html"),
        ):
            assert asked(path) == (200, content)
        assert asked("/index.html", f"localhost:{port}")[0] == 200
        for path in ("/", "/.ssh/", "/.ssh/id", "/other/", "/other", "/other/board.json", f"/../other/{PAGE}",
                     f"/%2e%2e/{PAGE}", f"//{PAGE}", f"/{PAGE}", f"/a/b/{PAGE}", "/nothing/" + PAGE):  # fmt: skip
            assert asked(path)[0] == 404, path
        assert asked(f"/other/{PAGE}", how="HEAD") == (200, "") and asked("/.ssh/id", how="HEAD")[0] == 404
        for host in ("evil.example", f"evil.example:{port}", "127.0.0.1", ""):
            status, text = asked(f"/other/{PAGE}", host)
            assert status == 403 and "other/" not in text, host
        running.shutdown()


def test_where_no_comparison_can_be_the_page_does_not_blame_the_results() -> None:
    """With too few forgotten users, or without gold, none would have marks; where replicates are lost, it would."""
    rows = {"do_nothing": {FORGET: (0.5, 0.01)}, "retrain": {FORGET: (0.3, 0.01)}, "one": {FORGET: (0.4, 0.01)}}
    whole = results(rows)
    for made, named in (
        (whole, []),
        (results(rows, forgotten=3), []),
        (results({label: row for label, row in rows.items() if label != "retrain"}), []),
        (replace(whole, replicates={}, stated=stated(whole)), ["hit@10 forget"]),
    ):
        assert data.uncompared(made, data.columns(made)) == named


def stated(made: Results) -> dict[tuple[str, str], tuple[float, float]]:
    pooled = {label: made.pooled(label, FORGET) for label in made.labels}
    return {(label, FORGET): p.interval for label, p in pooled.items() if p is not None and p.interval is not None}


def test_what_is_small_or_nothing_is_not_shown_as_the_other() -> None:
    methods = {f"m{n}": {"cost_seconds": (0.5, 0.0)} for n in range(charts.MANY)}
    values = {"free": (0.0, "0"), "cheap": (0.0006, "<0.01"), "dear": (12.3456, "12.35"), "half": (0.5, "0.5")}
    made = results({**methods, **{label: {"cost_seconds": (value, 0.0)} for label, (value, _) in values.items()}})
    spec = charts.cost(made)
    assert spec is not None and {"free", "cheap"} <= {row["row"] for row in spec["data"]["values"]}
    drawn = extra.svg(spec)
    for _, text in values.values():
        assert f">{text.replace('<', '&lt;')}</text>" in drawn
    few = charts.cost(results({label: {"cost_seconds": (value, 0.0)} for label, (value, _) in values.items()}))
    assert few is not None and "free" not in {row["row"] for row in few["data"]["values"]}, "a logarithm of nothing"


def test_terms_of_a_score_stand_for_the_seeds_that_it_is_of() -> None:
    made = scored()
    shown = data.columns(made)
    (group,) = (column.group for column in shown if column.name == "score_api")
    at = {column.name: number for number, column in enumerate(shown) if column.group == group}
    (row,) = (row for row in data.rows(made, shown) if row.label == "one")
    assert row.cells[at["utility"]].order == 0.5 and row.cells[at["score_api"]].order == 0.4
    assert row.cells[at["utility"]].gold == ""


def test_many_rows_are_shown_as_numbers_in_a_grid_and_few_as_marks() -> None:
    real = read_results(ACCEPTED)
    for spec, field, name in (
        (charts.recovery(real), "attack", "recovery:decoys/forget"),
        (charts.cost(real), "cost", "cost_seconds"),
    ):
        assert spec is not None
        assert spec["layer"][0]["mark"] == "rect"
        column = "decoys" if field == "attack" else "time"
        shown = {row["row"]: row["value"] for row in spec["data"]["values"] if row[field] == column}
        for label in ("npo", "dual_memory (distilled)"):
            pooled = real.pooled(label, name)
            assert pooled is not None and shown[label] == pooled.value
    few = results(
        {label: {"recovery:none/forget": (0.5, 0.01), "cost_seconds": (0.5, 0.01)} for label in ("do_nothing", "npo")}
    )
    for drawn in (charts.recovery(few), charts.cost(few)):
        assert drawn is not None and all(layer["mark"]["type"] != "rect" for layer in drawn["layer"])
