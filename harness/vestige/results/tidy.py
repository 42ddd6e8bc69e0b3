"""Tidy tables: one row a cell and measurement."""

import csv
import io
from collections.abc import Iterable, Sequence

from vestige.results.records import Finished

TIDY = [
    "board",
    "dataset",
    "request",
    "recommender",
    "method",
    "label",
    "method_version",
    "seed",
    "status",
    "metric",
    "view",
    "value",
    "ci_low",
    "ci_high",
    "better",
    "note",
]


def tidy(item: Finished) -> list[list[object]]:
    """The rows of one cell, as `TIDY` heads them; of a cell without measurements one that says why."""
    identity, outcome = item.record.identity, item.record.outcome
    method = identity.method
    head: list[object] = [
        identity.board,
        identity.dataset.name,
        identity.request["kind"],
        identity.recommender.name,
        method.name if method else identity.row,
        identity.label,
        method.version if method else "",
        identity.seed,
        outcome.status,
    ]
    if not item.measurements:
        return [[*head, "", "", "", "", "", "", outcome.message]]
    return [
        [
            *head,
            m.metric,
            m.view,
            "" if m.value is None else repr(m.value),
            *(["", ""] if m.interval is None else [repr(bound) for bound in m.interval]),
            m.better,
            m.note,
        ]
        for m in item.measurements
    ]


def to_csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """The table as a file's content."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return stream.getvalue().encode()
