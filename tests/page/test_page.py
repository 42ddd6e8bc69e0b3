"""The page in a browser: it sorts, filters, switches, opens records, draws, and asks nobody for anything."""

import json
import math
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from axe_core_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from tests.conftest import ROOT, vestige
from tests.results.real import WHOLE, old_folder

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium")

STRANGE = """fine"tune' <img src=x onerror="document.title='broken'"> </script><b>δοκιμή 忘却</b>"""
"""A row's name that would break out of text, of an attribute and of a script."""

UNDER = {
    "remarks": [f"`finetune` {STRANGE} hardly **forgets**.", "A second paragraph."],
    "published": [{"label": STRANGE, "values": {"hit@10/retain": 0.35}, "reason": "Asked <b>otherwise</b>."}],
    "tuned": [
        {
            "label": STRANGE, "seeds": [7], "trials": 8, "failed": 1, "seconds": 20.0, "retrain_seconds": 40.0,
            "default": 0.1, "chosen": 0.2, "settings": {"learning_rate": 3e-4}, "set": [],
        }
    ],
}  # fmt: skip
"""What stands under the tables, if a board has it."""

PICTURES = ROOT / "test-output" / "page"


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of real results, one of whose rows has a strange name."""
    return rendered(WHOLE, tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module")
def short_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with fewer rows, since who looks at every cell takes long."""
    return rendered(old_folder(), tmp_path_factory.mktemp("short"))


def rendered(source: Path, root: Path) -> Path:
    folder = Path(shutil.copytree(source, root / "results"))
    for file in [folder / "board.json", *folder.glob("records/finetune-s?.json")]:
        content = json.loads(file.read_text())
        if "labels" in content:
            content |= UNDER
            content["labels"] = [STRANGE if label == "finetune" else label for label in content["labels"]]
        else:
            content["identity"]["label"] = STRANGE
        file.write_text(json.dumps(content))
    done = vestige("render", "ml-100k", "--html", "--out", folder, cache=root / "cache", cwd=root)
    assert done.returncode == 0, done.stderr
    return folder / "leaderboard.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def opened(browser: Browser, page_file: Path) -> Iterator[Page]:
    """The page, whose console and network must stay silent."""
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    yield from _silent(page, page_file)


def _silent(page: Page, file: Path) -> Iterator[Page]:
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: None if request.url.startswith("file:") else said.append(request.url))
    page.goto(file.as_uri())
    page.wait_for_function("document.querySelectorAll('figure.chart[data-drawn]').length === 4")
    yield page
    page.context.close()
    assert [text for text in said if not text.startswith("blob:")] == []


def eventually(page: Page, holds: Callable[[], object]) -> None:
    """Waits until it holds, five seconds at most: a page answers a moment after it is asked."""
    for _ in range(50):
        if holds():
            return
        page.wait_for_timeout(100)
    assert holds()


def labels(page: Page) -> list[str]:
    return page.locator("#table tbody th button").all_inner_texts()


def numbers(page: Page, column: int) -> list[float]:
    """The visible values of a column, of rows that compete."""
    cells = page.locator(f"#table tbody tr.competes td:nth-of-type({column})").all()
    return [float(cell.get_attribute("data-order") or "nan") for cell in cells]


def ordered(values: list[float], sign: int) -> bool:
    """Whether they ascend (sign 1) or descend, and what is none stands last; with some of both."""
    known = [value for value in values if not math.isnan(value)]
    last = all(math.isnan(value) for value in values[len(known) :])
    return 1 < len(known) < len(values) and last and known == sorted(known, reverse=sign < 0)


def rows_of_the_board() -> tuple[int, int]:
    """How many rows the accepted table has, and how many of them are not set apart in italics."""
    text = (ROOT / "leaderboards" / "ml-100k" / "leaderboard.md").read_text()
    table = text.partition("## What it still recommends")[2].partition("\n\n|")[2].partition("\n\n")[0]
    names = [line.split("|")[1 if line.startswith("|") else 0].strip() for line in table.splitlines()[1:]]
    names = [name for name in names if not name.startswith(":--")]
    return len(names), sum(not name.startswith("*") for name in names)


def test_it_shows_what_the_table_shows(opened: Page) -> None:
    text = (ROOT / "leaderboards" / "ml-100k" / "leaderboard.md").read_text()
    row = next(line for line in text.splitlines() if line.startswith("| dual_memory (published)"))
    value = row.split("|")[2].split()[0]
    shown = opened.locator("tr[data-label='dual_memory (published)'] td").first.inner_text()
    assert shown.split()[0] == value
    assert len(labels(opened)) == rows_of_the_board()[0] > 20


