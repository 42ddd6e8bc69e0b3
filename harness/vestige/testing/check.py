"""A check, and how it fails: with what was wrong, and what to change."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

ValueT = TypeVar("ValueT")


class Fault(AssertionError):
    """A check that failed.

    Attributes:
        wrong: What was found.
        change: What the author should do about it.
    """

    def __init__(self, wrong: str, change: str) -> None:
        super().__init__(f"{wrong}; {change}")
        self.wrong, self.change = wrong, change


@dataclass(frozen=True)
class Check:
    """One property of a plugin.

    Attributes:
        name: What holds where it passes.
        run: Raises a `Fault` where it does not.
    """

    name: str
    run: Callable[[], object]

    def __call__(self) -> None:
        """Runs the check.

        Raises:
            Fault: It failed; whatever the plugin raised is the cause.
        """
        try:
            self.run()
        except Fault:
            raise
        except Exception as error:  # a plugin may raise anything; its author is told what and where
            raise Fault(f"it raised {said(error)}", "nothing may be raised here") from error

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Verdict:
    """How a check ended.

    Attributes:
        check: Its name.
        fault: None where it passed.
    """

    check: str
    fault: Fault | None

    @property
    def ok(self) -> bool:
        """Whether it passed."""
        return self.fault is None

    def __str__(self) -> str:
        return f"ok    {self.check}" if self.fault is None else f"FAIL  {self.check}: {self.fault}."


class Once(Generic[ValueT]):
    """Work that several checks stand on: done once. Where it fails, the first check says how, the others only that."""

    def __init__(self, what: str, make: Callable[[], ValueT]) -> None:
        self._what, self._make = what, make
        self._made: list[ValueT] = []
        self._failed = False

    def __call__(self) -> ValueT:
        """What `make` returned.

        Raises:
            Fault: It has failed before.
        """
        if self._failed:
            raise Fault(f"not checked, because {self._what} failed", "mend that first")
        if not self._made:
            try:
                self._made.append(self._make())
            except BaseException:
                self._failed = True
                raise
        return self._made[0]


def require(holds: object, wrong: str, change: str) -> None:
    """Raises a `Fault` unless `holds`."""
    if not holds:
        raise Fault(wrong, change)


def said(error: BaseException) -> str:
    """An error in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
