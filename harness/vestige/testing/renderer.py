"""What a writer of leaderboards must keep to."""

from pathlib import Path

from vestige.specs import RendererSpec
from vestige.testing import world
from vestige.testing.check import Check, Once, require
from vestige.testing.made import tiny_results


class RendererChecks:
    """The checks of one renderer, with what they share."""

    def __init__(self, spec: RendererSpec) -> None:
        self._spec = spec
        self._scratch = world.scratch(self)
        self._first = Once("writing", lambda: self._write("one"))

    def all(self) -> list[Check]:
        """The checks, in the order in which they are best mended."""
        return [
            Check("writes a file into the folder and says which", self._writes),
            Check("the same at every run", self._again),
            Check("touches no other file", self._others),
            Check("writes a board of one row", lambda: self._write("small", ("do_nothing",))),
        ]

    def _writes(self) -> None:
        folder, path = self._first()
        require(isinstance(path, Path), f"it returned {path!r}", "return the path of the file it wrote")
        require(
            path.is_file() and path.resolve().is_relative_to(folder.resolve()),
            f"{path.name} is no file in the folder it was given",
            "write into `folder`",
        )
        require(path.stat().st_size > 0, f"{path.name} is empty", "write something even where a row failed")

    def _again(self) -> None:
        one, other = (_contents(folder) for folder in (self._first()[0], self._write("two")[0]))
        require(one == other, "a second run wrote other files", "depend on the results alone, not on time or chance")

    def _others(self) -> None:
        folder = self._folder("others")
        (folder / "board.json").write_text("{}")
        before = _contents(folder)
        self._spec.load()(tiny_results(), folder)
        after = _contents(folder)
        require(before.items() <= after.items(), "it changed a file of the run", "write files of its own")

    def _write(self, name: str, labels: tuple[str, ...] | None = None) -> tuple[Path, Path]:
        folder = self._folder(name)
        path: Path = self._spec.load()(tiny_results(labels) if labels else tiny_results(), folder)
        return folder, path

    def _folder(self, name: str) -> Path:
        folder = self._scratch / name
        folder.mkdir(exist_ok=True)
        return folder


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}
