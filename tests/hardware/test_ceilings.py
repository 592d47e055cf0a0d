import json
import time

import pytest
import torch

from workbench.errors import InputError
from workbench.hardware import ceilings as ceilings_module
from workbench.hardware import timing, work
from workbench.hardware.ceilings import Ceiling, Ceilings, measure_ceilings

MIB = 1 << 20


@pytest.fixture(scope="module")
def measured():
    before = torch.get_num_threads()
    found = measure_ceilings(0.3, devices=["cpu"], buffer_bytes=16 * MIB)
    assert torch.get_num_threads() == before
    return found


def test_each_ceiling_keeps_its_samples(measured):
    names = {(one.name, one.dtype) for one in measured.results}
    assert names == {
        ("copy", "float32"), ("read", "float32"), ("read", "bfloat16"),
        ("cached read", "float32"), ("matmul", "float32"), ("matmul", "bfloat16"),
    }  # fmt: skip
    for one in measured.results:
        assert len(one.samples) >= timing.MIN_SAMPLES
        assert all(sample > 0 for sample in one.samples)
        low, high = one.spread
        assert min(one.samples) <= low <= one.median <= high <= max(one.samples)
        assert one.unit == ("GFLOP/s" if one.name == "matmul" else "GB/s")
    assert measured.took_s < 60


def test_limits_are_the_best_that_was_seen(measured):
    for name in ("copy", "read"):
        assert measured.memory_gbs() >= measured.find(name).spread[1]
    assert measured.matmul_gflops("bfloat16") >= measured.find("matmul", "bfloat16").median
    assert measured.cached_gbs() > 0
    assert measured.device == "cpu"
    with pytest.raises(InputError, match=r"float16.*\n.*bfloat16, float32"):
        measured.matmul_gflops("float16")


def test_small_buffers_are_noted(measured):
    assert any("may partly stay in the cache" in note for note in measured.notes)


def test_json_and_back(measured):
    stored = json.loads(json.dumps(measured.to_dict()))
    assert stored["results"][0]["median"] == measured.results[0].median
    assert Ceilings.from_dict(stored) == measured


def test_a_budget_must_be_positive():
    with pytest.raises(InputError, match="budget"):
        measure_ceilings(0)


def test_copy_counts_bytes_read_and_written(monkeypatch):
    # A copy that takes a second moves the buffer twice.
    monkeypatch.setattr(ceilings_module, "time_work", lambda *_: [1.0, 1.0, 1.0])
    monkeypatch.setattr(work, "time_work", lambda *_: [1.0])
    found = measure_ceilings(1, devices=["cpu"], buffer_bytes=16 * MIB)
    assert found.find("copy").median == pytest.approx(2 * 16 * MIB / 1e9)
    assert found.find("read", "bfloat16").median == pytest.approx(16 * MIB / 1e9)
    assert found.find("matmul", "float32").median == pytest.approx(2 * 256**3 / 1e9)


def test_matvec_reads_every_weight():
    pool = torch.ones(3 * 2048)
    product, nbytes = work.matvec(pool, "bfloat16")
    assert nbytes == pool.nbytes
    assert product().shape == (1, 6)
    product, nbytes = work.matvec(pool, "float32")
    assert product().tolist() == [[2048.0] * 3]


def test_settings_are_put_back():
    threads, precision = torch.get_num_threads(), torch.backends.cuda.matmul.fp32_precision
    with pytest.raises(KeyError), work.threads(threads + 1), work.tf32(True):
        assert torch.get_num_threads() == threads + 1
        assert torch.backends.cuda.matmul.fp32_precision == "tf32"
        raise KeyError
    assert torch.get_num_threads() == threads
    assert torch.backends.cuda.matmul.fp32_precision == precision
    assert torch.get_float32_matmul_precision() == "highest"


def test_time_cpu_leaves_the_warm_up_out():
    pauses = iter([0.05])
    samples = timing.time_cpu(lambda: time.sleep(next(pauses, 0.002)), 0.02)
    assert max(samples) < 0.05
    assert min(samples) >= 0.002
    assert len(samples) >= timing.MIN_SAMPLES


def test_time_cuda_is_the_twin_of_time_cpu(monkeypatch):
    calls = {"recorded": 0, "synchronized": 0}

    class Event:  # a CUDA event on the wall clock
        def __init__(self, enable_timing):
            assert enable_timing

        def record(self):
            calls["recorded"] += 1
            self.at = time.perf_counter()

        def synchronize(self):
            calls["synchronized"] += 1

        def elapsed_time(self, end):
            assert calls["synchronized"] * 2 == calls["recorded"]  # else it isn't over yet
            return (end.at - self.at) * 1e3  # ms

    monkeypatch.setattr(torch.cuda, "Event", Event)
    samples = timing.time_work(lambda: time.sleep(0.001), torch.device("cuda", 0), 0.05)
    assert len(samples) >= timing.MIN_SAMPLES
    assert 0.001 <= min(samples) < 0.02


def test_labels_and_a_gpu_that_matters():
    def one(device, threads, rate):
        return Ceiling("read", device, "float32", threads, "GB/s", (rate,) * 3, "1 GiB")

    both = Ceilings("m", (one("cpu", 2, 9.0), one("cuda:0", None, 4.0)), {}, (), 1.0, 1.0)
    assert both.device == "cuda:0"
    assert both.find("read").median == 4.0
    assert both.find("read", device="cpu").label == "read, float32, 2 threads"
    assert both.find("read").label == "read, float32, cuda:0"
    assert both.cached_gbs() is None
