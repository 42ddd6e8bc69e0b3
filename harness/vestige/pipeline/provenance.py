"""By whom an artifact was made: commit, versions, machine and time."""

import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from vestige.pipeline.keys import library_versions

MADE_BY = "made_by"
"""Where it stands in the meta of an artifact."""


def made_by(device: str) -> dict[str, Any]:
    """This process, and now; `processor` is the GPU's name where that is the device."""
    gpu = {"processor": _gpu(device)} if device.startswith("cuda") else {}
    return {"utc": datetime.now(UTC).isoformat(timespec="seconds"), **here(), **gpu}


@cache
def here() -> Mapping[str, Any]:
    """What does not change while a process lasts. `commit` is None where Vestige is no checkout, `dirty` then too."""
    folder = Path(__file__).parent
    # Only where this very file is tracked: a checkout around an installed copy is somebody else's.
    tracked = _git(folder, "ls-files", "--error-unmatch", Path(__file__).name) is not None
    commit = _git(folder, "rev-parse", "HEAD") if tracked else None
    return {
        "vestige": metadata.version("vestige"),
        "commit": commit,
        "dirty": bool(_git(folder, "status", "--porcelain")) if commit else None,
        "libraries": library_versions(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
    }


def _git(folder: Path, *words: str) -> str | None:
    git = shutil.which("git")
    if not git:
        return None
    done = subprocess.run([git, "-C", str(folder), *words], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def _gpu(device: str) -> str:
    import torch

    return torch.cuda.get_device_name(device) if torch.cuda.is_available() else device


def _processor() -> str:
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
