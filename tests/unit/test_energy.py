"""Joules come from the right counters, and are never made up."""

import json
import sys
import threading
import time
from types import SimpleNamespace

import pytest
import torch

from gridlaw.runtime import energy

NOT_MEASURED = {"joules": None, "source": "not measured"}


class Powercap:
    """A folder as Linux shows it."""

    def __init__(self, folder):
        self.folder = folder

    def domain(self, name, label, microjoules, most=1_000_000_000):
        domain = self.folder / name
        domain.mkdir()
        (domain / "name").write_text(f"{label}\n")
        (domain / "max_energy_range_uj").write_text(f"{most}\n")
        self.set(name, microjoules)

    def set(self, name, microjoules):
        # A reader beside must not find the file empty.
        (self.folder / name / "new").write_text(f"{microjoules}\n")
        (self.folder / name / "new").replace(self.folder / name / "energy_uj")


@pytest.fixture
def powercap(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    return Powercap(tmp_path)


def wait_until(reached):
    deadline = time.monotonic() + 20
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_processor_packages_alone(powercap):
    powercap.domain("intel-rapl:0", "package-0", 5_000_000)
    powercap.domain("intel-rapl:1", "package-1", 0)
    powercap.domain("intel-rapl:2", "psys", 0)
    powercap.domain("intel-rapl:0:0", "core", 0)
    powercap.domain("intel-rapl-mmio:0", "package-0", 0)
    with energy.Energy(powercap.folder) as used:
        powercap.set("intel-rapl:0", 7_000_000)
        powercap.set("intel-rapl:1", 500_000)
        for other in ("intel-rapl:2", "intel-rapl:0:0", "intel-rapl-mmio:0"):
            powercap.set(other, 100_000_000)
    expected = {"joules": 2.5, "source": "RAPL: the whole of 2 processor packages, other jobs included"}
    assert used.record() == expected
    assert json.loads(json.dumps(used.record())) == expected


def test_counter_that_starts_again(powercap):
    powercap.domain("intel-rapl:0", "package-0", 9_000_000, most=10_000_000)
    with energy.Energy(powercap.folder) as used:
        powercap.set("intel-rapl:0", 2_000_000)
    assert used.record() == {"joules": 3.0, "source": "RAPL: the whole of 1 processor package, other jobs included"}


def test_counter_that_starts_again_twice(powercap, monkeypatch):
    monkeypatch.setattr(energy, "PERIOD_SECONDS", 0.01)
    powercap.domain("intel-rapl:0", "package-0", 0, most=10_000_000)
    with energy.Energy(powercap.folder) as used:
        for value in (6_000_000, 2_000_000, 8_000_000, 4_000_000):
            powercap.set("intel-rapl:0", value)
            wait_until(lambda value=value: used._last == [value / 1e6])
    assert used.record()["joules"] == 24.0


def test_stops_promptly(powercap):
    powercap.domain("intel-rapl:0", "package-0", 0)
    with energy.Energy(powercap.folder):
        watching = [thread for thread in threading.enumerate() if thread.name == "energy"]
        assert [thread.daemon for thread in watching] == [True]
        started = time.monotonic()
    assert time.monotonic() - started < 10
    assert not watching[0].is_alive()


def test_no_counter(powercap):
    with energy.Energy(powercap.folder / "missing") as used:
        pass
    assert used.record() == NOT_MEASURED
    with energy.Energy(powercap.folder) as used:
        pass
    assert used.record() == NOT_MEASURED


@pytest.mark.parametrize("content", ["", "no number", None])
def test_unreadable_from_the_start(powercap, content):
    # A folder in the file's place fails for root too, whom no permission stops.
    powercap.domain("intel-rapl:0", "package-0", 0)
    powercap.domain("intel-rapl:1", "package-1", 0)
    file = powercap.folder / "intel-rapl:1/energy_uj"
    file.unlink()
    file.mkdir() if content is None else file.write_text(content)
    with energy.Energy(powercap.folder) as used:
        powercap.set("intel-rapl:0", 2_000_000)
    assert used.record() == NOT_MEASURED


def test_unreadable_from_some_time_on(powercap, monkeypatch):
    monkeypatch.setattr(energy, "PERIOD_SECONDS", 0.01)
    powercap.domain("intel-rapl:0", "package-0", 0)
    with energy.Energy(powercap.folder) as used:
        powercap.set("intel-rapl:0", 1_000_000)
        wait_until(lambda: used.record()["joules"] == 1.0)
        (powercap.folder / "intel-rapl:0/energy_uj").unlink()
    assert used.record() == NOT_MEASURED


def test_counters_without_movement_or_range_measure_nothing(powercap):
    powercap.domain("intel-rapl:0", "package-0", 1_000_000)
    with energy.Energy(powercap.folder) as used:
        pass
    assert used.record() == NOT_MEASURED
    (powercap.folder / "intel-rapl:0/max_energy_range_uj").write_text("0")
    with energy.Energy(powercap.folder) as used:
        powercap.set("intel-rapl:0", 2_000_000)
    assert used.record() == NOT_MEASURED


def test_failure_of_the_block_goes_on(powercap):
    powercap.domain("intel-rapl:0", "package-0", 0)
    with pytest.raises(KeyError), energy.Energy(powercap.folder) as used:
        powercap.set("intel-rapl:0", 1_000_000)
        raise KeyError("of the block")
    assert used.record()["joules"] == 1.0


class Nvml:
    """Four GPUs; CUDA shows the program two of them, in an order of its own."""

    class NVMLError(Exception):
        pass

    def __init__(self):
        self.millijoules = {"GPU-a": 1000, "GPU-b": 2000, "GPU-c": 3000, "GPU-d": 4000}
        self.partitioned = {}
        self.started = False

    def nvmlInit(self):  # noqa: N802
        self.started = True

    def nvmlDeviceGetHandleByUUID(self, uuid):  # noqa: N802
        if not self.started or uuid not in self.millijoules:
            raise self.NVMLError
        return uuid

    def nvmlDeviceGetMigMode(self, handle):  # noqa: N802
        if handle not in self.partitioned:
            raise self.NVMLError
        return [self.partitioned[handle], 0]

    def nvmlDeviceGetTotalEnergyConsumption(self, handle):  # noqa: N802
        if handle not in self.millijoules:
            raise self.NVMLError
        return self.millijoules[handle]


@pytest.fixture
def nvml(powercap, monkeypatch):
    fake, visible = Nvml(), ["d", "b"]
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(visible))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda gpu: SimpleNamespace(uuid=visible[gpu]))
    fake.visible = visible
    # Where there is a GPU, a processor's joules must never stand for it.
    powercap.domain("intel-rapl:0", "package-0", 0)
    fake.powercap = powercap
    return fake


