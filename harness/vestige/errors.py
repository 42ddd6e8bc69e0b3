"""The errors a user meets: one clear sentence each, with the nearest thing that would have worked."""

import contextlib
import difflib
from collections.abc import Iterable, Iterator


class VestigeError(Exception):
    """Something went wrong that one sentence can explain; the command line prints only that sentence."""


class InputError(VestigeError):
    """The user's input cannot be used: names the file, line or key, and what would be right."""


class MissingExtra(InputError):
    """What was asked for needs libraries that an extra of Vestige installs."""


class StoreError(VestigeError):
    """The store cannot be read or written (full disk, read-only folder)."""


class ScoreError(VestigeError):
    """A recommender returned scores that cannot be ranked: not finite, or of the wrong shape."""


@contextlib.contextmanager
def blamed(what: str, but: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Says in a sentence who failed, where a plugin raises what it likes.

    Args:
        what: Who.
        but: What the caller tells of better.

    Raises:
        VestigeError: Something was raised; what is one already stays as it is.
    """
    known: tuple[type[Exception], ...] = (VestigeError, *but)
    try:
        yield
    except known:
        raise
    except Exception as error:
        text = " ".join(str(error).split())
        raise VestigeError(f"{what} failed ({type(error).__name__}: {text}); `--debug` shows where.") from error


def unknown(kind: str, name: str, valid: Iterable[str], where: str = "") -> InputError:
    """An `InputError` for a name that does not exist, naming the nearest valid one, or all of them."""
    names = sorted(valid)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if near:
        hint = f"did you mean {near[0]!r}?"
    elif names:
        hint = f"valid: {', '.join(names)}."
    else:
        hint = "there is none."
    prefix = f"{where}: " if where else ""
    return InputError(f"{prefix}unknown {kind} {name!r}; {hint}")
