"""Studies that are cut off and go on: no round is lost, none is run twice."""

import json
import signal
import subprocess
import sys

import pytest

from tests.measure.studies import OTHER_MACHINE
from tests.measure.test_trials import CALM, arm
from workbench.errors import InputError, OutputError, RecordError
from workbench.measure import resume
from workbench.measure.arm import Arm
from workbench.measure.plan import Plan
from workbench.measure.resume import CHECKPOINT, kept_study
from workbench.measure.study import CONTROL
from workbench.measure.study_record import read_checkpoint, read_study, write_checkpoint
from workbench.measure.trials import StudyInterrupted


def kept(folder, *, stop_at=None, arms=(), trials=6, **plan):
    said = []

    def progress(words):
        said.append(words)
        if stop_at is not None and stop_at in words:
            raise KeyboardInterrupt

    study = kept_study(
        folder, "tiny", arm("baseline"), arms or [arm("double", 2.0)], metric="told_ms",
        plan=Plan(trials=trials, **{"starts": 2, **plan}), limits=CALM, progress=progress,
    )  # fmt: skip
    return study, said


@pytest.mark.parametrize(("layout", "whole"), [("interleaved", 4), ("blocked", 3)])
def test_an_interrupted_study_goes_on_where_it_stopped(tmp_path, layout, whole):
    with pytest.raises(StudyInterrupted, match=f"after {whole} of 6 rounds") as caught:
        kept(tmp_path, stop_at=f"round {4 if layout == 'interleaved' else 6} of", layout=layout)
    cut = read_study(tmp_path)
    assert cut.stopped == "interrupted"
    assert cut.results == caught.value.study.results
    assert {len(one.rounds) for one in cut.results.values()} == {whole}
    study, said = kept(tmp_path, layout=layout)
    assert f"going on after {whole} of 6 rounds" in said
    assert study.finished
    assert study.layout == layout
    assert study.stopped == "all 6 rounds were run"
    assert study.started_utc == cut.started_utc
    assert len(study.resumed_utc) == 1
    assert study.duration_s > cut.duration_s
    for name, result in study.results.items():
        assert result.rounds == tuple(range(6))
        before = cut.results[name].samples
        assert {metric: values[:whole] for metric, values in result.samples.items()} == before
        assert result.of("seed") == tuple(map(float, range(6)))
        assert not set(result.of("pid")[:whole]) & set(result.of("pid")[whole:])
        assert len(result.starts) == (3 if layout == "interleaved" else 2)
    spans = [(span.first, span.last) for span in study.spans]
    assert spans == sorted(set(spans)) or layout == "blocked"
    assert not (tmp_path / CHECKPOINT).exists()
    read = read_study(tmp_path)
    assert (read.results, read.resumed_utc) == (study.results, study.resumed_utc)


def test_a_start_that_was_cut_goes_on_in_a_process_of_its_own(tmp_path):
    with pytest.raises(StudyInterrupted, match="after 2 of 6"):
        kept(tmp_path, stop_at="round 2 of")
    study, _ = kept(tmp_path)
    assert study.baseline.start_of == (0, 0, 1, 2, 2, 2)
    assert len(study.orders) == 6


def test_a_study_that_is_killed_keeps_its_whole_rounds(tmp_path):
    """No handler runs: what is left is what was written after the last round."""
    script = (
        "import os, sys\n"
        "from tests.measure.test_resume import arm, CALM, Plan, kept_study\n"
        "def progress(words):\n"
        "    if 'round 3 of' in words: os.kill(os.getpid(), 9)\n"
        "kept_study(sys.argv[1], 'tiny', arm('baseline'), [arm('double', 2.0)],\n"
        "    metric='told_ms', plan=Plan(trials=6, starts=2), limits=CALM, progress=progress)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script, str(tmp_path)], timeout=120)
    assert ended.returncode == -signal.SIGKILL
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT]
    assert len(read_checkpoint(tmp_path / CHECKPOINT).baseline.rounds) == 3
    study, _ = kept(tmp_path)
    assert study.baseline.rounds == tuple(range(6))


def test_a_whole_study_is_read_not_run(tmp_path):
    first, _ = kept(tmp_path, trials=2)
    again, said = kept(tmp_path, trials=2)
    assert again.results == first.results
    assert said == [f"{tmp_path} holds this study already: 2 rounds"]


def test_an_arm_that_failed_stays_so(tmp_path):
    arms = [arm("failing", how="raise", at=1), arm("double", 2.0)]
    with pytest.raises(StudyInterrupted):
        kept(tmp_path, stop_at="round 3 of", arms=arms)
    study, _ = kept(tmp_path, arms=arms)
    assert study.results["failing"].error.type == "MemoryError"
    assert study.results["failing"].rounds == (0,)
    assert study.results["double"].rounds == tuple(range(6))


def test_an_arm_that_rests_is_not_woken(tmp_path):
    arms = [arm("thrice", 3.0), Arm("noisy", "tests.measure.arms:Noisy")]
    plan = {"trials": 20, "starts": 8}
    with pytest.raises(StudyInterrupted, match="after 12 of 20"):
        kept(tmp_path, stop_at="round 12 of", arms=arms, **plan)
    assert read_checkpoint(tmp_path / CHECKPOINT).results["thrice"].rested
    study, _ = kept(tmp_path, arms=arms, **plan)
    assert study.results["thrice"].rounds == tuple(range(10))
    assert study.results["noisy"].rounds == tuple(range(20))


def test_one_study_does_not_mix_two(tmp_path, monkeypatch):
    with pytest.raises(StudyInterrupted):
        kept(tmp_path, stop_at="round 2 of")
    for asked, named in (
        ({"trials": 7}, "another plan"),
        ({"arms": [arm("double", 3.0)]}, "other arms"),
    ):
        with pytest.raises(InputError, match=named):
            kept(tmp_path, **asked)
    here = resume.fingerprint()
    monkeypatch.setattr(resume, "fingerprint", lambda: OTHER_MACHINE)
    with pytest.raises(InputError, match="begun on"):
        kept(tmp_path)
    newer = {**here, "libraries": {**here["libraries"], "torch": "9.9"}}
    monkeypatch.setattr(resume, "fingerprint", lambda: newer)
    with pytest.raises(InputError, match=r"torch: .* → 9\.9"):
        kept(tmp_path)


def test_an_interrupt_before_any_round_leaves_nothing(tmp_path):
    with pytest.raises(StudyInterrupted, match="after 0 of 6 rounds"):
        kept(tmp_path, stop_at="starting double")
    assert not list(tmp_path.iterdir())
    assert kept(tmp_path)[0].finished


def test_files_that_are_torn_are_told(tmp_path):
    with pytest.raises(StudyInterrupted):
        kept(tmp_path, stop_at="round 3 of")
    path = tmp_path / CHECKPOINT
    whole = path.read_text()
    so_far = read_checkpoint(path)
    path.write_text(whole[:-100])
    with pytest.raises(RecordError, match="torn"):
        kept(tmp_path)
    records = json.loads(whole)
    del records["study.record.json"]
    path.write_text(json.dumps(records))
    with pytest.raises(RecordError, match="torn"):
        kept(tmp_path)
    path.unlink()
    with pytest.raises(RecordError, match="no checkpoint"):
        read_checkpoint(path)
    with pytest.raises(InputError, match="is gone"):
        kept(tmp_path)
    write_checkpoint(path, so_far)
    assert read_checkpoint(path).results[CONTROL] == so_far.results[CONTROL]
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(OutputError):
        write_checkpoint(blocked / CHECKPOINT, so_far)
    assert blocked.stat().st_size == 0
