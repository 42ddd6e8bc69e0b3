"""`leaderboard.tex` is well-formed whatever rows are called, and sets in bold only what is surely best."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.results.made import results
from vestige.plugins import load
from vestige.results.latex import ESCAPES, escaped, latex, write_latex
from vestige.results.pooling import Results
from vestige.results.verdicts import significantly_best
from vestige.specs import RendererSpec
from vestige.testing import validate

SPECIALS = '\\{}$&#_%^~<>|"[]`*- \n\t'
RETAIN, FORGET = "ndcg@10/retain", "hit@10/forget"
SEQUENCES = {tex: plain for plain, tex in ESCAPES.items()}
TOKENS = re.compile("|".join(map(re.escape, sorted(SEQUENCES, key=len, reverse=True))) + "|.", re.DOTALL)

labels = st.text(st.one_of(st.sampled_from(SPECIALS), st.characters(codec="utf-8")), min_size=1, max_size=12)


def text_of(tex: str) -> str:
    return "".join(SEQUENCES.get(token, token) for token in TOKENS.findall(tex))


def cells(tex: str) -> tuple[int, list[list[str]]]:
    """The columns that the table declares, and the cells of every line of it."""
    ((head, body),) = re.findall(r"\\begin\{tabular\}\{@\{\}(\w+)@\{\}\}\n(.*)\\end\{tabular\}", tex, re.DOTALL)
    lines = [line for line in body.splitlines() if line not in (r"\toprule", r"\midrule", r"\bottomrule")]
    ended = [re.fullmatch(r"(.*) \\\\(?:\[2pt\])?", line) for line in lines]
    assert all(ended), lines
    return len(head), [re.split(r"(?<!\\)&", m[1]) for m in ended if m]


def well_formed(tex: str) -> None:
    """Environments are nested, braces and dollars balanced, every line has every column, nothing is a comment."""
    open_: list[str] = []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+)\}", tex):
        if kind == "begin":
            open_.append(name)
        else:
            assert open_.pop() == name
    assert not open_
    columns, lines = cells(tex)
    assert all(len(line) == columns for line in lines), lines
    for line in tex.splitlines()[1:]:  # the first is a comment
        bare = re.sub(r"\\[\\{}$&#_%]", "", line)  # what is escaped
        assert "%" not in bare and "#" not in bare, line
        assert bare.count("$") % 2 == 0, line
        depth = 0
        for character in bare:
            depth += {"{": 1, "}": -1}.get(character, 0)
            assert depth >= 0, line
        assert depth == 0, line
        words = re.sub(r"\\[a-zA-Z]+", "", re.sub(r"\$[^$]*\$", "", bare))
        assert not set("\\_^<>|") & set(words), line


def of_labels(one: str, other: str, control: str) -> Results:
    numbers: dict[str, tuple[float, float] | None] = {RETAIN: (0.3, 0.01), FORGET: (0.2, 0.01)}
    rows = {"do_nothing": numbers, "retrain": numbers, one: numbers, other: {**numbers, FORGET: None}, control: numbers}
    return results(rows, controls=(control,), seeds=1)


@given(labels)
def test_escaped_text_is_the_text(text: str) -> None:
    tex = escaped(text)
    assert "\n" not in tex
    plain = "".join(" " if ord(c) < 32 or 127 <= ord(c) < 160 or c in "\u2028\u2029" else c for c in text)
    assert text_of(tex) == plain
    well_formed_words = re.sub(r"\\[a-zA-Z]+\{\}|\\[{}$&#_%]|\$[^$]*\$|\{(?:[\[\]]|'')\}", "", tex)
    assert not set("\\{}$&#_%^<>|[]`") & set(well_formed_words)


@given(st.lists(labels, min_size=3, max_size=3, unique=True))
def test_rows_of_any_name_make_a_well_formed_table(names: list[str]) -> None:
    if {"do_nothing", "retrain"} & set(names):
        return
    tex = latex(of_labels(*names))
    well_formed(tex)
    columns, lines = cells(tex)
    assert columns == 3
    shown = [line[0].strip() for line in lines if line[0].strip()]
    assert shown[2:] == [f"{{{escaped(names[0])}}}", f"{{{escaped(names[1])}}}", f"{{\\textit{{{escaped(names[2])}}}}}"]


def test_base_gold_and_controls_are_told_apart_and_undefined_is_no_number() -> None:
    tex = latex(of_labels("one", "other", "untrained"))
    assert r"{do\_nothing (\textbf{base})} &" in tex and r"{retrain (\textbf{gold})} &" in tex
    above, below = tex.split(r"\midrule")[1:]
    assert "{other} & 0.300 & ---" in above and r"\textit{untrained}" in below
    assert "A dash: undefined" in tex and "seed 0." in tex and "board made" in tex
    assert r"{\scriptsize [0.2" in above


def with_better(board: Results, better: str) -> Results:
    def turned(item):  # type: ignore[no-untyped-def]
        measured = tuple(m.model_copy(update={"better": better}) for m in item.record.outcome.measurements)
        outcome = item.record.outcome.model_copy(update={"measurements": measured})
        return replace(item, record=item.record.model_copy(update={"outcome": outcome}))

    return replace(board, finished=tuple(turned(item) for item in board.finished))


@pytest.mark.parametrize(
    ("better", "base", "gold", "near", "far", "error", "best"),
    [
        ("higher", 0.9, 0.9, 0.30, 0.20, 0.005, "near"),
        ("higher", 0.9, 0.9, 0.30, 0.20, 0.2, None),  # it may be chance
        ("lower", 0.0, 0.0, 0.30, 0.20, 0.005, "far"),
        ("gold", 0.4, 0.1, 0.12, 0.30, 0.005, "near"),
        ("gold", 0.4, 0.1, 0.08, -0.2, 0.005, "near"),  # beyond gold is away from it too
        ("gold", 0.4, 0.1, 0.12, 0.08, 0.005, None),  # on both sides, equally far
        ("0.5", 0.9, 0.5, 0.52, 0.3, 0.005, "near"),
        ("none", 0.9, 0.9, 0.30, 0.20, 0.005, None),
    ],
)
def test_only_what_is_surely_best_is_bold(
    better: str, base: float, gold: float, near: float, far: float, error: float, best: str | None
) -> None:
    values = {"do_nothing": base, "retrain": gold, "near": near, "far": far}
    board = with_better(results({label: {FORGET: (value, error)} for label, value in values.items()}), better)
    assert significantly_best(board, FORGET) == best
    bold = re.findall(r"\\textbf\{([\d.]+)\}", latex(board))
    assert bold == ([] if best is None else [f"{values[best]:.3f}"])
    assert ("Bold: better" in latex(board)) == (best is not None)


def test_a_method_without_a_rival_is_not_the_best() -> None:
    board = results({label: {FORGET: (0.1, 0.001)} for label in ("do_nothing", "retrain", "only")})
    assert significantly_best(board, FORGET) is None


def test_three_rivals_are_adjusted_for() -> None:
    """One lead with p = 0.03 is sure alone, and is not among three."""
    error = 0.01 * 2**0.5  # of a difference of two independent rows
    rows = {"do_nothing": 0.9, "retrain": 0.9, "a": 0.3, "b": 0.3 - 2.17 * error}
    alone = results({label: {FORGET: (value, 0.01)} for label, value in rows.items()})
    assert significantly_best(alone, FORGET) == "a"
    more = {**rows, "c": rows["b"], "d": rows["b"], "e": rows["b"]}
    assert significantly_best(results({label: {FORGET: (v, 0.01)} for label, v in more.items()}), FORGET) is None


def test_it_is_a_renderer_that_conforms(tmp_path: Path) -> None:
    assert all(verdict.ok for verdict in validate(load().get(RendererSpec, "latex")))
    path = write_latex(of_labels("a", "b", "c"), tmp_path)
    assert path == tmp_path / "leaderboard.tex" and path.read_text().endswith("\\end{table}\n")


def test_a_value_of_some_of_the_seeds_says_so() -> None:
    """Attacks run on the first seed unless a board says otherwise; the caption names all seeds."""
    made = results({label: {RETAIN: (0.1, 0.01), FORGET: (0.2, 0.01)} for label in ("do_nothing", "retrain")}, seeds=3)
    some = tuple(
        replace(
            item,
            record=item.record.model_copy(
                update={
                    "outcome": item.record.outcome.model_copy(
                        update={
                            "measurements": tuple(
                                m
                                for m in item.record.outcome.measurements
                                if m.name != FORGET or item.record.identity.seed == 0
                            )
                        }
                    )
                }
            ),
        )
        for item in made.finished
    )
    part = Results({**made.about, "columns": [RETAIN, FORGET]}, some, made.replicates)
    text = latex(part)
    assert text.count(r"\textsuperscript{1/3}") == 2 and "A fraction: of so many of the seeds." in text
    assert r"\textsuperscript{1/3}" not in latex(
        Results({**made.about, "columns": [RETAIN, FORGET]}, made.finished, made.replicates)
    )
