"""`python -m tests.site_links FOLDER`: the built documentation loads nothing from elsewhere.

Links lead out; scripts, styles, fonts and pictures must not, so that the site works without a network and tells nobody
who reads it.
"""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

LOADING = {"script": "src", "img": "src", "iframe": "src", "link": "href", "source": "src", "object": "data"}


class Loaded(HTMLParser):
    """Collects what a page loads from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        address = values.get(LOADING.get(tag, ""))
        # A canonical or neighbouring page is named, not loaded.
        if address and re.match(r"(https?:)?//", address) and values.get("rel") not in ("canonical", "next", "prev"):
            self.found.append(f"<{tag}> {address}")


def loaded(folder: Path) -> list[str]:
    """What pages and styles of a site load from elsewhere, each with its file."""
    out = []
    for file in sorted(folder.rglob("*.html")):
        page = Loaded()
        page.feed(file.read_text(encoding="utf-8"))
        out += [f"{file}: {what}" for what in page.found]
    for file in sorted(folder.rglob("*.css")):
        found = re.findall(r"(?:url\(|@import\s+)[\"']?((?:https?:)?//[^\"')]+)", file.read_text(encoding="utf-8"))
        out += [f"{file}: {address}" for address in found]
    return out


def main(folder: Path) -> int:
    pages = len(list(folder.rglob("*.html")))
    found = loaded(folder)
    print("\n".join(found) or f"{folder}: {pages} pages, nothing is loaded from elsewhere")
    return 1 if found or not pages else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
