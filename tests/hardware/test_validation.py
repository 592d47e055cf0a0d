import json
import os
import sys
import time
from pathlib import Path

import pytest
import torch

from workbench.hardware import (
    check,
    checks_gpu,
    checks_machine,
    checks_software,
    probes,
    validation,
)
from workbench.hardware.check import Check, Inquiry, Outcome, run_apart

GPU_ROWS = {"CUDA", "GPU", "TF32", "CUDA graphs", "flash-attn package"}
GPU = {
    "index": 0, "torch_index": 0, "name": "NVIDIA H200", "memory_bytes": 150_000_000_000,
    "compute_capability": "9.0", "throttle_reasons": ["idle"],
}  # fmt: skip


@pytest.fixture
def no_compile(monkeypatch):
    monkeypatch.setattr(checks_software, "compiles", lambda limit_s: ("ok", "quick", ""))


@pytest.fixture
def gpu(monkeypatch):
    """A machine with a GPU, as far as the checks see it; returns what they are told."""
    told = {"devices": [dict(GPU)], "driver": "580.95.05", "reason": None, "outcome": {}}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_80", "sm_90", "compute_90"])
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(checks_gpu, "read_gpus", lambda: told)
    for module in (checks_gpu, checks_machine):
        monkeypatch.setattr(module, "run_probe", lambda *_: told["outcome"])
    return told


def done(**result):
    return Outcome(0, json.dumps(result) + "\n", "", 1.0)


def test_every_row_is_complete_and_calm(no_compile, tmp_path):
    heard = []
    rows = validation.validate(output=tmp_path / "new" / "deep", progress=heard.append)
    assert [row.name for row in rows] == heard
    assert len(set(heard)) == len(heard)
    for row in rows:
        assert row.found
        assert row.why
        assert row.status in ("ok", "warning", "failed", "absent")
        assert row.remedy or row.status == "ok"
        assert str(tmp_path) not in row.found
    by_name = {row.name: row for row in rows}
    assert by_name["Python"].status == by_name["sound files"].status == "ok"
    assert {row.status for row in rows if row.status == "failed"} == set()
    if not torch.cuda.is_available():
        absent = [by_name[name] for name in GPU_ROWS]
        assert {row.status for row in absent} == {"absent"}
        assert len({row.found for row in absent}) == 1  # one voice
        assert all(row.remedy.startswith("with one: ") for row in absent)
    assert not (tmp_path / "new").exists()


def test_a_check_that_raises_is_a_failed_row(no_compile):
    def broken():
        raise ZeroDivisionError("no luck\nsecond line")

    (row,) = validation.validate(more=[Inquiry("mine", "why not", broken)])[-1:]
    assert row == Check(
        "mine", "failed", "the check itself failed: ZeroDivisionError: no luck",
        "please report this with `workbench hardware --json`", "why not",
    )  # fmt: skip


def test_verdict():
    rows = [Check("a", "ok", "."), Check("b", "absent", ".")]
    assert validation.verdict(rows[:1]) == "Everything that should work on this machine works."
    assert validation.verdict(rows).endswith("Not on this machine: b.")
    rows.append(Check("c", "warning", "."))
    assert "worth a look: c." in validation.verdict(rows)
    rows.append(Check("d", "failed", "."))
    assert validation.verdict(rows).startswith("1 of 4 checks failed: d.")


