"""Claims about recognizers, voice activity and turns: their probes, and what these say."""

from types import SimpleNamespace

import numpy as np
import pytest

from workbench.audio import Audio
from workbench.engines.turns.detectors import Policy
from workbench.errors import ModelError
from workbench.measure.statistics import Interval
from workbench.optimizations.switch import Site
from workbench.studies.ablation.settings import AblationSettings
from workbench.studies.asr.speech import SpokenText
from workbench.studies.claims import Standing, answer, hearing, read_claims
from workbench.studies.claims.evidence import Fact, Missing
from workbench.studies.claims.ways import way_of
from workbench.studies.turns.curves import Point

LEDGER = {claim.id: claim for claim in read_claims()}


def test_every_probe_of_a_recognizer_has_a_claim():
    probes = {way_of(claim).probe for claim in LEDGER.values()}
    assert set(hearing.RECOGNIZERS) <= probes
    assert {"vad_frame", "turn_cost", "turn_gain"} <= probes


def test_a_recognizer_as_an_arm(whisper_folder, monkeypatch):
    noise = np.random.default_rng(0).standard_normal(16_000).astype(np.float32) * 0.1
    clips = [SpokenText("good morning anna", Audio(noise, 16_000))] * 2
    monkeypatch.setattr("workbench.studies.asr.speech.speech_for", lambda *_, **__: clips)
    load = {"name": str(whisper_folder), "device": "cpu", "threads": 1, "compute_type": "int8"}
    arm = hearing.Hears({**load, "window": "trimmed", "max_tokens": 5})
    assert arm.warm_up() > 0
    figures = arm.trial(3, 0)
    assert figures["latency_ms"] > 0
    assert figures["wer"] > 0  # untrained
    assert arm.about()["compute_type"] == "int8_float32"


def test_large_whispers_wait_for_a_gpu(tmp_path):
    for name in ("whisper_tiny", "whisper_base", "whisper_float16"):
        found = hearing.measure_recognizer(name, AblationSettings(), Site(), tmp_path, print)
        assert isinstance(found, Missing)
        assert "large-v3" in found.reason


def test_a_frame_of_voice_activity_is_told():
    try:
        found = hearing.vad_frame()
    except ModelError as problem:
        pytest.skip(problem.what)
    told = answer(LEDGER["fern.vad.frame"], found)
    assert told.figure.n == 666
    assert told.figure.low <= told.figure.value <= told.figure.high
    assert told.standing is Standing.NOT_MEASURABLE  # it names no machine
    assert "absolute" in told.reason


def study(saved: Interval | None):
    rate = Interval(0.2, 0.15, 0.25, 60)
    return SimpleNamespace(
        saved=saved,
        fixed=Point(Policy(1.0, 0.7, 0.7), rate, rate, rate),
        first=SimpleNamespace(turns=60, judge="chat-nano (x)"),
        judge_ms=[3.0, 4.0, 5.0],
    )


@pytest.mark.parametrize(
    ("saved", "standing"),
    [
        (Interval(0.8, 0.7, 0.9, 60), Standing.CONFIRMED),
        (Interval(0.9, 0.7, 1.0, 60), Standing.CONFIRMED),
        (Interval(0.6, 0.4, 0.8, 60), Standing.PARTLY),
        (Interval(0.3, 0.1, 0.5, 60), Standing.REFUTED),
    ],
)
def test_fewer_false_turn_ends_have_an_interval(saved, standing, monkeypatch):
    monkeypatch.setattr(hearing, "_turns", lambda: study(saved))
    told = answer(LEDGER["fern.turn.semantic.gain"], hearing.turn_gain())
    assert told.standing is standing, told.reason
    assert (told.figure.value, told.figure.low, told.figure.high) == pytest.approx(
        (saved.value, saved.low, saved.high)
    )


def test_what_the_judge_costs_and_a_wait_that_cuts_nobody_off(monkeypatch):
    monkeypatch.setattr(hearing, "_turns", lambda: study(None))
    assert isinstance(hearing.turn_gain(), Missing)
    cost = hearing.turn_cost()
    assert isinstance(cost, Fact)
    assert answer(LEDGER["fern.turn.semantic.cost"], cost).figure.value == 4.0