def measured(nvml, use):
    with energy.Energy(nvml.powercap.folder) as used:
        nvml.powercap.set("intel-rapl:0", 77_000_000)
        for gpu, millijoules in use.items():
            nvml.millijoules[f"GPU-{gpu}"] += millijoules
    return used.record()


def test_visible_gpus_alone(nvml):
    assert measured(nvml, {"a": 50_000, "b": 2_500, "c": 60_000, "d": 1_000}) == {
        "joules": 3.5,
        "source": "NVML: 2 GPUs",
    }
    nvml.visible[:] = ["c"]
    assert measured(nvml, {"a": 50_000, "b": 2_500, "c": 60_000}) == {"joules": 60.0, "source": "NVML: 1 GPU"}


def test_partitions_of_a_gpu_are_not_measured(nvml):
    nvml.partitioned = {"GPU-b": 0}
    assert measured(nvml, {"b": 2_500, "d": 1_000})["joules"] == 3.5
    nvml.partitioned = {"GPU-b": 1}
    assert measured(nvml, {"b": 2_500, "d": 1_000}) == NOT_MEASURED


@pytest.mark.parametrize("call", ["nvmlInit", "nvmlDeviceGetHandleByUUID", "nvmlDeviceGetTotalEnergyConsumption"])
def test_broken_nvml(nvml, monkeypatch, call):
    def fail(*arguments):
        raise nvml.NVMLError

    monkeypatch.setattr(nvml, call, fail)
    assert measured(nvml, {"b": 2_500, "d": 1_000}) == NOT_MEASURED


def test_nvml_that_is_set_back(nvml):
    assert measured(nvml, {"b": 2_500, "d": -1_000}) == NOT_MEASURED


def test_nvml_that_breaks_in_between(nvml, monkeypatch):
    monkeypatch.setattr(energy, "PERIOD_SECONDS", 0.01)
    nvml.visible[:] = ["a"]
    with energy.Energy() as used:
        nvml.millijoules["GPU-a"] += 2_000
        wait_until(lambda: used.record()["joules"] == 2.0)
        del nvml.millijoules["GPU-a"]
    assert used.record() == NOT_MEASURED


def test_no_nvml(nvml, monkeypatch):
    # None in its place is how Python says that a module cannot be imported.
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert measured(nvml, {"b": 2_500, "d": 1_000}) == NOT_MEASURED


def test_several_nodes():
    one, two = {"joules": 1.5, "source": "NVML: 4 GPUs"}, {"joules": 2.0, "source": "NVML: 4 GPUs"}
    assert energy.add_nodes([one]) == one
    assert energy.add_nodes([one, two]) == {"joules": 3.5, "source": "2 nodes: NVML: 4 GPUs"}
    other = {"joules": 1.0, "source": "NVML: 1 GPU"}
    assert energy.add_nodes([one, other])["source"] == "2 nodes: NVML: 4 GPUs and NVML: 1 GPU"
    assert energy.add_nodes([one, NOT_MEASURED, two]) == NOT_MEASURED
