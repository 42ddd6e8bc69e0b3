"""The gate through the command line: a run is accepted, checked, weakened, and turns red."""

import json
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.conftest import ROOT, TINY, vestige

BOARD = TINY.replace("users = 60", "users = 300").replace("count = 8", "count = 20").replace("passes = 3", "passes = 8")
"""Enough users for a ruined method to be told from noise."""

RUINED = BOARD.replace("share = 0.4", "share = 0.4\nlearning_rate = 0.5")


@pytest.fixture(scope="module")
def accepted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder with an accepted board `tiny`, and its cache."""
    root = tmp_path_factory.mktemp("accepted")
    (root / "tiny").mkdir()
    (root / "tiny" / "board.toml").write_text(BOARD)
    for command in ("run", "accept"):
        done = vestige(command, "tiny", cache=root / "cache", cwd=root)
        assert done.returncode == 0, done.stderr
    return root, root / "cache"


@pytest.fixture
def place(accepted: tuple[Path, Path], tmp_path: Path) -> Path:
    """A folder of one's own with that board and its fresh results."""
    for name in ("tiny", "vestige-out"):
        shutil.copytree(accepted[0] / name, tmp_path / name)
    return tmp_path


def test_what_was_just_accepted_passes(accepted: tuple[Path, Path], place: Path) -> None:
    before = {f: f.read_bytes() for f in (place / "tiny").rglob("*") if f.is_file()}
    files = ["--json", "check.json", "--junit", "check.xml", "--summary", "check.md"]
    done = vestige("check", "tiny", *files, cache=accepted[1], cwd=place)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("# Check of tiny: PASS")
    assert (place / "check.md").read_text().strip() == done.stdout.strip()
    found = json.loads((place / "check.json").read_text())
    assert found["verdict"] == "PASS"
    assert {f["message"] for f in found["findings"]} == {"unchanged"}
    assert {f["basis"] for f in found["findings"]} == {"users", "replicates"}
    suite = ElementTree.parse(place / "check.xml").find("testsuite")
    assert suite is not None and (suite.get("failures"), suite.get("tests")) == ("0", str(len(found["findings"])))
    assert {f: f.read_bytes() for f in (place / "tiny").rglob("*") if f.is_file()} == before  # accepted/ is only read


def test_a_ruined_method_turns_the_gate_red(accepted: tuple[Path, Path], place: Path) -> None:
    (place / "tiny" / "board.toml").write_text(RUINED)
    done = vestige("check", "tiny", "--json", "check.json", "--junit", "check.xml", cache=accepted[1], cwd=place)
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.startswith("# Check of tiny: FAIL")
    assert "method of finetune is set differently: learning_rate" in done.stdout
    found = json.loads((place / "check.json").read_text())
    failed = {(f["label"], f["measurement"]) for f in found["findings"] if f["verdict"] == "FAIL"}
    assert ("finetune", "hit@10/retain") in failed
    assert {label for label, _ in failed} == {"finetune"}
    root = ElementTree.parse(place / "check.xml").getroot()
    cases = {(c.get("classname"), c.get("name")) for c in root.iterfind(".//testcase[failure]")}
    assert cases == {(f"tiny.{label}", name) for label, name in failed}
    unsure = [f for f in found["findings"] if f["verdict"] == "INCONCLUSIVE"]
    skipped = {c.get("message") for c in root.iterfind(".//skipped")}
    assert skipped == {f["message"] for f in unsure}
    # The ruined results cannot be what they are compared with by mistake: they would pass.
    again = vestige("check", "tiny", "--accepted", "vestige-out/tiny", cache=accepted[1], cwd=place)
    assert again.returncode == 0 and "PASS" in again.stdout


def test_compare_through_the_command_line(accepted: tuple[Path, Path], place: Path) -> None:
    done = vestige("compare", "tiny", "--rows", "do_nothing", "retrain", cache=accepted[1], cwd=place)
    assert done.returncode == 0, done.stderr
    assert "retrain − do_nothing | hit@10/retain" in done.stdout
    both = vestige("compare", "tiny", "tiny/accepted", cache=accepted[1], cwd=place)
    assert both.returncode == 0 and "| do_nothing | hit@10/retain" in " ".join(both.stdout.split())


def test_bad_input_is_one_sentence(accepted: tuple[Path, Path], place: Path) -> None:
    ml_100k = ROOT / "leaderboards" / "ml-100k" / "accepted"
    record = place / "tiny" / "accepted" / "records" / "finetune-s0.json"
    good = record.read_text()
    (place / "bare").mkdir()
    (place / "bare" / "board.toml").write_text(BOARD)
    (place / "seeds" / "tiny").mkdir(parents=True)
    shutil.copytree(place / "tiny", place / "seeds" / "tiny", dirs_exist_ok=True)
    (place / "seeds" / "tiny" / "board.toml").write_text(BOARD.replace("seeds = [0]", "seeds = [0, 1]"))
    shutil.copytree(place / "tiny", place / "request" / "tiny")
    (place / "request" / "tiny" / "board.toml").write_text(BOARD.replace("count = 20", "count = 21"))
    edited = json.loads(good)
    next(m for m in edited["outcome"]["measurements"] if m["metric"] == "hit@10")["value"] = 0.9
    for words, content, message in (
        (["check", "bare"], good, "the board has no accepted results"),
        (["check", "seeds/tiny"], good, "of the seeds [0], but the board has [0, 1]"),
        (["check", "request/tiny"], good, "of another request or holdout"),
        (["check", "tiny"], json.dumps({**edited, "schema_version": 7}), "its schema version is 7"),
        (["check", "tiny"], json.dumps(edited), "accepted results are not edited by hand"),
        (["compare", "tiny", ml_100k], good, "cannot be compared: they are of other data"),
        (["compare", "tiny"], good, "name either a second folder or board, or two rows"),
    ):
        record.write_text(content)
        done = vestige(*words, cache=accepted[1], cwd=place)
        assert done.returncode == 2, (words, done.stdout)
        assert message in done.stderr, words
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert not (place / "vestige-out" / "bare").exists()  # refused before anything was run