def test_it_sorts_by_any_column_and_controls_stay_apart(opened: Page) -> None:
    head = opened.locator("#table thead th").nth(1)
    head.click()
    eventually(opened, lambda: numbers(opened, 1) == sorted(numbers(opened, 1), reverse=True))
    assert head.get_attribute("aria-sort") == "descending"
    # The same by keyboard.
    head.locator("[tabindex], button").first.focus()
    opened.keyboard.press("Enter")
    eventually(opened, lambda: numbers(opened, 1) == sorted(numbers(opened, 1)))
    assert head.get_attribute("aria-sort") == "ascending"
    # Most rows have no router: they stand last, whichever way its column is sorted.
    opened.get_by_role("radio", name="All").check()
    heads = [head.inner_text().strip() for head in opened.locator("#table thead th").all()]
    router = heads.index("AUC router")
    for way in (1, -1):
        opened.locator("#table thead th").nth(router).click()
        eventually(opened, lambda way=way: ordered(numbers(opened, router), -way))
    kinds = [row.get_attribute("class") or "" for row in opened.locator("#table tbody tr").all()]
    first = next(i for i, kind in enumerate(kinds) if "control" in kind.split())
    assert all("control" in kind.split() for kind in kinds[first:]) and "first-control" in kinds[first]


def test_it_filters_rows(opened: Page) -> None:
    opened.fill("#filter", "(PUBLISHED")
    eventually(opened, lambda: labels(opened) == ["dual_memory (published)"])
    assert opened.inner_text("#filtered") == f"1 of {rows_of_the_board()[0]} rows"
    opened.fill("#filter", "")
    opened.uncheck("#controls")
    eventually(opened, lambda: len(labels(opened)) == rows_of_the_board()[1])


def test_columns_are_switched_by_group(opened: Page) -> None:
    def heads() -> list[str]:
        return [h.inner_text().strip() for h in opened.locator("#table thead th").all() if h.is_visible()]

    first = heads()
    assert "hit@10 retain" in first and "fidelity" not in first
    opened.get_by_role("radio", name="What it still remembers").check()
    assert "fidelity" in heads() and "hit@10 retain" not in heads()
    opened.get_by_role("radio", name="All").check()
    assert {"fidelity", "hit@10 retain", "AUC calibrated"} <= set(heads())


def test_a_column_explains_itself_by_keyboard(opened: Page) -> None:
    opened.locator("#table thead th").nth(1).locator("[tabindex], button").first.focus()
    tip = opened.locator("[role=tooltip]")
    assert tip.is_visible() and "among the first 10" in tip.inner_text() and "higher is better" in tip.inner_text()
    opened.keyboard.press("Escape")
    assert not tip.is_visible()


def test_a_value_opens_its_record(opened: Page) -> None:
    opened.locator("tr[data-label='dual_memory (published)'] td button").nth(1).click()
    dialog = opened.get_by_role("dialog")
    assert dialog.get_by_role("heading", level=2).inner_text() == "dual_memory (published)"
    asked = dialog.locator("tr.asked")
    assert asked.locator("th").inner_text() == "ndcg@10/retain"
    record = json.loads((WHOLE / "records" / "dual-memory-published-s1.json").read_text())
    value = next(
        m["value"] for m in record["outcome"]["measurements"] if (m["metric"], m["view"]) == ("ndcg@10", "retain")
    )
    assert asked.locator("td").nth(1).inner_text().startswith(f"{value:.4g}")
    dialog.get_by_text("Seed 0: machine, versions, keys").click()
    assert '"torch"' in dialog.inner_text()
    opened.keyboard.press("Escape")
    assert not dialog.is_visible()


def test_forgetting_is_seen_in_three_ways(opened: Page) -> None:
    assert opened.locator("#way option").all_inner_texts() == ["lists", "scores", "an attacker"]
    opened.select_option("#way", "an attacker")
    opened.wait_for_function("document.querySelector('#chart-forgetting').textContent.includes('AUC calibrated')")


def test_the_users_of_a_chosen_method_are_drawn(opened: Page) -> None:
    before = opened.inner_html("#chart-users")
    opened.select_option("#users-method", "dual_memory (published)")
    opened.wait_for_function("document.querySelector('#chart-users').textContent.includes('dual_memory')")
    opened.select_option("#users-value", "shift/forget")
    opened.wait_for_function("document.querySelector('#chart-users').textContent.includes('suppressed')")
    assert opened.inner_html("#chart-users") != before


