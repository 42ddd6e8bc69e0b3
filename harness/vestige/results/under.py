"""What stands under the tables of a board, in text and on the page: remarks, studies, numbers from elsewhere."""

from dataclasses import dataclass

from vestige.results.cells import plain, table, value
from vestige.results.pooling import Results
from vestige.results.tuned import TUNED_HEADERS, TUNED_TEXT, tuned_rows


@dataclass(frozen=True)
class Under:
    """A section of text.

    Attributes:
        headers, rows: Of a table, the first column naming the row; none where there is no table.
        paragraphs: Under the table.
        points: A list under these.
    """

    title: str
    headers: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    paragraphs: tuple[str, ...] = ()
    points: tuple[str, ...] = ()

    def markdown(self) -> str:
        """The section in Markdown."""
        parts = [f"## {self.title}"]
        if self.rows:
            parts.append(table(self.rows, list(self.headers)))
        parts += self.paragraphs
        if self.points:
            parts.append("\n".join(f"- {point}" for point in self.points))
        return "\n\n".join(parts)


def under(results: Results) -> list[Under]:
    """The sections that a board has, in the order in which they stand."""
    return [*_remarks(results), *_tuned(results), *_published(results)]


def _remarks(results: Results) -> list[Under]:
    """What the people who keep the board read in it."""
    remarks = results.about.get("remarks", [])
    return [Under("What to read in it", paragraphs=tuple(remarks))] if remarks else []


def _tuned(results: Results) -> list[Under]:
    """How the settings of tuned rows were chosen, and at what price."""
    rows = tuned_rows(results)
    return [Under("How rows were tuned", TUNED_HEADERS, rows, (TUNED_TEXT,))] if rows else []


def _published(results: Results) -> list[Under]:
    """Numbers from elsewhere, in italics as all that competes with nobody, and why nothing here compares with them."""
    published = results.about.get("published", [])  # boards accepted before there were any name none
    if not published:
        return []
    names = list(dict.fromkeys(name for row in published for name in row["values"]))
    rows = tuple(
        (
            f"*{plain(row['label'])}*",
            *("" if (v := row["values"].get(name)) is None else value(v, None) for name in names),
        )
        for row in published
    )
    return [
        Under(
            "Published elsewhere: not comparable with the tables above",
            ("", *names),
            rows,
            ("Not comparable:",),
            tuple(dict.fromkeys(row["reason"] for row in published)),
        )
    ]
