"""`leaderboard.tex`: the board as one table of a paper, with the rules of booktabs.

The file is a `table` to be read with `\\input`; it needs `\\usepackage{booktabs}` alone. A row takes two lines, values
and their intervals. It is UTF-8; letters beyond Latin need a Unicode engine, such as LuaLaTeX.
"""

import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path

from vestige.pipeline.store import write_atomically
from vestige.results.pooling import Results
from vestige.results.sections import has, headline_auc, k_of, sections
from vestige.results.summary import forgotten
from vestige.results.verdicts import ALPHA, powerless, significantly_best

ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "_": r"\_",
    "%": r"\%",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "{''}",
    "[": "{[}",
    "]": "{]}",
    "`": r"\textasciigrave{}",
    "\u00a0": "~",
    "\u2212": "$-$",
    "\u00d7": r"$\times$",
    "\u00bd": r"$\frac{1}{2}$",
    "\u2264": r"$\leq$",
    "\u2265": r"$\geq$",
}
"""Brackets too, since one that follows the end of a line would be read as its argument; and a quotation mark in braces,
so that it does not run together with an apostrophe."""

BASE, GOLD = "base", "gold"


def write_latex(results: Results, folder: Path) -> Path:
    """Writes `leaderboard.tex`."""
    path = folder / "leaderboard.tex"
    write_atomically(path, (latex(results) + "\n").encode())
    return path


def latex(results: Results) -> str:
    """The table."""
    columns = chosen(results)
    best = {name: significantly_best(results, name) for name in columns}
    numbers = "c" * len(columns)
    lines = [
        r"% Needs \usepackage{booktabs}.",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_caption(results, columns, best)}}}",
        rf"\label{{tab:vestige-{_slug(results)}}}",
        r"\small",
        r"\setlength{\tabcolsep}{4pt}",
        rf"\begin{{tabular}}{{@{{}}l{numbers}@{{}}}}",
        r"\toprule",
        *(" & ".join(["", *line]) + r" \\" for line in zip(*map(_heading, columns.values()), strict=True)),
        r"\midrule",
        *_rows(results, results.competing, columns, best),
    ]
    if results.controls:
        lines += [r"\midrule", *_rows(results, results.controls, columns, best)]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}"])


def chosen(results: Results) -> dict[str, str]:
    """Headings by `metric/view`: the board's own columns, else what a paper's main table needs."""
    k = k_of(results)
    headings = {name: heading for section in sections(results) for name, heading in section.columns.items()}
    api = {"recovery_api/forget": "worst recovery (api)", "score_api": "score (api)"}
    main = (f"ndcg@{k}/retain", f"hit@{k}/forget", "distance/forget", headline_auc(results), *api)
    names = results.about["columns"] or main
    return {name: {**headings, **api}.get(name, name) for name in names if has(results, name)}


def escaped(text: str) -> str:
    """Text that LaTeX sets as it is: on one line, every special character escaped."""
    plain = (" " if unicodedata.category(c) in ("Cc", "Zl", "Zp") else c for c in text)
    return "".join(ESCAPES.get(c, c) for c in plain)


def _heading(text: str) -> tuple[str, str]:
    """Its two lines, as long as each other where that is possible."""
    words = text.split()
    cut = min(range(1, len(words) + 1), key=lambda n: max(len(" ".join(words[:n])), len(" ".join(words[n:]))))
    return f"{{{escaped(' '.join(words[:cut]))}}}", f"{{{escaped(' '.join(words[cut:]))}}}"


def _rows(
    results: Results, labels: tuple[str, ...], columns: Mapping[str, str], best: Mapping[str, str | None]
) -> Iterator[str]:
    for label in labels:
        cells = [_cell(results, label, name, best[name] == label) for name in columns]
        # In braces: what follows the end of a line must not look like its argument.
        yield " & ".join([f"{{{_label(results, label)}}}", *(value for value, _ in cells)]) + r" \\"
        if any(bounds for _, bounds in cells):
            yield " & ".join(["", *(bounds for _, bounds in cells)]) + r" \\[2pt]"


def _label(results: Results, label: str) -> str:
    roles = {results.label_of("do_nothing"): BASE, results.label_of("retrain"): GOLD}
    if results.is_control(label):
        return rf"\textit{{{escaped(label)}}}"
    return escaped(label) + (rf" (\textbf{{{roles[label]}}})" if label in roles else "")


def _cell(results: Results, label: str, name: str, best: bool) -> tuple[str, str]:
    """A value and its interval, each as LaTeX; the latter may be empty."""
    pooled = results.pooled(label, name)
    if pooled is None:
        return "", ""
    if pooled.value is None:
        return "---", ""
    text = f"{pooled.value:.3f}".replace("-", "$-$")
    text = rf"\textbf{{{text}}}" if best else text
    if powerless(results, name, label):
        text += r"\textsuperscript{n}"
    if pooled.seeds < len(results.row(label)):
        text += rf"\textsuperscript{{{pooled.seeds}/{len(results.row(label))}}}"
    if pooled.interval is None:
        return text, ""
    low, high = (f"{bound:.3f}".replace("-", "$-$") for bound in pooled.interval)
    return text, rf"{{\scriptsize [{low}, {high}]}}"


def _caption(results: Results, columns: Mapping[str, str], best: Mapping[str, str | None]) -> str:
    record = results.finished[0].record
    identity, seeds = record.identity, results.about["seeds"]
    parts = [
        f"{results.about['title']} (board {identity.board}).",
        f"Dataset {identity.dataset.name}, recommender {identity.recommender.name}, {forgotten(results)};",
        f"{'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}.",
        "Base is the model before forgetting, gold the retraining without what is forgotten: the target.",
    ]
    if any(
        bounds for label in results.labels for name in columns for _, bounds in [_cell(results, label, name, False)]
    ):
        parts.append("Below each value its 95 % interval over users.")
    if results.controls:
        parts.append("Rows in italics compete with nobody.")
    if any(best.values()):
        parts.append(
            f"Bold: better than every other method, paired by user, p < {ALPHA:g} after Holm's adjustment; base and "
            "gold stand aside."
        )
    notes = {
        note
        for name in columns
        for label in results.labels
        if (pooled := results.pooled(label, name)) is not None
        for note in (("NO POWER",) if powerless(results, name, label) else ())
        + (("UNDEFINED",) if pooled.value is None else ())
        + (("SEEDS",) if pooled.value is not None and pooled.seeds < len(results.row(label)) else ())
    }
    if "NO POWER" in notes:
        parts.append("n: the attack does not work on base, so it says nothing.")
    if "SEEDS" in notes:
        parts.append("A fraction: of so many of the seeds.")
    if "UNDEFINED" in notes:
        parts.append("A dash: undefined, which is neither 0 nor 1.")
    return escaped(" ".join(parts))


def _slug(results: Results) -> str:
    board = results.finished[0].record.identity.board
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in board.lower())
