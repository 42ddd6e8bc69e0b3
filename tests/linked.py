"""An environment of its own that has what is declared, and nothing else, without installing it again."""

import re
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Iterator
from email import message_from_bytes
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement


def environment_of(root: Path, wheels: Iterable[Path]) -> Path:
    """A virtual environment with these wheels installed; returns its Python.

    What the wheels require, and what that requires, is linked from the environment the tests run in. So a requirement
    that is not declared is missing here as it would be at a user's, and half a gigabyte is neither copied nor compiled.

    Args:
        root: A folder that does not exist yet.
        wheels: One requires another only by its own name.
    """
    wheels = [*wheels]
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", root], check=True)
    python = root / "bin" / "python"
    words = ["-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", *wheels]
    subprocess.run([sys.executable, *words], check=True)
    (site,) = root.glob("lib/python*/site-packages")
    given = {_name(wheel.name.split("-")[0]) for wheel in wheels}
    wanted = [line for wheel in wheels for line in _requires(wheel)]
    for found in _closure(wanted, given):
        for name in {file.parts[0] for file in found.files or () if file.parts[0] not in ("..", "__pycache__")}:
            if not (site / name).exists():
                (site / name).symlink_to(Path(str(found.locate_file(name))).resolve())
    return python


def _requires(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as content:
        (metadata,) = [name for name in content.namelist() if name.endswith(".dist-info/METADATA")]
        return message_from_bytes(content.read(metadata)).get_all("Requires-Dist") or []


def _closure(wanted: Iterable[str], given: set[str]) -> Iterator[Distribution]:
    """All distributions that these requirements ask for here, each once, but for those that are given."""
    left = [(requirement, "") for requirement in map(Requirement, wanted)]
    seen = set()
    while left:
        requirement, extra = left.pop()
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
            continue
        for part in ("", *requirement.extras):
            if _name(requirement.name) in given or (_name(requirement.name), part) in seen:
                continue
            seen.add((_name(requirement.name), part))
            found = distribution(requirement.name)
            left += [(Requirement(line), part) for line in found.requires or ()]
            yield found


def _name(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