def test_strange_names_are_text(opened: Page) -> None:
    assert STRANGE in labels(opened)
    assert opened.title() == "MovieLens-100K, 100 users forgotten – Vestige"
    assert opened.locator("main img, main b, main strong, dialog b").count() == 0
    opened.locator("#table tbody th button").nth(labels(opened).index(STRANGE)).click()
    assert opened.locator("#record-title").inner_text() == STRANGE
    assert opened.locator("dialog img").count() == 0
    opened.keyboard.press("Escape")
    opened.select_option("#users-method", STRANGE)


def test_remarks_studies_and_published_numbers_stand_under_the_table(opened: Page) -> None:
    sections = opened.locator("section.under")
    assert sections.locator("h2").all_inner_texts() == [
        "What to read in it",
        "How rows were tuned",
        "Published elsewhere: not comparable with the tables above",
    ]
    assert sections.nth(0).locator("p").all_inner_texts() == [
        f"finetune {STRANGE} hardly forgets.",
        "A second paragraph.",
    ]
    said = [sections.nth(number).locator("tbody tr > *").all_inner_texts() for number in (1, 2)]
    assert said[0] == [STRANGE, "8 (1 failed)", "20.0", "0.50", "0.1000", "0.2000", "7", "learning_rate 0.0003"]
    assert said[1] == [STRANGE, "0.3500"]
    assert sections.nth(2).locator("li").all_inner_texts() == ["Asked <b>otherwise</b>."]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_everybody_can_read_it(browser: Browser, short_page: Path, scheme: str, width: int) -> None:
    page = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme).new_page()  # type: ignore[arg-type]
    for ready in _silent(page, short_page):
        assert ready.evaluate("document.documentElement.dataset.theme") == scheme
        assert ready.evaluate("document.documentElement.scrollWidth") <= width, "the page must not scroll sideways"
        for state in ("page", "record"):
            if state == "record":
                ready.locator("#table td button").first.click()
            found = Axe().run(ready)["violations"]
            assert [v["id"] for v in found if v["impact"] in ("serious", "critical")] == [], state
        ready.keyboard.press("Escape")
        PICTURES.mkdir(parents=True, exist_ok=True)
        ready.screenshot(path=PICTURES / f"{scheme}-{width}.png", full_page=True)
        ready.click("#theme")
        assert ready.evaluate("document.documentElement.dataset.theme") != scheme
        ready.emulate_media(media="print")
        assert not ready.locator("#theme").is_visible() and ready.locator("#table").is_visible()


def test_the_accepted_boards_are_listed(browser: Browser, page_file: Path, tmp_path: Path) -> None:
    for name in ("ml-100k", "quickstart"):
        shutil.copytree(ROOT / "leaderboards" / name, tmp_path / "boards" / name)
    done = vestige("index", "boards", cache=page_file.parent.parent / "cache", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    page = browser.new_page()
    page.goto((tmp_path / "boards" / "index.html").as_uri())
    assert page.locator("li h2").all_inner_texts() == [
        json.loads((ROOT / "leaderboards" / name / "accepted" / "board.json").read_text())["title"]
        for name in ("ml-100k", "quickstart")
    ]
    page.locator("li a").first.click()
    page.wait_for_function("document.querySelectorAll('figure.chart[data-drawn]').length > 0")
    page.get_by_role("link", name="Boards").click()
    assert page.title() == "Boards – Vestige"
    page.close()


def test_it_is_served_on_this_machine_alone(browser: Browser, page_file: Path) -> None:
    import signal
    import subprocess
    import sys
    import urllib.request

    words = [sys.executable, "-u", "-m", "vestige", "view", "ml-100k", "--out", str(page_file.parent), "--no-browser"]
    env = {**os.environ, "VESTIGE_CACHE": str(page_file.parent.parent / "cache")}
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=env) as running:
        assert running.stdout is not None
        address = running.stdout.readline().split()[1]
        assert address.startswith("http://127.0.0.1:") and address.endswith("/results/leaderboard.html")
        port = address.split(":")[2].split("/")[0]
        with urllib.request.urlopen(address, timeout=30) as answer:
            assert b"MovieLens-100K" in answer.read()
        taken = vestige(
            "view", "ml-100k", "--out", page_file.parent, "--no-browser", "--port", port,
            cache=page_file.parent.parent / "cache", cwd=page_file.parent,
        )  # fmt: skip
        assert taken.returncode == 2 and f"port {port} cannot be used" in taken.stderr
        running.send_signal(signal.SIGINT)
        assert running.wait(30) == 0
