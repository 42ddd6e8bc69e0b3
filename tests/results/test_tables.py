"""What tables show where a seed failed, and of names with signs that Markdown has a use for."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from tests.results.made import results
from vestige.results import tables
from vestige.results.cells import table
from vestige.results.pooling import Results
from vestige.results.records import Finished

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


def test_a_failed_seed_shows_in_the_table_for_machines(tmp_path: Path) -> None:
    tables.write_csv(failed(results(ROWS, seeds=3), "finetune", 2), tmp_path)
    with (tmp_path / "leaderboard.csv").open() as stream:
        status = {row["label"]: row["status"] for row in csv.DictReader(stream)}
    assert status["finetune"] == "ok (2 of 3 seeds)"
    assert {text for label, text in status.items() if label != "finetune"} == {"ok"}


def test_a_name_with_a_bar_or_a_tag_moves_no_column() -> None:
    name = "my|method\n<b>x</b>"
    found = results({**ROWS, name: ROWS["finetune"]})
    text = tables.markdown(found)
    assert "<b>" not in text
    (line,) = {line for line in text.splitlines() if line.startswith("| my")}
    assert line.startswith("| my\\|method &lt;b>x&lt;/b>")
    (other,) = {line for line in text.splitlines() if line.startswith("| finetune")}
    assert line.replace("\\|", "").count("|") == other.count("|")


@pytest.mark.parametrize("text", ["a|b", "a\nb", "a |\n| b"])
def test_every_cell_stays_one_cell(text: str) -> None:
    lines = table([[text, "1"]], ["x", "y"]).splitlines()
    assert len(lines) == 3 and lines[2].replace("\\|", "").count("|") == 3
