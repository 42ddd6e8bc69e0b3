"""What tables show where a seed failed, and of names with signs that Markdown has a use for."""

import csv
import html
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from tests.results.made import results, scored
from vestige.results import tables
from vestige.results.cells import plain, table, unmarked
from vestige.results.pooling import Results
from vestige.results.records import Finished
from vestige.results.summary import facts

ROWS = {
    "do_nothing": {"hit@10/retain": (0.2, 0.01), "hit@10:vs_base/retain": (0.0, 0.1)},
    "retrain": {"hit@10/retain": (0.19, 0.01), "hit@10:vs_base/retain": (-5.0, 0.1)},
    "finetune": {"hit@10/retain": (0.18, 0.01), "hit@10:vs_base/retain": (-10.0, 0.1)},
    "control": {"hit@10/retain": (0.19, 0.01), "hit@10:vs_base/retain": (-5.0, 0.1)},
}


def failed(found: Results, label: str, seed: int) -> Results:
    """The same, of which one cell ran out of memory."""

    def of(item: Finished) -> Finished:
        if (item.record.identity.label, item.record.identity.seed) != (label, seed):
            return item
        outcome = item.record.outcome.model_copy(update={"status": "oom", "measurements": ()})
        return replace(item, record=item.record.model_copy(update={"outcome": outcome}))

    return replace(found, finished=tuple(map(of, found.finished)))


def changes(found: Results) -> dict[str, str]:
    """The cells of hit@10 on `retain` of the table of changes, by column."""
    text = tables.markdown(found)
    lines = text[text.index("## Change against base") :].splitlines()
    heads, cells = ([cell.strip() for cell in lines[at].split("|")[1:-1]] for at in (2, 4))
    return dict(zip(heads, cells, strict=True))


def test_a_failed_seed_of_one_row_moves_no_other() -> None:
    whole, spoilt = results(ROWS, seeds=3), failed(results(ROWS, seeds=3), "finetune", 2)
    before, after = changes(whole), changes(spoilt)
    assert after.pop("finetune") == before.pop("finetune") + " (2 of 3 seeds)"
    assert after == before and before["base"] == "0.2000"


def test_a_change_is_that_of_the_two_numbers_that_stand_there() -> None:
    """Not the mean of the seeds' changes, which may even have another sign."""
    made = results({"do_nothing": ROWS["do_nothing"], "finetune": ROWS["finetune"]}, seeds=2)
    values = {("do_nothing", 0): 0.1, ("do_nothing", 1): 0.3, ("finetune", 0): 0.13, ("finetune", 1): 0.26}

    def of(item: Finished) -> Finished:
        value = values[item.record.identity.label, item.record.identity.seed]
        (first, *_) = item.record.outcome.measurements
        outcome = item.record.outcome.model_copy(update={"measurements": (first.model_copy(update={"value": value}),)})
        return replace(item, record=item.record.model_copy(update={"outcome": outcome}))

    made = replace(made, finished=tuple(map(of, made.finished)))
    assert changes(made)["finetune"] == "0.1950 (-2.5 %)"  # the seeds' own are +30 % and -13.3 %
    assert changes(failed(made, "do_nothing", 0))["finetune"] == "0.2600 (-13.3 %) (1 of 2 seeds)"


def test_what_differs_between_seeds_is_said_of_all() -> None:
    made = results(ROWS, seeds=3)

    def of(item: Finished) -> Finished:
        notes = {
            **item.record.outcome.notes,
            "request": {"forgotten users": 30 + item.record.identity.seed, "others": 7},
        }
        outcome = item.record.outcome.model_copy(update={"notes": notes})
        return replace(item, record=item.record.model_copy(update={"outcome": outcome}))

    text = facts(replace(made, finished=tuple(map(of, made.finished))))
    assert "Request: 30 to 32 forgotten users, 7 others." in text
    assert "Request: 30 forgotten users." in facts(made)