def test_compile_without_a_compiler_is_a_warning(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("CC", "CXX"):
        monkeypatch.delenv(name, raising=False)
    status, found, remedy = checks_software.compiles(120.0)
    assert status == "warning"
    assert "no C++ compiler" in found or "no C compiler" in found
    assert "compiler" in remedy or "install" in remedy


def test_compile_that_takes_too_long_is_given_up(monkeypatch):
    began = time.perf_counter()
    status, found, _ = checks_software.compiles(0.2)
    assert (status, found) == ("warning", "not done within 0 s")
    assert time.perf_counter() - began < 20


@pytest.mark.slow
def test_compile_really_compiles():
    status, found, remedy = checks_software.compiles(300.0)
    assert status in ("ok", "warning"), found
    assert "s from cold" in found if status == "ok" else remedy


@pytest.mark.parametrize(
    ("stderr", "expected"),
    [
        ("x\nInvalidCxxCompiler: No working C++ compiler found", "no C++ compiler"),
        ("RuntimeError: Failed to find C compiler. Please specify", "no C compiler"),
        ("fatal error: Python.h: No such file", "header files"),
        ("Traceback\nValueError: odd\n\nSet TORCHDYNAMO_VERBOSE=1", "ValueError: odd"),
        ("", "no message"),
    ],
)
def test_compile_failures_are_explained(stderr, expected, monkeypatch):
    monkeypatch.setattr(checks_software, "run_probe", lambda *a, **k: Outcome(1, "", stderr, 1.0))
    status, found, remedy = checks_software.compiles(1.0)
    assert status == "warning"
    assert expected in found
    assert remedy


@pytest.mark.skipif(os.name == "nt", reason="process groups are POSIX")
def test_a_hanging_program_ends_with_its_children(tmp_path):
    note = tmp_path / "pid"
    code = (
        "import subprocess, sys, time, pathlib\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"pathlib.Path({str(note)!r}).write_text(str(child.pid))\n"
        "print('waiting', flush=True); time.sleep(60)"
    )
    outcome = run_apart([sys.executable, "-c", code], 3.0)
    assert outcome.code is None
    assert outcome.stdout == "waiting\n"
    assert outcome.took_s < 20
    deadline = time.perf_counter() + 5
    while _alive(int(note.read_text())):
        assert time.perf_counter() < deadline, "the grandchild outlived its time limit"
        time.sleep(0.05)


def _alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/status")
    return not (status.exists() and "State:\tZ" in status.read_text())


def test_probes_run_on_the_cpu():
    attention = probes.attention("cpu")
    assert attention["works"]["math"] == 0
    assert all(gap < 1e-4 for gap in attention["works"].values())
    ratios = probes.bf16("cpu")
    assert ratios["matmul"] > 0
    assert ratios["matvec"] > 0
    assert 0 < ratios["error"] < 0.05


def test_probe_as_a_program():
    outcome = check.run_probe("attention", "cpu", 120.0)
    assert outcome.code == 0, outcome.stderr
    assert json.loads(check.last_line(outcome.stdout))["dtype"] == "float32"
    outcome = check.run_probe("attention", "nowhere", 120.0)
    assert outcome.code == 1
    assert "nowhere" in outcome.stderr


def test_a_gpu_in_order(gpu, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: 91_000)
    assert checks_gpu.cuda() == ("ok", "CUDA 13.0, cuDNN 91000, driver 580.95.05", "")
    assert checks_gpu.gpu() == ("ok", "NVIDIA H200, 150.0 GB, sm_90", "")
    gpu["outcome"] = done(speedup=6.0, error=3e-4)
    assert checks_gpu.tf32()[0] == "ok"
    gpu["outcome"] = done(gap=0.0, eager_us=400.0, graph_us=60.0)
    assert checks_gpu.cuda_graphs()[:2] == (
        "ok", "captured and replayed: 50 small steps in 60 µs, 400 µs without"
    )  # fmt: skip
    gpu["outcome"] = done(matmul=12.0, matvec=1.9, error=0.004)
    assert checks_machine.bf16()[0] == "ok"
    gpu["outcome"] = done(works={"flash": 0.01, "math": 0.0}, refused={}, dtype="bfloat16")
    assert checks_machine.attention()[:2] == ("ok", "on cuda:0: flash, math run and agree")


def test_a_gpu_in_trouble(gpu):
    gpu["devices"][0] |= {"throttle_reasons": ["hardware thermal slowdown"]}
    status, found, remedy = checks_gpu.gpu()
    assert (status, "hardware thermal slowdown" in found, "cooling" in remedy) == (
        "warning", True, True
    )  # fmt: skip
    gpu["devices"][0] |= {"compute_capability": "7.0"}
    status, _, remedy = checks_gpu.gpu()
    assert status == "failed"
    assert "sm_80, sm_90" in remedy
    gpu["outcome"] = done(speedup=1.0, error=0.0)
    assert checks_gpu.tf32()[0] == "warning"
    gpu["outcome"] = done(gap=0.5, eager_us=1.0, graph_us=1.0)
    assert checks_gpu.cuda_graphs()[0] == "failed"
    gpu["outcome"] = Outcome(1, "", "Traceback\nRuntimeError: CUDA error", 1.0)
    assert checks_gpu.cuda_graphs()[:2] == ("failed", "RuntimeError: CUDA error")
    gpu["outcome"] = Outcome(None, "", "", 120.0)
    assert checks_gpu.cuda_graphs()[1] == "no answer within 120 s"
    row = Inquiry("bfloat16", "", checks_machine.bf16).run()
    assert row.status == "failed"
    assert "no answer" in row.found
    gpu["outcome"] = done(works={"flash": 1.0, "math": 0.0}, refused={}, dtype="bfloat16")
    assert checks_machine.attention()[0] == "failed"
    gpu["outcome"] = done(works={"math": 0.0}, refused={"flash": "no kernel"}, dtype="bfloat16")
    assert checks_machine.attention()[0] == "warning"


def test_cuda_and_its_driver_must_meet(gpu, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert checks_gpu.cuda()[0] == "failed"  # a driver, a CUDA build, and no usable GPU
    monkeypatch.setattr(torch.version, "cuda", None)
    status, found, remedy = checks_gpu.cuda()
    assert status == "failed"
    assert "has no CUDA" in found
    assert "pytorch.org" in remedy
    gpu["driver"] = None
    assert checks_gpu.cuda()[0] == "absent"


@pytest.mark.parametrize(
    ("digits", "supported", "runs"),
    [
        ("90", ["sm_80", "sm_90"], True),
        ("89", ["sm_80", "sm_90"], True),  # same major
        ("120", ["sm_90", "compute_90"], True),  # PTX
        ("120", ["sm_90"], False),
        ("70", ["sm_75", "sm_80"], False),
        ("90", ["sm_90a"], True),
        ("90", [], True),
    ],
)
def test_kernels_cover_the_gpu(digits, supported, runs):
    assert checks_gpu._covered(digits, supported) is runs


def environment(threads=2, physical=2, free=8e9, total=16e9, limit=None):
    return {
        "cpu": {"torch_threads": threads, "physical_cores": physical},
        "memory": {
            "available_bytes": free and int(free), "total_bytes": int(total),
            "container_limit_bytes": limit,
        },
    }  # fmt: skip


def test_cores_and_memory(monkeypatch):
    def seen(usable=2.0, **machine):
        monkeypatch.setattr(checks_machine, "fingerprint", lambda: environment(**machine))
        monkeypatch.setattr(checks_machine.cpu, "usable_cores", lambda: usable)

    seen()
    assert checks_machine.cores()[0] == checks_machine.memory()[0] == "ok"
    seen(threads=4)
    assert checks_machine.cores() == (
        "warning", "2 physical cores, 2 usable, 4 torch threads",
        "set OMP_NUM_THREADS=2, or torch.set_num_threads(2)",
    )  # fmt: skip
    seen(usable=0.5)
    assert "OMP_NUM_THREADS=1" in checks_machine.cores()[2]
    seen(physical=None)
    assert checks_machine.cores()[2] == "pip install psutil"
    seen(free=1e9)
    assert checks_machine.memory()[0] == "warning"
    seen(free=5e9)
    assert "not for CSM-1B" in checks_machine.memory()[1] or torch.cuda.is_available()
    seen(limit=2_000_000_000)
    assert checks_machine.memory()[1] == "2.0 GB free of 2.0 GB"
    seen(free=None)
    assert checks_machine.memory()[2] == "pip install psutil"


def test_slow_bfloat16_is_a_warning(monkeypatch):
    answer = {"matmul": 4.0, "matvec": 0.4, "error": 0.01}
    monkeypatch.setattr(checks_machine, "_probe", lambda *_: answer)
    status, _, remedy = checks_machine.bf16()
    assert status == "warning"
    assert "float32" in remedy
    answer["error"] = 0.5
    assert checks_machine.bf16()[0] == "failed"


def test_missing_packages_have_a_remedy(monkeypatch):
    for name in ("soundfile", "faster_whisper", "workbench.audio"):
        monkeypatch.setitem(sys.modules, name, None)  # import raises ImportError
    assert checks_software.sound()[2] == "pip install soundfile"
    assert checks_software.whisper()[0] == "absent"


def test_old_versions_fail(monkeypatch):
    monkeypatch.setattr(torch, "__version__", "2.9.1+cpu")
    assert checks_software.torch_version()[0] == "failed"
    monkeypatch.setattr(torch, "__version__", "3.0.0a0+git1")
    assert checks_software.torch_version()[0] == "ok"
    monkeypatch.setattr(checks_software.shutil, "which", lambda name: None)
    assert checks_software.synthesizers()[0] == "absent"
