"""What is kept of an attack that does not end well."""

import contextlib
import errno
import math
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from vestige.errors import StoreError, VestigeError
from vestige.measuring.attacks import Recovered, Target
from vestige.measuring.contract import Measurement
from vestige.methods import Unlearned
from vestige.pipeline import stages
from vestige.pipeline.artifacts import save_attempts
from vestige.pipeline.resources import out_of_memory
from vestige.pipeline.stages import Workbench
from vestige.pipeline.store import Store
from vestige.plugins import load
from vestige.progress import silent


class OutOfMemoryError(RuntimeError):
    """As CUDA raises it."""


CPU = "[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes."


class Raises:
    def __init__(self, error: Exception) -> None:
        self.error = error

    def attack(self, target: Target) -> Any:
        raise self.error


def attacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> tuple[Store, Any]:
    bench = Workbench(Store(tmp_path), load())
    for name in ("_inputs_of", "_model", "_views"):
        monkeypatch.setattr(bench, name, lambda *_: type("Nothing", (), {"data": None, "split": None})())
    monkeypatch.setattr(bench, "_plugin", lambda described: Raises(error))
    payload = {"attack": {"name": "raises"}, "model": {}, "seed": 0, "device": "cpu"}
    return bench.store, lambda: bench.store.make("attack", "key", lambda folder: bench._attack(payload, folder, silent))


@pytest.mark.parametrize("error", [RuntimeError(CPU), OutOfMemoryError("CUDA"), MemoryError()])
def test_too_little_memory_is_no_result_of_an_attack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    store, attack = attacked(tmp_path, monkeypatch, error)
    with pytest.raises(type(error)):
        attack()
    assert not store.has("attack", "key")


@pytest.mark.parametrize(("error", "kept"), [(MemoryError(), False), (ValueError("two hits"), True)])
def test_too_little_memory_for_what_was_found_is_no_result_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, kept: bool
) -> None:
    store, attack = attacked(tmp_path, monkeypatch, error)
    monkeypatch.setattr(Raises, "attack", lambda self, target: [])

    def save(*_: object) -> None:
        raise error

    monkeypatch.setattr(stages, "save_attempts", save)
    with contextlib.nullcontext() if kept else pytest.raises(MemoryError):
        attack()
    assert store.has("attack", "key") is kept


def test_what_an_attack_raises_is_kept_as_its_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, attack = attacked(tmp_path, monkeypatch, ValueError("no\nstates"))
    attack()
    assert store.require("attack", "key").meta["failed"] == "ValueError: no states"


@pytest.mark.parametrize("named", [None, "/usr/lib/its-own-words.txt"])
def test_a_file_that_an_attack_cannot_read_is_the_attacks_own_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str | None
) -> None:
    """Also on a read-only disk, if it is another than the store's."""
    for number in (errno.ENOENT, errno.EROFS) if named else (errno.ENOENT,):
        store, attack = attacked(tmp_path / str(number), monkeypatch, OSError(number, os.strerror(number), named))
        attack()
        assert os.strerror(number) in store.require("attack", "key").meta["failed"]


def test_a_full_disk_is_no_result_of_an_attack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for error in (OSError(errno.ENOSPC, "full"), OSError(errno.ENOSPC, "full", str(tmp_path / "tmp" / "file"))):
        store, attack = attacked(tmp_path, monkeypatch, error)
        with pytest.raises(StoreError, match=r"cannot be written \(full\)"):
            attack()
        assert not store.has("attack", "key")


@pytest.mark.parametrize(
    ("told", "fault"),
    [({"setup_seconds": 10.1}, "setup_seconds"), ({"setup_seconds": -1.0}, "setup_seconds"), ({"flops": -1.0}, "flops"),
     ({"flops": math.nan}, "flops"), ({"setup_seconds": math.nan}, "setup_seconds"),
     ({"setup_seconds": 10.0, "flops": 0.0}, ""), ({}, "")],
)  # fmt: skip
def test_what_a_method_says_of_its_cost_can_be(told: dict[str, float], fault: str) -> None:
    """A setup longer than all of it would make many requests cost less than nothing."""
    found = Unlearned(None, 0, **told)  # type: ignore[arg-type]
    if not fault:
        stages._check_cost(found, 10.0)
        return
    with pytest.raises(VestigeError, match=fault):
        stages._check_cost(found, 10.0)


def test_memory_that_ran_out_is_seen_through_a_sentence_about_it() -> None:
    told = VestigeError("the metric 'large' raised MemoryError: ")
    told.__cause__ = MemoryError()
    assert out_of_memory(told) and not out_of_memory(VestigeError("the metric 'large' raised KeyError: 1"))
    for words in (
        "std::bad_alloc",
        "CUDA error: out of memory",
        "CUBLAS_STATUS_ALLOC_FAILED in a call",
    ):
        assert out_of_memory(RuntimeError(words)), words


@pytest.mark.parametrize(("better", "right"), [("higher", True), ("0.5", True), ("max", False), ("", False)])
def test_a_metric_that_says_nonsense_of_what_is_better_fails_by_name(better: str, right: bool) -> None:
    """What a record cannot hold would end the whole board after all of it was run."""
    found = Measurement("m", "retain", 0.5, better=better)  # type: ignore[arg-type]
    if right:
        assert stages._recordable("mine", found) is found
        return
    with pytest.raises(VestigeError, match="the metric 'mine' says of m that"):
        stages._recordable("mine", found)


def test_two_measurements_of_one_name_fail_by_name() -> None:
    one, other = Measurement("m", "retain", 0.5), Measurement("m", "forget", 0.5)
    stages._check_once([("mine", one), ("yours", other)])
    stages._check_once([("mine", Measurement("s", "", 1.0, varies=True))] * 2)
    with pytest.raises(VestigeError, match="the metrics 'mine' and 'yours' both measured m/retain"):
        stages._check_once([("mine", one), ("yours", one)])


def brought(tmp_path: Path, *names: str) -> dict[str, Any]:
    target = cast(Target, SimpleNamespace(forget=range(3)))
    return save_attempts([Recovered(name, np.full(3, 0.5)) for name in names], target, tmp_path)


def test_an_attempt_that_is_made_twice_fails_by_name(tmp_path: Path) -> None:
    assert set(brought(tmp_path, "one", "two")["recovered"]) == {"one", "two"}
    with pytest.raises(VestigeError, match="the attempt 'one' was made twice"):
        brought(tmp_path, "one", "two", "one")


def test_attempts_of_one_name_that_no_spec_declares_fail_by_name(tmp_path: Path) -> None:
    bench = Workbench(Store(tmp_path), load())
    for attack, attempts in {"a": ("mine",), "b": ("mine", "other"), "c": ("other",)}.items():
        bench.store.make("attack", attack, lambda folder, attempts=attempts: brought(folder, *attempts))
    assert set(bench._attempts({"evasion": "a", "bypass": "c"}).recovered) == {"mine", "other"}
    with pytest.raises(VestigeError, match="the attacks 'evasion' and 'bypass' both made the attempt 'mine'"):
        bench._attempts({"evasion": "a", "bypass": "b"})
