import copy
import getpass
import json
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.hardware import fake_nvml
from workbench.hardware import cpu, fingerprint, gpus


def strings_in(value):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from strings_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings_in(inner)
    elif isinstance(value, str):
        yield value


def torch_sees(monkeypatch, *uuids):
    class Properties:
        name, major, minor, total_memory = "NVIDIA H200", 9, 0, 150_754_820_096

        def __init__(self, uuid):
            self.uuid = uuid

    monkeypatch.setattr(gpus, "_torch_properties", lambda: [Properties(one) for one in uuids])


def test_it_is_json_and_knows_this_machine():
    environment = fingerprint.fingerprint()
    assert json.loads(json.dumps(environment)) == environment
    assert environment["libraries"]["torch"] == torch.__version__
    assert environment["cpu"]["torch_threads"] == torch.get_num_threads()
    assert environment["cpu"]["logical_cores"] >= environment["cpu"]["physical_cores"] >= 1
    assert environment["memory"]["total_bytes"] > environment["memory"]["available_bytes"] > 0
    assert environment["time_utc"].endswith("+00:00")


def test_it_names_no_host_user_or_folder():
    # The processor's model may hold a slash, a path doesn't hide there.
    texts = list(strings_in(fingerprint.fingerprint()))
    words = {word for text in texts for word in re.split(r"[^\w.-]+", text)}
    assert socket.gethostname() not in words
    assert getpass.getuser() not in words
    assert not [text for text in texts if re.search(r"(^|\s)/\w+/|\\Users\\", text)]
    assert str(Path.home()) not in "\n".join(texts)


def test_revision_is_that_of_the_checkout():
    environment = fingerprint.fingerprint()
    root = Path(fingerprint.__file__).parents[2]
    if not (root / ".git").exists():
        assert "not a checkout" in environment["missing"]["workbench.git_revision"]
        return
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True)
    assert environment["workbench"]["git_revision"] == head.stdout.strip()
    assert environment["workbench"]["git_dirty"] in (True, False)


def test_no_revision_outside_a_checkout(monkeypatch, tmp_path):
    monkeypatch.setattr(fingerprint, "_CHECKOUT", tmp_path)
    environment = fingerprint.fingerprint()
    assert environment["workbench"]["git_revision"] is None
    assert environment["missing"]["workbench.git_revision"]


def test_missing_packages_are_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "psutil", None)  # import raises ImportError
    monkeypatch.setitem(sys.modules, "pynvml", None)
    environment = fingerprint.fingerprint()
    assert environment["memory"]["total_bytes"] is None
    assert environment["cpu"]["physical_cores"] is None
    assert "pip install psutil" in environment["missing"]["memory"]
    assert "pip install nvidia-ml-py" in environment["missing"]["gpus"]
    state = fingerprint.state()
    assert state["gpus"] == []
    assert "nvidia-ml-py" in state["missing"]["gpus"]


@pytest.mark.parametrize("old_names", [False, True])
def test_gpu_fields_come_from_nvml(monkeypatch, old_names):
    monkeypatch.setitem(sys.modules, "pynvml", fake_nvml.module(old_names=old_names))
    torch_sees(monkeypatch, "other", "1234")
    read = gpus.read_gpus()
    (gpu,) = read["devices"]
    assert read["driver"] == "580.95.05"
    assert read["reason"] is None
    assert gpu["name"] == "NVIDIA H200"
    assert gpu["compute_capability"] == "9.0"
    assert gpu["torch_index"] == 1  # torch lists another one first
    assert (gpu["sm_clock_mhz"], gpu["memory_clock_mhz"]) == (1980, 3201)
    assert gpu["throttle_reasons"] == [
        "software power cap", "software thermal slowdown", "hardware thermal slowdown"
    ]  # fmt: skip
    assert gpu["power_w"] == 423.5
    assert gpu["power_limit_w"] is None
    assert gpu["not_reported"] == ["power_limit_w"]


