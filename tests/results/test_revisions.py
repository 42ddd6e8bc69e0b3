"""Two commits' accepted results can be compared."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT, vestige

GIT = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "init.defaultBranch=main"]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two commits of a board's accepted results; the second has lost 0.1 of finetune's hit@10 on `retain`."""
    board = tmp_path / "leaderboards" / "mine"
    shutil.copytree(ROOT / "leaderboards" / "quickstart" / "accepted", board / "accepted")
    subprocess.run([*GIT, "init", "-q"], cwd=tmp_path, check=True)
    _commit(tmp_path)
    for file in (board / "accepted" / "records").glob("finetune-s?.json"):
        content = json.loads(file.read_text())
        for m in content["outcome"]["measurements"]:
            if (m["metric"], m["view"]) == ("hit@10", "retain"):
                m["value"] -= 0.1
        file.write_text(json.dumps(content))
    _commit(tmp_path)
    return tmp_path


def _commit(folder: Path) -> None:
    subprocess.run([*GIT, "add", "-A"], cwd=folder, check=True)
    subprocess.run([*GIT, "commit", "-q", "-m", "x"], cwd=folder, check=True)


def test_what_a_commit_changed_is_shown(repository: Path) -> None:
    done = vestige("compare", "HEAD~1:mine", "HEAD:leaderboards/mine", cache=repository / "cache", cwd=repository)
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if "finetune" in line and "hit@10/retain" in line]
    assert "-0.1000" in line
    assert "A: HEAD~1:mine" in done.stdout


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing:mine", "no revision 'nothing'"),
        ("HEAD:other", "no accepted results of 'other'"),
        (":mine", "REVISION:BOARD is needed"),
        ("--output=x:mine", "REVISION:BOARD is needed"),
    ],
)
def test_what_is_not_there_is_one_sentence(repository: Path, name: str, message: str) -> None:
    done = vestige("compare", "--", name, "HEAD:mine", cache=repository / "cache", cwd=repository)
    assert done.returncode == 2 and message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
