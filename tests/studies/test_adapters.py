import json

import pytest

from tests.measure import studies
from workbench.cli import main
from workbench.engines.adapters import LOOK_INTO_WEIGHTS
from workbench.measure.study import CONTROL
from workbench.measure.study_record import read_study
from workbench.measure.verdict import Verdict
from workbench.studies import adapters


def test_arms_differ_in_the_adapter_alone(monkeypatch, tmp_path):
    asked = {}

    def run(name, baseline, arms, **settings):
        asked.update(arms=[baseline, *arms], **settings)

    monkeypatch.setattr(adapters, "run_study", run)
    adapters.adapter_study(tmp_path, texts=["hello"], optimizations=["frame_step"], device="cpu")
    base, merged, unmerged = asked["arms"]
    assert asked["metric"] == "frame_ms"
    load = {"optimizations": ["frame_step"], "device": "cpu"}
    assert base.kwargs["load"] == load
    assert merged.kwargs["load"] == {**load, "adapter": str(tmp_path)}
    assert unmerged.kwargs["load"] == {**merged.kwargs["load"], "merge_adapter": False}
    adapters.adapter_study(tmp_path, texts=["hello"], device="cpu")
    chosen = asked["arms"][0].kwargs["load"]["optimizations"]
    assert "frame_step" in chosen
    assert not LOOK_INTO_WEIGHTS & set(chosen)
    rest = [{**arm.kwargs, "load": None} for arm in asked["arms"]]
    assert rest[0] == rest[1] == rest[2]


def test_the_finding_has_both_verdicts():
    factors = {"base": 1.0, CONTROL: 1.0, adapters.MERGED: 1.0, adapters.UNMERGED: 1.4}
    study = studies.made(factors)
    found = adapters.finding(study)
    assert f"Merged, an adapter is {study.judgement(adapters.MERGED)}" in found
    assert study.judgement(adapters.UNMERGED).verdict == Verdict.SLOWER
    assert "unmerged it is SLOWER" in found
    assert "wasn't measured" in adapters.finding(None)


@pytest.mark.parametrize("failed", [(), ("baseline",)])
def test_the_command_writes_the_study(failed, monkeypatch, tmp_path, capsys):
    asked = {}

    def measured(adapter, **settings):
        asked.update(settings, adapter=adapter)
        arms = {adapters.MERGED: 1.0, adapters.UNMERGED: 1.4}
        return studies.made(arms, name="adapter", failed=failed)

    monkeypatch.setattr(adapters, "adapter_study", measured)
    common = ["bench", "adapter", str(tmp_path), "--trials", "12", "--out", str(tmp_path / "cost")]
    assert main([*common, "--json"]) == (1 if failed else 0)
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (asked["adapter"], asked["plan"].trials) == (tmp_path.resolve(), 12)
    kept = read_study(tmp_path / "cost")
    assert told["unmerged"] == str(kept.judgement(adapters.UNMERGED))
    assert told["verdict"] == kept.verdict
    assert main(common) == (1 if failed else 0)
    assert "Merged, an adapter is" in capsys.readouterr().out
    assert main(["bench", "adapter", str(tmp_path / "none"), "--json"]) == 2
    assert "workbench train lora" in capsys.readouterr().out
