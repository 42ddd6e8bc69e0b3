"""Asserts that the gate turns red on a weakened method: run as `python -m tests.smoke_gate FOLDER`.

The smoke board is run and accepted in FOLDER; its check must pass. Then the dual memory is weakened (the router's
threshold moved down, so that histories of those who stay go to the side memory too, and the side memory trained half as
long), and the check must fail on that row and on no other.

A threshold moved up is no weakening on this board: its dual memory suppresses far more than gold does, so one that
recognises fewer of the forgotten comes nearer to gold, and passes.

It takes about five minutes of processor time from nothing; what is in the store is not run again.
"""

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[1]

WEAKER = {"epochs = 8": "epochs = 4\ntarget_precision = 0.2"}


def main(folder: Path) -> None:
    """Exits with the claim that does not hold."""
    board = folder / "smoke"
    board.mkdir(parents=True, exist_ok=True)
    text = (ROOT / "leaderboards" / "smoke" / "board.toml").read_text()
    (board / "board.toml").write_text(text)
    for command in ("run", "accept"):
        done = _vestige(command, folder)
        assert done.returncode == 0, done.stderr
    same = _vestige("check", folder)
    assert same.returncode == 0 and "# Check of smoke: PASS" in same.stdout, same.stdout + same.stderr
    for old, new in WEAKER.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    (board / "board.toml").write_text(text)
    weak = _vestige("check", folder, "--json", "check.json", "--junit", "check.xml")
    print(weak.stdout)
    assert weak.returncode == 1, weak.stdout + weak.stderr
    found = json.loads((folder / "check.json").read_text())
    failed = {(f["label"], f["measurement"]) for f in found["findings"] if f["verdict"] == "FAIL"}
    assert {label for label, _ in failed} == {"dual_memory (published)"}, failed
    cases = ElementTree.parse(folder / "check.xml").iterfind(".//testcase[failure]")
    assert {case.get("name") for case in cases} == {name for _, name in failed}


def _vestige(command: str, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "vestige", command, "smoke/board.toml", *more],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
