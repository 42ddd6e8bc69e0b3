"""What a job takes is measured where it computes; a planted GPU stands in for one, so that this runs anywhere."""

import os
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from vestige.errors import InputError
from vestige.pipeline import provenance
from vestige.pipeline.resources import Meter, check_gpu, hide_gpus
from vestige.steps.running import Machine


class PlantedGpu:
    """Two GPUs of 7 and 9 bytes, for whose answers one waits a tenth of a second."""

    def __init__(self) -> None:
        self.peaks = {"cuda": 7, "cuda:0": 7, "cuda:1": 9}
        self.calls: list[str] = []

    def is_available(self) -> bool:
        return True

    def device_count(self) -> int:
        return 2

    def synchronize(self, device: str) -> None:
        self.calls.append(f"wait for {device}")
        time.sleep(0.1)

    def reset_peak_memory_stats(self, device: str) -> None:
        self.calls.append(f"reset {device}")

    def max_memory_allocated(self, device: str) -> int:
        return self.peaks[device]

    def get_device_name(self, device: str) -> str:
        return f"Planted {device}"


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> PlantedGpu:
    planted = PlantedGpu()
    monkeypatch.setattr(torch, "cuda", planted)
    return planted


def test_a_gpu_is_waited_for_and_its_own_memory_counted(gpu: PlantedGpu) -> None:
    meter = Meter("cuda:1")
    assert gpu.calls == ["wait for cuda:1", "reset cuda:1"]  # what was asked before is not of this work
    taken = meter.read()
    assert taken["peak_bytes"] == 9
    assert gpu.calls[-1] == "wait for cuda:1"
    assert taken["seconds"] >= 0.1  # what the last wait took is in it


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak is that of the process so far")
def test_on_a_processor_the_peak_is_that_of_the_work_alone(gpu: PlantedGpu) -> None:
    def taken(mebibytes: int) -> int:
        meter = Meter("cpu")
        np.ones(mebibytes << 17).sum()
        return int(meter.read()["peak_bytes"])

    large, small = taken(256), taken(1)
    assert large - small > 200 << 20
    assert not gpu.calls


def test_a_gpu_that_is_not_there_is_said_by_number(gpu: PlantedGpu) -> None:
    for device in ("cpu", "cuda", "cuda:0", "cuda:1"):
        check_gpu(device)
    with pytest.raises(InputError, match=r"'cuda:2' was asked for, and this machine has GPUs up to cuda:1"):
        check_gpu("cuda:2")


def test_provenance_names_the_gpu(gpu: PlantedGpu) -> None:
    assert provenance.made_by("cuda:1")["processor"] == "Planted cuda:1"
    assert provenance.made_by("cpu")["processor"] == provenance.here()["processor"]


def test_work_on_the_processor_sees_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    hide_gpus("cuda:1")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,1"
    hide_gpus("cpu")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""


def test_a_step_in_python_leaves_the_gpus_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert Machine("cpu", torch.get_num_threads()).start() == "cpu"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,1"
