"""Trials of speech with a synthesizer of known speed: who is paired with whom, what is found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from workbench.audio import Audio
from workbench.engines.speech import Chunk, Speech
from workbench.errors import InputError
from workbench.measure import findings, speech
from workbench.measure.baseline import OURS, TODAY, measure_baseline
from workbench.measure.speech import (
    SENTENCES,
    compare,
    frame_ms,
    generation_ms,
    named,
    onset_ms,
    prebuffer_ms,
    speak_once,
    streamed,
    whole,
)
from workbench.measure.statistics import Ratio
from workbench.measure.streaming import TRUE, compare_streaming
from workbench.text import checked

RATE_HZ, FRAME = 24_000, 1_920
TWO = {"short": "one two", "long": "one two three four five six"}


class Clockwork:
    """A synthesizer that says one frame a word and claims ``ms`` for each frame."""

    def __init__(self, ms: float, weights: str = "0123456789abcdef", codes: int = 0) -> None:
        self.ms, self.weights, self.codes = ms, weights, codes
        self.name, self.implementation, self.rate_hz = "clockwork", "test", RATE_HZ
        self.voices = {0: "tick"}
        self.calls: list[str] = []

    def warm_up(self) -> float:
        return 0.5

    def synthesize(self, text: str, **options: object) -> Speech:
        self.calls.append(text)
        frames = len(text.split())
        total = self.ms * frames
        return Speech(
            samples=np.full(frames * FRAME, 0.1, np.float32), rate_hz=RATE_HZ, text=text, voice=0,
            seed=0, codes=np.full((2, frames), self.codes), ended="eos", generation_ms=total,
            chunks_ms=(total,), chunks_samples=(frames * FRAME,), implementation="test",
            weights=self.weights, stages_ms={"backbone": total / 4, "depth": total * 3 / 4},
        )  # fmt: skip

    def stream(self, text: str, *, streaming: str = "true", **options: object) -> Stream:
        said = self.synthesize(text)
        times = [self.ms * (i + 1) for i in range(said.frames)]
        if streaming == "pseudo":
            times = [times[-1]] * said.frames
        return Stream(replace(said, chunks_ms=tuple(times), chunks_samples=(FRAME,) * said.frames))


class Stream:
    """The chunks of a finished speech."""

    def __init__(self, speech: Speech) -> None:
        self.speech = speech

    def __iter__(self):
        for index, at_ms in enumerate(self.speech.chunks_ms):
            yield Chunk(Audio(self.speech.samples[:FRAME], RATE_HZ), at_ms, index)


@pytest.fixture
def speed(monkeypatch):
    monkeypatch.setattr(speech, "SENTENCES", TWO)
    return measure_baseline(Clockwork(40), Clockwork(10), 2.0, TWO, trials=3)


@pytest.fixture
def streaming(monkeypatch):
    monkeypatch.setattr(speech, "SENTENCES", TWO)
    return compare_streaming(Clockwork(20), TWO, trials=3)


def test_the_sentences_can_be_spoken_and_grow():
    lengths = [len(checked(text)) for text in SENTENCES.values()]
    assert lengths == sorted(lengths)
    assert list(SENTENCES) == ["short", "medium", "long", "very long"]


def test_sentences_go_by_name():
    assert named(["long", "short", "long"]) == {
        "long": SENTENCES["long"],
        "short": SENTENCES["short"],
    }
    with pytest.raises(InputError, match="'epic'"):
        named(["short", "epic"])
    with pytest.raises(InputError, match="no sentences"):
        named([])


def test_every_arm_speaks_every_sentence_once_a_round():
    engine = Clockwork(10)
    trials = compare({"a": whole(engine), "b": whole(engine)}, TWO, trials=4)
    assert trials.rounds == 4
    assert sorted(engine.calls) == sorted([*TWO.values()] * 8)
    with pytest.raises(InputError):
        compare({"a": whole(engine)}, TWO, trials=1)


def test_ratios_are_paired_and_by_sentence(speed):
    ratio = speed.trials.ratio(TODAY, OURS, frame_ms, "long")
    assert (ratio.low, ratio.value, ratio.high, ratio.n) == pytest.approx((4, 4, 4, 3))
    assert speed.trials.interval(TODAY, frame_ms).value == 40
    assert speed.trials.samples(OURS, generation_ms) == [40, 40, 40]  # (20 + 60) / 2
    assert speed.trials.raw(frame_ms)["generate/long"] == [40, 40, 40]


def test_speaking_once_labels_sentence_and_arm():
    said = speak_once({"a": whole(Clockwork(10))}, TWO)
    assert list(said) == ["short, a", "long, a"]
    assert said["long, a"].stages_ms == {"backbone": 15, "depth": 45}


def test_a_slow_engine_needs_a_prebuffer():
    said = streamed(Clockwork(100))("one two three four")
    assert prebuffer_ms(said) == pytest.approx(3 * 20)
    assert onset_ms(said) == 100
    silent = replace(said, samples=np.zeros_like(said.samples))
    assert onset_ms(silent) == pytest.approx(480)


def test_the_baseline_stands_beside_the_limit(speed):
    row = speed.speed_rows()[1]
    assert row["sentence"] == "long"
    assert row["times the roofline"].value == 5
    assert row["RTF"].value == pytest.approx(10 / 80)
    assert row["characters/s"].value == pytest.approx(27 / 0.06)
    assert speed.limits_ms["long, frame step"] == 12
    assert speed.stage_finding == (
        "The depth decoder takes 75 % of the time; all together, 5.0 times the roofline"
    )


def test_the_baseline_says_how_much_faster_and_whether_the_same(speed, monkeypatch):
    assert speed.speed_finding == (
        "Frame step: 4.0× as fast as generate (4.0–4.0), faster than real time (RTF 0.12)"
    )
    assert [row["equal tokens (%)"] for row in speed.agreement_rows()] == [100, 100]
    assert speed.agreement_rows()[0]["first different frame"] is None
    assert "Both say the same tokens; the sound is the same, bit for bit." in speed.verdict
    other = measure_baseline(Clockwork(40), Clockwork(10, codes=1), 2.0, TWO, trials=2)
    assert "not all the same tokens (≥ 0%)" in other.verdict
    slower = measure_baseline(Clockwork(10), Clockwork(100), 2.0, TWO, trials=2)
    assert "0.10× as fast" in slower.speed_finding
    assert "slower than real time" in slower.speed_finding


def test_what_goes_into_the_record_is_raw(speed, streaming):
    samples = {name: (values, unit) for name, values, unit in speed.samples()}
    assert samples["generation/generate/long"] == ([240, 240, 240], "ms")
    assert samples["warm-up/frame step"] == ([0.5], "s")
    samples = {name: (values, unit) for name, values, unit in streaming.samples()}
    assert samples["first audio/true streaming/long"] == ([20, 20, 20], "ms")


def test_streaming_sounds_the_same_and_sooner(streaming):
    assert streaming.ratios["long"].value == pytest.approx(6)
    assert streaming.same
    assert streaming.difference == 0
    rows = streaming.rows()
    assert [(row["sentence"], row["streaming"]) for row in rows] == [
        ("short", "pseudo"), ("short", "true"), ("long", "pseudo"), ("long", "true"),
    ]  # fmt: skip
    assert [row["first audio (ms)"].value for row in rows] == [40, 20, 120, 20]
    assert rows[3]["underruns"] == 0
    assert streaming.playbacks[TRUE].start_ms == 20
    assert list(streaming.labels) == [
        "pseudo-streaming: first audio after 120 ms",
        "true streaming: first audio after 20 ms",
    ]


def test_streaming_in_words(streaming):
    assert streaming.finding == "True streaming: first audio 4.0× sooner (4.0–4.0)"
    assert streaming.sentence_finding == (
        "First audio 2.0× sooner for the short sentence, 6.0× for the long one"
    )
    assert "20 ms instead of 80 ms" in streaming.verdict
    assert "a player never runs dry in 6 speeches" in streaming.verdict
    slow = compare_streaming(Clockwork(100), TWO, trials=2)
    assert "runs dry 12 times in 4 speeches, and never with 100 ms" in slow.verdict


def test_differences_are_claimed_only_where_they_can_be_told():
    assert findings.sooner(Ratio(4, 3, 5, 9)) == "4.0× sooner (3.0–5.0)"
    assert findings.sooner(Ratio(0.25, 0.2, 0.5, 9)) == "4.0× later (2.0–5.0)"
    assert "no sooner" in findings.sooner(Ratio(1.1, 0.9, 1.3, 9))
    assert "within the noise" in findings.faster(Ratio(1.1, 0.9, 1.3, 9), "it")


def test_sameness_in_words():
    assert "bit for bit" in findings.sameness(0.0)
    assert "at most 3e-07" in findings.sameness(2.7e-7)
    assert "differs" in findings.sameness(0.1)


def test_captions_tell_the_machine_and_random_weights_are_named(streaming):
    assert findings.caption(Clockwork(10)).startswith("clockwork (weights 0123456789ab) · ")
    assert "n = 3" in streaming.caption
    assert "random weights" in findings.caption(Clockwork(10, "random"))
    assert "noise" in findings.noise_warning(Clockwork(10, "random").synthesize("one"))
    assert findings.noise_warning(Clockwork(10).synthesize("one")) == ""
