"""What `vestige check` writes: a Markdown summary, JSON, and a JUnit file."""

import json
from typing import Any
from xml.etree import ElementTree

from vestige.results.cells import plain, table
from vestige.results.checking import Check
from vestige.results.gate import Finding, Verdict

SCHEMA = 1
"""Of the JSON."""

HEADERS = ["", "row", "measurement", "better", "accepted", "fresh", "worse by", "tolerance", "p (Holm)", ""]

DIRECTIONS = {"higher": "higher", "lower": "lower", "gold": "as gold has it"}


def markdown(check: Check) -> str:
    """The summary for a job's page."""
    counts = ", ".join(f"{len(check.of(verdict))} {verdict}" for verdict in Verdict if check.of(verdict))
    parts = [
        f"# Check of {check.board}: {check.verdict}",
        f"{counts or 'Nothing was compared'}; fresh against accepted, "
        f"{'seed' if len(check.seeds) == 1 else 'seeds'} {', '.join(map(str, check.seeds))}.",
    ]
    if check.invalid:
        parts.append(f"**{check.invalid}**" + ("" if check.ruined else " So it was when it was accepted."))
    if check.lost:
        rows = [f"- **FAIL** {lost.label}, seed {lost.seed}: {_line(lost.reason)}" for lost in check.lost]
        parts.append("\n".join(rows))
    told = [*check.of(Verdict.FAIL), *check.of(Verdict.INCONCLUSIVE)]
    told += [f for f in check.of(Verdict.PASS) if not f.comparison.still]
    if told:
        parts.append(table([_row(finding) for finding in told], HEADERS))
    still = len(check.findings) - len(told)
    if still:
        parts.append(f"{still} measurements are unchanged to the last user.")
    if any(f.comparison.to_gold for f in check.findings):
        parts.append("Base or gold were trained anew, so differences to gold are compared.")
    if len(check.seeds) == 1 and told:
        parts.append(
            "With one seed, a change cannot be told well from a training that happened to come out worse; see the page "
            "on the gate."
        )
    for title, lines in (
        ("Not the same on both sides", check.warnings),
        ("Costs (advisory)", check.advice),
        ("Not accepted yet, so not judged", check.added),
    ):
        if lines:
            parts.append(f"## {title}\n\n" + "\n".join(f"- {_line(line)}" for line in lines))
    return "\n\n".join(parts) + "\n"


def to_json(check: Check) -> str:
    """Everything, for machines; keys as in the documentation of the gate."""
    content: dict[str, Any] = {
        "schema_version": SCHEMA,
        "board": check.board,
        "seeds": list(check.seeds),
        "verdict": check.verdict,
        "invalid": check.invalid,
        "was_invalid": check.was_invalid,
        "findings": [_fields(finding) for finding in check.findings],
        "lost": [{"label": lost.label, "seed": lost.seed, "reason": lost.reason} for lost in check.lost],
        "warnings": list(check.warnings),
        "advice": list(check.advice),
        "added": list(check.added),
    }
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def junit(check: Check) -> bytes:
    """One test case for each row and measurement, and one for each cell without a result."""
    failed = len(check.of(Verdict.FAIL)) + len(check.lost) + check.ruined
    suite = ElementTree.Element(
        "testsuite",
        name=f"vestige check {check.board}",
        tests=str(len(check.findings) + len(check.lost) + check.ruined),
        failures=str(failed),
        errors="0",
        skipped=str(len(check.of(Verdict.INCONCLUSIVE))),
    )
    if check.ruined:
        case = _case(suite, check.board, "retrain", "gold against the popularity list")
        ElementTree.SubElement(case, "failure", message=_xml(str(check.invalid)), type="invalid")
    for lost in check.lost:
        case = _case(suite, check.board, lost.label, f"seed {lost.seed}")
        ElementTree.SubElement(case, "failure", message=_xml(lost.reason), type="missing")
    for finding in check.findings:
        case = _case(suite, check.board, finding.comparison.label, finding.comparison.name)
        if finding.verdict is Verdict.FAIL:
            ElementTree.SubElement(case, "failure", message=_xml(finding.message), type="regression")
        elif finding.verdict is Verdict.INCONCLUSIVE:
            ElementTree.SubElement(case, "skipped", message=_xml(finding.message))
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    text: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _case(suite: ElementTree.Element, board: str, label: str, name: str) -> ElementTree.Element:
    # Dots part the class name in what reads these files, and a label may have some.
    return ElementTree.SubElement(
        suite, "testcase", classname=_xml(f"{board}.{label.replace('.', '_')}"), name=name, time="0"
    )


def _xml(text: str) -> str:
    """Without the control characters that XML 1.0 cannot hold, as terminal colours in an error message."""
    return "".join(c for c in text if c in "\t\n" or ord(c) >= 32)


def _row(finding: Finding) -> list[str]:
    c = finding.comparison
    better = DIRECTIONS.get(c.better, c.better)
    numbers = [_number(c.accepted), _number(c.fresh), f"{c.loss:+.4f}" if c.shifts else ""]
    shown = f"**{finding.verdict}**" if finding.verdict is not Verdict.PASS else str(finding.verdict)
    p = "< 0.001" if finding.p < 0.001 else f"{finding.p:.3f}"
    return [shown, plain(c.label), c.name, better, *numbers, f"{c.tolerance:g}", p, plain(finding.message)]


def _fields(finding: Finding) -> dict[str, Any]:
    c = finding.comparison
    return {
        "label": c.label,
        "measurement": c.name,
        "verdict": finding.verdict,
        "better": c.better,
        "accepted": c.accepted,
        "fresh": c.fresh,
        "worse_by": c.loss if c.shifts else None,
        "standard_error": c.weakest.error if c.shifts else None,
        "tolerance": c.tolerance,
        "p": finding.p,
        "basis": c.basis or None,
        "difference_to_gold": c.to_gold,
        "seeds_needed": finding.seeds_needed,
        "message": finding.message,
    }


def _number(value: float | None) -> str:
    return "—" if value is None else f"{value:.4f}"


def _line(text: str) -> str:
    return " ".join(text.split())
