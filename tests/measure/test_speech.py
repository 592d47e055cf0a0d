"""Trials of speech with a synthesizer of known speed: who is paired with whom, what is found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from workbench.audio import Audio
from workbench.engines.speech import Chunk, Speech
from workbench.errors import InputError
from workbench.measure import findings
from workbench.measure.speech import (
    SENTENCES,
    compare,
    frame_ms,
    onset_ms,
    prebuffer_ms,
    speak_once,
    streamed,
    ttfa_ms,
    whole,
)
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
def speed():
    return compare(
        {"generate": whole(Clockwork(40)), "frame step": whole(Clockwork(10))}, TWO, trials=3
    )


@pytest.fixture
def streaming():
    engine = Clockwork(20)
    arms = {"true": streamed(engine), "pseudo": streamed(engine, "pseudo")}
    return compare(arms, TWO, trials=3)


def test_the_sentences_can_be_spoken_and_grow():
    lengths = [len(checked(text)) for text in SENTENCES.values()]
    assert lengths == sorted(lengths)
    assert list(SENTENCES) == ["short", "medium", "long", "very long"]


def test_every_arm_speaks_every_sentence_once_a_round():
    engine = Clockwork(10)
    trials = compare({"a": whole(engine), "b": whole(engine)}, TWO, trials=4)
    assert trials.rounds == 4
    assert sorted(engine.calls) == sorted([*TWO.values()] * 8)
    assert engine.calls[:4] != engine.calls[4:8] or engine.calls[4:8] != engine.calls[8:12]
    with pytest.raises(InputError):
        compare({"a": whole(engine)}, TWO, trials=1)


def test_ratios_are_paired_and_by_sentence(speed):
    ratio = speed.ratio("generate", "frame step", frame_ms, "long")
    assert (ratio.low, ratio.value, ratio.high, ratio.n) == pytest.approx((4, 4, 4, 3))
    assert speed.interval("generate", frame_ms).value == 40
    assert speed.samples("frame step", lambda s: s.generation_ms) == [40, 40, 40]  # (20 + 60) / 2
    assert speed.ended_share("generate") == 1
    assert speed.raw(frame_ms)["generate/long"] == [40, 40, 40]


def test_rows_of_speed_stand_beside_the_limit(speed):
    row = findings.speed_rows(speed, "frame step", limit_ms=2.0)[1]
    assert row["sentence"] == "long"
    assert row["times the roofline"].value == 5
    assert row["RTF"].value == pytest.approx(10 / 80)
    assert row["characters/s"].value == pytest.approx(27 / 0.06)


def test_rows_of_agreement_show_tokens(speed):
    rows = findings.agreement_rows(speed, "generate", "frame step")
    assert [row["equal tokens (%)"] for row in rows] == [100, 100]
    assert rows[0]["first different frame"] is None
    assert findings.equal_tokens(speed, "generate", "frame step")
    other = compare(
        {"generate": whole(Clockwork(40)), "frame step": whole(Clockwork(10, codes=1))}, TWO, 2
    )
    assert findings.agreement_rows(other, "generate", "frame step")[0]["equal tokens (%)"] == 0
    assert not findings.equal_tokens(other, "generate", "frame step")


def test_streaming_sounds_the_same_and_sooner(streaming):
    assert streaming.ratio("pseudo", "true", ttfa_ms, "long").value == pytest.approx(6)
    assert findings.largest_difference(streaming, "pseudo", "true") == 0
    rows = findings.streaming_rows(streaming)
    assert [(row["sentence"], row["streaming"]) for row in rows] == [
        ("short", "true"), ("short", "pseudo"), ("long", "true"), ("long", "pseudo"),
    ]  # fmt: skip
    assert rows[2]["first audio (ms)"].value == 20
    assert rows[2]["underruns"] == 0
    assert rows[3]["first audio (ms)"].value == 120


def test_a_slow_engine_needs_a_prebuffer():
    said = streamed(Clockwork(100))("one two three four")
    assert prebuffer_ms(said) == pytest.approx(3 * 20)
    assert onset_ms(said) == 100
    silent = replace(said, samples=np.zeros_like(said.samples))
    assert onset_ms(silent) == pytest.approx(480)


def test_titles_state_the_finding(speed, streaming):
    assert findings.speed_finding(speed, "generate", "frame step") == (
        "Frame step: 4.0× as fast as generate (4.0–4.0), faster than real time (RTF 0.12)"
    )
    assert findings.speed_finding(speed, "frame step", "generate").startswith(
        "Generate: 0.25× as fast as frame step (0.25–0.25)"
    )
    assert findings.streaming_finding(streaming, "pseudo", "true") == (
        "True: first audio 4.0× sooner (4.0–4.0)"
    )
    assert "4.0× later" in findings.streaming_finding(streaming, "true", "pseudo")
    assert "no sooner" in findings.streaming_finding(streaming, "true", "true")
    assert findings.stage_finding({"backbone": 1.0, "depth": 3.0}, 22.4) == (
        "The depth decoder takes 75% of the time; the whole takes 22 times the roofline"
    )


def test_verdicts_say_it_in_words(speed, streaming):
    verdict = findings.baseline_verdict(speed, "generate", "frame step", "The depth leads", 0.0)
    assert "4.0× as fast as generate" in verdict
    assert "Both say the same tokens; the sound is the same, bit for bit." in verdict
    verdict = findings.streaming_verdict(streaming, "pseudo", "true")
    assert "after 20 ms instead of 80 ms" in verdict
    assert "never runs dry in 6 speeches" in verdict
    slow = compare(
        {name: streamed(Clockwork(100), name) for name in ("true", "pseudo")}, TWO, trials=2
    )
    assert "never with a prebuffer of 100 ms" in findings.streaming_verdict(slow, "pseudo", "true")
    assert findings.sentence_finding(streaming, "pseudo", "true") == (
        "First audio 2.0× sooner for the short sentence, 6.0× for the long one"
    )


def test_sameness_in_words():
    assert "bit for bit" in findings.sameness(0.0)
    assert "at most 3e-07" in findings.sameness(2.7e-7)
    assert "differs" in findings.sameness(0.1)


def test_captions_tell_the_machine_and_n_and_random_weights_are_named():
    caption = findings.caption(Clockwork(10), 5)
    assert caption.startswith("clockwork (weights 0123456789ab)")
    assert "n = 5" in caption
    assert "random weights" in findings.caption(Clockwork(10, "random"), 5)
    assert "noise" in findings.noise_warning(Clockwork(10, "random").synthesize("one"))
    assert findings.noise_warning(Clockwork(10).synthesize("one")) == ""


def test_speaking_once_labels_sentence_and_arm():
    said = speak_once({"a": whole(Clockwork(10))}, TWO)
    assert list(said) == ["short, a", "long, a"]
    assert said["long, a"].stages_ms == {"backbone": 15, "depth": 45}
