"""A process that has imported everything, and forks a command line for each request: so no test waits for imports.

Started once a test process, as a file (nothing of the repository's root is to be imported by accident). Requests come
on standard input, one JSON object a line: `words`, `cwd`, `env`, `path` (where further packages lie), `out` and `err`
(files), `seconds`; the answer is the exit code, or None where the time was up. The command runs as it does for a user,
in a process of its own with its own environment, but that its workers are forked from it as well.
`VESTIGE_TEST_COLD=1` starts every command from nothing.
"""

import importlib
import json
import os
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from vestige.pipeline.worker import preload
from vestige.quiet import quiet_libraries

COMMAND = (
    "vestige.cli", "vestige.step_commands", "vestige.api", "vestige.pipeline.local", "vestige.pipeline.plan",
    "vestige.pipeline.stages", "vestige.pipeline.tuning", "vestige.results.render", "vestige.results.check_files",
    "vestige.steps.train", "vestige.steps.unlearn", "vestige.steps.measure",
)  # fmt: skip
"""What commands import; one that is not there is left to the command."""


def main() -> None:
    """Serves requests until standard input closes."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    shown = [*warnings.filters]
    quiet_libraries()
    preload()
    for name in COMMAND:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:
            continue
    _parse_sources()
    warnings.filters = shown
    for line in sys.stdin:
        answers.write(json.dumps(_serve(json.loads(line))) + "\n")


def _parse_sources() -> None:
    """Of all plugins that are installed; who is forked reads the files anew, and parses what is not the same."""
    from vestige import plugins
    from vestige.pipeline.sources import read_digest

    installed = plugins.load()
    for kind in plugins.HOOK_OF:
        for spec in installed.all(kind).values():
            read_digest(spec)


def _serve(asked: Mapping[str, Any]) -> int | None:
    child = os.fork()
    if child == 0:
        os.setsid()
        os.chdir(asked["cwd"])
        _become(asked["env"], os.open(os.devnull, os.O_RDONLY), *(_fresh(asked[name]) for name in ("out", "err")))
        sys.path[:0] = asked["path"]  # as PYTHONPATH would have it
        importlib.invalidate_caches()
        sys.argv = ["vestige", *asked["words"]]
        from vestige.pipeline import local

        local.subprocess = _Forking()  # type: ignore[attr-defined, assignment]
        from vestige.cli import main as command

        _end(command)
    until = time.monotonic() + asked["seconds"]
    while time.monotonic() < until:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def _fresh(file: str) -> int:
    return os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)


def _become(environment: Mapping[str, str], standard_input: int, out: int, err: int) -> None:
    """Takes on an environment and the three standard streams."""
    os.environ.clear()
    os.environ.update(environment)
    for number, target in enumerate((standard_input, out, err)):
        os.dup2(target, number)
    os.closerange(3, 1024)  # what others are to see the end of must not be open here
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout, sys.stderr = (open(number, "w", buffering=1, closefd=False) for number in (1, 2))  # noqa: SIM115


def _end(work: Callable[[], object]) -> NoReturn:
    """Runs `work` and ends this process as the interpreter would."""
    code: object = 1
    try:
        work()
        code = 0
    except SystemExit as exit_:
        code = exit_.code or 0
        if not isinstance(code, int):
            print(code, file=sys.stderr)
            code = 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)


class _Forking:
    """Stands for the module `subprocess` where workers are started."""

    PIPE = -1

    class Popen:
        """A worker, forked from this process instead of started anew."""

        def __init__(self, words: list[str], env: Mapping[str, str], **_: object) -> None:
            theirs_in, ours_out = os.pipe()
            ours_in, theirs_out = os.pipe()
            self.returncode: int | None = None
            self.pid = os.fork()
            if self.pid == 0:
                os.setsid()
                signal.signal(signal.SIGINT, signal.SIG_DFL)
                _become(env, theirs_in, theirs_out, 2)
                sys.argv = words[words.index("vestige.pipeline.worker") :]
                from vestige.pipeline import worker

                _end(worker.main)
            os.close(theirs_in)
            os.close(theirs_out)
            self.stdin, self.stdout = os.fdopen(ours_out, "wb"), os.fdopen(ours_in, "rb", buffering=0)

        def poll(self) -> int | None:
            """The exit code, once there is one."""
            return self._ended(os.WNOHANG)

        def wait(self) -> int:
            """Waits for the exit code."""
            found = self._ended(0)
            assert found is not None
            return found

        def _ended(self, how: int) -> int | None:
            if self.returncode is None:
                found, status = os.waitpid(self.pid, how)
                if found:
                    self.returncode = os.waitstatus_to_exitcode(status)
            return self.returncode


if __name__ == "__main__":
    main()