def test_terms_of_a_score_stand_for_the_seeds_that_it_is_of() -> None:
    """So that the score follows from them; elsewhere fidelity is that of all seeds."""
    text = tables.markdown(scored())
    score = text.partition("## Score, where the attacker can only ask")[2].partition("\n## ")[0]
    (line,) = (line for line in score.splitlines() if line.startswith("| one "))
    cells = [cell.split(" [")[0].strip() for cell in line.split("|")[2:-1]]
    assert cells == ["0.5000", "0.5000", "0.5000", "0.6000", "0.4000"]
    assert line.count("(1 of 3 seeds)") == 1
    whole = text[text.index("## What it still remembers") : text.index("## Score")]
    assert "| 0.7000" in whole, "fidelity of all seeds: 0.5, 0.8, 0.8"


def test_a_row_that_failed_on_every_seed_stands_in_every_table() -> None:
    made = failed(failed(results(ROWS, seeds=2), "finetune", 0), "finetune", 1)
    text = tables.markdown(made)
    (line,) = (line for line in text.partition("## Change")[0].splitlines() if line.startswith("| finetune"))
    assert {cell.strip() for cell in line.split("|")[2:-1]} == {"—"}


def test_a_failed_seed_shows_in_the_table_for_machines(tmp_path: Path) -> None:
    tables.write_csv(failed(results(ROWS, seeds=3), "finetune", 2), tmp_path)
    with (tmp_path / "leaderboard.csv").open() as stream:
        lines = {row["label"]: row for row in csv.DictReader(stream)}
    status = {label: line["status"] for label, line in lines.items()}
    seeds = {label: line["hit@10/retain:seeds"] for label, line in lines.items()}
    assert seeds.pop("finetune") == "2" and set(seeds.values()) == {"3"}
    assert status["finetune"] == "ok (2 of 3 seeds)"
    assert {text for label, text in status.items() if label != "finetune"} == {"ok"}


def test_a_name_with_a_bar_or_a_tag_moves_no_column() -> None:
    name = "my|method\n<b>x</b>"
    gaps = {"do_nothing": (0.5, 0.3), "retrain": (0.2, 0.0), name: (0.3, 0.1)}
    forgot = {
        label: {"hit@10/forget": (hit, 0.001), "hit@10:vs_gold/forget": (gap, 0.001)}
        for label, (hit, gap) in gaps.items()
    }
    found = results({label: {**ROWS.get(label, ROWS["finetune"]), **forgot.get(label, {})} for label in [*ROWS, name]})
    text = tables.markdown(found)
    assert "<b>" not in text and "my|method &lt;b>x&lt;/b> closes 67 % of that gap" in text
    first = text.partition("## What it still remembers")[0].splitlines()
    (line,) = {line for line in first if line.startswith("| my")}
    assert line.startswith("| my\\|method &lt;b>x&lt;/b>")
    (other,) = {line for line in first if line.startswith("| finetune")}
    assert line.replace("\\|", "").count("|") == other.count("|")


@pytest.mark.parametrize("text", ["a|b", "a\nb", "a |\n| b"])
def test_every_cell_stays_one_cell(text: str) -> None:
    lines = table([[text, "1"]], ["x", "y"]).splitlines()
    assert len(lines) == 3 and lines[2].replace("\\|", "").count("|") == 3


@given(st.text('ab _*`[]()<>&;#!\\|~\n"lt0', max_size=20))
@example("*a*")
@example("__init__ and _x_")
@example("`a` [b](c) &lt; &amp;amp; <http://a.b>")
@example("**a** &")
def test_a_name_is_shown_as_it_is(name: str) -> None:
    """Whatever Markdown makes of its signs elsewhere; and it can be had back for pages that are no Markdown."""
    line = " ".join(name.split())
    shown = MarkdownIt("commonmark").renderInline(plain(name))
    assert html.unescape(shown) == line and "<" not in shown
    assert unmarked(plain(name)) == line
    assert unmarked(f"**{plain(name)}** `x`") == f"{line} x"