def test_without_nvml_torch_tells_what_it_knows(monkeypatch):
    full = fake_nvml.module()
    monkeypatch.setitem(sys.modules, "pynvml", full)
    torch_sees(monkeypatch, "1234")
    with_nvml = gpus.read_gpus()["devices"][0]
    monkeypatch.setitem(sys.modules, "pynvml", fake_nvml.module(library=False))
    read = gpus.read_gpus()
    assert "Shared Library Not Found" in read["reason"]
    (gpu,) = read["devices"]
    assert set(gpu) == set(with_nvml)
    assert gpu["name"] == "NVIDIA H200"
    assert gpu["uuid"] == with_nvml["uuid"]
    assert gpu["sm_clock_mhz"] is None
    assert "sm_clock_mhz" in gpu["not_reported"]


@pytest.mark.parametrize(
    ("mask", "names"),
    [
        (0x0, []),
        (0x1, ["idle"]),
        (0x88, ["hardware slowdown", "hardware power brake"]),
        (0x8000, ["unknown reason 0x8000"]),
    ],
)
def test_throttle_mask(mask, names):
    assert gpus.throttle_reasons(mask) == names


def test_drift_tells_steal_and_throttling():
    quiet = {"load": {"steal_s": 1.0, "cpu_total_s": 100.0}, "gpus": []}
    assert fingerprint.drift(quiet, quiet) == []
    later = copy.deepcopy(quiet)
    later["load"] = {"steal_s": 3.0, "cpu_total_s": 120.0}
    later["gpus"] = [{"index": 0, "throttle_reasons": ["idle", "software power cap"]}]
    assert fingerprint.drift(quiet, later) == [
        "other virtual machines took 10% of the processor's time",
        "GPU 0 held its clocks back: software power cap",
    ]
    unknown = {"load": {"steal_s": None, "cpu_total_s": None}, "gpus": []}
    assert fingerprint.drift(unknown, quiet) == []
    assert isinstance(fingerprint.drift(fingerprint.fingerprint(), fingerprint.state()), list)


def test_label():
    def environment(model, cores, *names):
        return {
            "cpu": {"model": model, "physical_cores": cores, "logical_cores": 8},
            "gpus": [{"name": name, "torch_index": i} for i, name in enumerate(names)],
        }

    label = fingerprint.label
    assert label(environment("AMD EPYC", 2)) == "AMD EPYC, 2 cores"
    assert label(environment("AMD Ryzen 9 7950X 16-Core Processor", 16)) == (
        "AMD Ryzen 9 7950X, 16 cores"
    )
    assert label(environment("Intel(R) Core(TM) i7-8700 CPU @ 3.20GHz", 1)) == (
        "Intel Core i7-8700, 1 core"
    )
    assert label(environment("x", None)) == "x, 8 cores"
    assert label(environment("x", 4, "NVIDIA H200")) == "NVIDIA H200"
    assert label(environment("x", 4, "NVIDIA L4", "NVIDIA L4")) == "2 × NVIDIA L4"
    hidden = environment("x", 4, "NVIDIA L4")
    hidden["gpus"][0]["torch_index"] = None  # a GPU that torch can't use
    assert label(hidden) == "x, 4 cores"


def test_last_level_cache_sums_the_distinct_ones(monkeypatch, tmp_path):
    for core, level, size, shared in (
        (0, 2, "1024K", "0"), (1, 2, "1024K", "1"),
        (0, 3, "32768K", "0-1"), (1, 3, "32768K", "0-1"), (2, 3, "16M", "2-3"),
    ):  # fmt: skip
        folder = tmp_path / f"cpu{core}" / "cache" / f"index{level}"
        folder.mkdir(parents=True)
        for name, text in (("level", level), ("size", size), ("shared_cpu_list", shared)):
            (folder / name).write_text(f"{text}\n")
        (folder / "type").write_text("Unified\n")
    monkeypatch.setattr(cpu, "_CPU_FILES", tmp_path)
    monkeypatch.setattr(cpu.platform, "system", lambda: "Linux")
    assert cpu.last_level_cache_bytes() == 48 << 20
    monkeypatch.setattr(cpu, "_CPU_FILES", tmp_path / "none")
    assert cpu.last_level_cache_bytes() is None


def test_container_limits(monkeypatch, tmp_path):
    monkeypatch.setattr(cpu, "_CGROUP_FILES", tmp_path)
    assert cpu.memory_limit_bytes() is None
    (tmp_path / "memory.max").write_text("4000000000\n")
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    assert cpu.memory_limit_bytes() == 4_000_000_000
    assert cpu.usable_cores() == 0.5
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert cpu.memory_limit_bytes() is None
    assert cpu.usable_cores() >= 1
