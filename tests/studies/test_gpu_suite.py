"""The GPU suite's steps: each costs only itself, and all of them run at toy size on the CPU."""

import json
import sys

import pytest
import torch

from workbench.cli import parser
from workbench.errors import InputError
from workbench.optimizations import Site, resolve
from workbench.studies import chat, gpu_steps, gpu_suite
from workbench.studies.asr.study import chosen
from workbench.studies.frames.bench import BenchSettings
from workbench.studies.gpu_steps import Step, steps
from workbench.studies.gpu_suite import run_suite, table


def python(code, name="step", limit_s=20.0, **needs):
    return Step(name, (sys.executable, "-c", code), limit_s, **needs)


GOOD = "def test_good(): pass"
LACKING = "import no_such_module"
ODD = "raise ValueError('at import')"
BROKEN = "import pytest\n@pytest.fixture\ndef f(): raise ValueError\ndef test_f(f): pass"
STEPS = [
    python("print('words'); print('{\"speedup\": 2.5}')", "speaks"),
    python("raise SystemExit('it broke')", "breaks"),
    python("import time; print('begun', flush=True); time.sleep(60)", "hangs", limit_s=11.0),
    python("pass", "unmet", programs=("no-such-program",), modules=("no_such_module",)),
    python('print(\'{"error": "not built"}\'); raise SystemExit(2)', "unbuilt", skips_on=2),
    python("print('3 passed, 1 failed in 4 s'); raise SystemExit(1)", "failing tests"),
    python("raise SystemExit('no such GPU')", "refused", skips_saying="no such GPU"),
]


@pytest.mark.slow
def test_each_step_costs_itself_only(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_suite, "steps", lambda **_: STEPS)
    results = {one.name: one for one in run_suite(tmp_path, dry=True)}
    assert {name: one.status for name, one in results.items()} == {
        "speaks": "ok",
        "breaks": "failed",
        "hangs": "timed out",
        "unmet": "skipped",
        "unbuilt": "skipped",
        "failing tests": "failed",
        "refused": "skipped",
    }
    assert results["speaks"].figures == {"speedup": 2.5}
    assert results["breaks"].reason == "it broke"
    assert results["unbuilt"].reason == "not built"
    assert "no-such-program, no_such_module" in results["unmet"].reason
    kept = json.loads((tmp_path / "suite.json").read_text())
    assert [one["name"] for one in kept["steps"]] == [step.name for step in STEPS]
    assert "begun" in (tmp_path / "suite.log").read_text()
    assert "speedup 2.5" in table(list(results.values()))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("modules", "status"),
    [
        ((GOOD,), "ok"),
        ((GOOD, LACKING), "ok"),
        ((LACKING,), "failed"),
        ((GOOD, ODD), "failed"),
        ((GOOD, BROKEN), "failed"),
        ((GOOD, LACKING, BROKEN), "failed"),
    ],
)
def test_only_what_a_machine_lacks_is_excused(modules, status, tmp_path, monkeypatch):
    for number, text in enumerate(modules):
        (tmp_path / f"test_{number}.py").write_text(text)
    command = (*gpu_steps.PYTEST, "--rootdir", str(tmp_path), str(tmp_path))
    monkeypatch.setattr(gpu_suite, "steps", lambda **_: [Step("pytest", command, 30.0)])
    (only,) = run_suite(tmp_path / "out", dry=True)
    assert only.status == status


def test_spent_time_skips_what_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_suite, "steps", lambda **_: STEPS[:1])
    (only,) = run_suite(tmp_path, dry=True, budget_s=1.0)
    assert (only.status, only.reason) == ("skipped", "the time was spent")


@pytest.mark.parametrize("dry", [False, True])
def test_every_command_is_one_of_today_s(dry):
    """Options, arms, ways and switches, without running any."""
    told = {}
    for step in steps(dry=dry, train_s=60.0):
        if step.command[1:3] == ("-m", "workbench"):
            told[step.name] = parser().parse_args(step.command[3:])
            assert told[step.name].json
    assert {"csm-nano", "streams", "rvq", "chat", "asr", "nano training"} <= set(told)
    for options in (told[name] for name in ("csm-1b", "csm-nano") if name in told):
        arms = {name: tuple(getattr(options, name).split(",")) for name in ("ours", "against")}
        BenchSettings(**arms, lossy=tuple(filter(None, options.lossy.split(","))))
    chosen(told["asr"].ways.split("; "))
    chat.ways(told["chat"].ways.split("; "))
    assert resolve(gpu_steps.STREAMS.split(","), Site(device="cuda", capability=(9, 0)))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_it_says_so(tmp_path, capsys):
    with pytest.raises(InputError, match="no CUDA GPU"):
        run_suite(tmp_path)
    assert gpu_suite.main(["--out", str(tmp_path)]) == 2
    assert "--dry-run" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_dry_run_goes_through_all_steps(tmp_path):
    results = run_suite(tmp_path, dry=True)
    by_name = {one.name: one for one in results}
    assert {one.name for one in results} == {step.name for step in steps()}
    assert not [one for one in results if one.status in ("failed", "timed out")], table(results)
    nano = by_name["csm-nano"].figures
    assert nano["codes_equal"] is True
    assert nano["speedup"] > 0
    assert by_name["fingerprint"].figures["gpu"]
