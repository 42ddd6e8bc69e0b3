"""Pages of the documentation site that are kept elsewhere in the repository: accepted leaderboards, changelog."""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]


def pages() -> dict[str, Path]:
    """Files by their address in the site."""
    boards = sorted((ROOT / "leaderboards").glob("*/leaderboard.md"))
    found = {f"leaderboards/{file.parent.name}.md": file for file in boards}
    return found | {f"project/{name}.md": ROOT / f"{name.upper()}.md" for name in ("changelog", "contributing")}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds them."""
    for address, file in pages().items():
        files.append(File.generated(config, address, content=file.read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Leads links that are right in the repository to where their pages are in the site."""
    up = "../" * page.file.src_uri.count("/")
    markdown = re.sub(r"\]\((?:\.\./)*leaderboards/([\w-]+)/leaderboard\.md\)", rf"]({up}leaderboards/\1.md)", markdown)
    if page.file.src_uri.startswith("project/"):
        markdown = re.sub(r"\]\(docs/", "](../", markdown).replace("](CHANGELOG.md)", "](changelog.md)")
    return markdown
