"""How busy GPUs are, as a program of the name nvidia-smi says."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from arena_ray.runner.gpu_load import INTERVAL_S, PATIENCE_S, GpuLoad


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def put(script: str) -> None:
        path = tmp_path / "nvidia-smi"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    return put


def answer(load: GpuLoad) -> float | None:
    """Return what the program that was asked says, once it has ended."""
    assert load.look() is None
    asked = load._asking
    assert asked is not None
    deadline = time.monotonic() + 10
    while asked.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    return load.look()


def test_the_mean_of_all_that_the_run_sees_is_told_once_in_a_while(says, tmp_path: Path) -> None:
    says(f'echo "$@" >> {tmp_path}/asked; printf "20\\n60\\n"')
    clock = Clock()
    load = GpuLoad.of({"CUDA_VISIBLE_DEVICES": "0,GPU-1"})
    load._clock = clock
    assert answer(load) == 40.0
    clock.now = INTERVAL_S - 1
    assert load.look() is None
    assert load._asking is None
    clock.now = INTERVAL_S
    assert answer(load) == 40.0
    lines = (tmp_path / "asked").read_text().splitlines()
    assert lines == ["--query-gpu=utilization.gpu --format=csv,noheader,nounits --id=0,GPU-1"] * 2


@pytest.mark.parametrize("script", ["echo '[N/A]'", "echo 10; exit 9", "exit 0"])
def test_what_is_not_known_is_not_told(says, script: str) -> None:
    says(script)
    assert answer(GpuLoad("0")) is None


def test_nobody_is_asked_without_a_gpu_or_without_the_program(says, monkeypatch: pytest.MonkeyPatch) -> None:
    says("echo 1")
    without = GpuLoad.of({"CUDA_VISIBLE_DEVICES": ""})
    monkeypatch.setenv("PATH", "/nowhere")
    for load in (without, GpuLoad("0")):
        assert load.look() is None
        assert load._asking is None


def test_a_driver_that_hangs_is_given_up_on(says) -> None:
    says("exec sleep 60")
    clock = Clock()
    load = GpuLoad("0", clock=clock)
    assert load.look() is None
    asked = load._asking
    clock.now = PATIENCE_S
    assert load.look() is None
    assert asked is not None
    assert asked.poll() is not None
    assert load.look() is None
    assert load._asking is not None
    load.close()
