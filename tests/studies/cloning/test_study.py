"""The study of clones, on engines that clone, don't, or say nothing."""

from dataclasses import replace

import numpy as np
import pytest

from tests.studies import voices as made_up
from workbench.audio import Audio
from workbench.cloning.assessment import Assessment
from workbench.cloning.references import PreparedVoice
from workbench.engines.speech import Reference
from workbench.errors import InputError
from workbench.measure.statistics import Interval, share_of
from workbench.studies.cloning.prompt_length import ENCODED, KEPT, prompt_lengths
from workbench.studies.cloning.study import clone_trials
from workbench.studies.cloning.targets import Target, known_targets, own_target

TEXTS = ("ba be", "do du", "ki ko", "la le")
RATE_HZ = 24_000


def tone(hz, seconds=1.0):
    return Audio(
        0.3 * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE_HZ)) / RATE_HZ), RATE_HZ
    )


def pitch_hz(audio):
    spectrum = np.abs(np.fft.rfft(audio.samples))
    return float(spectrum.argmax()) * audio.rate_hz / max(len(audio), 1)


class Encoder:
    """Voices are pitches, alike where they are near."""

    name = "pitch"

    def embed(self, audio):
        if not len(audio):
            raise InputError("a silent clip", "use another")
        angle = pitch_hz(audio) / 1_000
        return np.array([np.cos(angle), np.sin(angle)], np.float32)


class Engine:
    """Speaks at a voice's own pitch, or at its context's where it ``clones``."""

    name, weights, threads = "made up", "made up", 1

    def __init__(self, clones, silent=False):
        self.voices = {0: "low", 1: "high"}
        self.clones, self.silent = clones, silent
        self.encodings = 0

    def warm_up(self):
        return 0.0

    def encoded(self, reference):
        self.encodings += 1
        return replace(reference, codes=np.zeros((2, 3), np.int64), codec="made up")

    def synthesize(self, text, *, voice=0, context=(), seed=0, **_):
        hz = 200 + 200 * voice
        if self.clones and context:
            hz = pitch_hz(context[0].audio)
        samples = tone(hz).samples[: 0 if self.silent else None]
        wait = 5.0 * sum(one.codes is None for one in context)
        clip = made_up.speech("ba", seed=seed)
        return replace(clip, samples=samples, text=text, voice=voice, chunks_ms=(1.0 + wait,))

    def stream(self, text, **options):
        return Stream(self.synthesize(text, **options))


class Stream:
    def __init__(self, speech):
        self.speech = speech

    def __iter__(self):
        return iter(())


def targets():
    return [
        Target(
            f"new {hz}",
            tuple(Reference(tone(hz), text) for text in TEXTS[:2]),
            (tone(hz), tone(hz)),
        )
        for hz in (700, 900, 1_100)
    ]


def test_an_engine_that_clones_wins_every_trial():
    engine = Engine(clones=True)
    everyone = [*known_targets(engine, TEXTS), *targets()]
    result = clone_trials(engine, Encoder(), everyone, TEXTS, trials=4)
    assert len(result.trials) == 5 * 4
    share = result.share(known=False)
    assert share.value == 1
    assert share.low > 0.7
    assert result.share(known=True).value == 1
    assert result.own_similarity(known=False).value == pytest.approx(1, abs=1e-3)
    assert result.other_similarity(known=False).value < 0.99
    assert result.finding.startswith("New voices are heard: 100 %")
    rows = result.matrix
    assert all(max(row, key=row.get) == name for name, row in rows.items())
    assert [row["clones"] for row in result.rows()] == [8, 12]
    assert result.ruler.value == 1
    assert all(row[name] > 0.99 for name, row in result.among_themselves.items())
    assert list(result.listening()) == [
        "Reference: new 700", "Clone of new 700", "Another voice: low [0]",
        "Another voice: high [1]",
    ]  # fmt: skip


def test_an_engine_that_does_not_is_told_so():
    engine = Engine(clones=False)
    everyone = [*known_targets(engine, TEXTS), *targets()]
    result = clone_trials(engine, Encoder(), everyone, TEXTS, trials=4)
    assert result.share(known=False).value == 0
    assert result.share(known=True).value == 1
    assert "No cloning heard" in result.verdict
    assert "nearest to low [0] (12 of 12)" in result.verdict
    assert {name for name, _, _ in result.samples()} >= {"similarity/new 700", "won/new 700"}


def test_clones_that_say_nothing_lose():
    result = clone_trials(Engine(True, silent=True), Encoder(), targets(), TEXTS, trials=2)
    assert result.share(known=False).value == 0
    assert result.own_similarity(known=False) is None
    assert result.matrix == {}
    assert result.verdict


def test_only_those_named_are_cloned_and_prompts_are_encoded_once():
    engine = Engine(clones=True)
    result = clone_trials(engine, Encoder(), targets(), TEXTS, trials=3, cloned=["new 900"])
    assert {trial.target for trial in result.trials} == {"new 900"}
    assert engine.encodings == 2
    with pytest.raises(InputError, match="at least two voices"):
        clone_trials(engine, Encoder(), targets()[:1], TEXTS)


def test_words_are_counted_where_somebody_listens():
    class Ear:
        def transcribe(self, audio):
            return type("Heard", (), {"text": "ba be"})

    result = clone_trials(Engine(True), Encoder(), targets(), TEXTS[:1], trials=2, recognizer=Ear())
    assert result.word_error_rate(known=False).value == 0
    assert result.word_error_rate(known=True) is None


@pytest.mark.parametrize(("won", "n", "low", "high"), [(0, 10, 0, 0.2775), (9, 10, 0.5958, 0.9821)])
def test_a_share_has_wilsons_interval(won, n, low, high):
    found = share_of(won, n)  # limits: Newcombe 1998's method 3, computed by hand
    assert found == Interval(
        won / n, pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4), n
    )


def test_longer_prompts_and_kept_codes():
    engine = Engine(clones=True)
    found = prompt_lengths(engine, Encoder(), targets()[0], "ba", trials=3)
    assert found.prompts_s == (0, 1, 2)
    assert set(found.speeches) == {(kind, n) for kind in (ENCODED, KEPT) for n in (0, 1, 2)}
    times = found.first_audio_ms
    assert [times[ENCODED][s].value for s in found.prompts_s] == [1, 6, 11]
    assert [times[KEPT][s].value for s in found.prompts_s] == [1, 1, 1]
    assert found.saved.value == pytest.approx(11)
    assert found.likeness_finding.startswith("A longer prompt sounds more like")
    assert [speech.seed for speech in found.speeches[KEPT, 1]] == [0, 1, 2]
    flat = prompt_lengths(Engine(clones=False), Encoder(), targets()[0], "ba", trials=3)
    assert flat.likeness_finding.startswith("A longer prompt sounds no more like")
    assert all(len(values) == 3 for _, values, _ in flat.samples())
    short = prompt_lengths(engine, Encoder(), targets()[0], "ba", clips=1, trials=2)
    assert short.prompts_s == (0, 1)


def test_a_recording_of_several_chunks_is_held_to_those_it_was_not_cloned_from():
    references = tuple(Reference(tone(hz), "ba") for hz in (300, 301, 302))
    voice = PreparedVoice("a.wav", "0" * 64, "mine", Assessment("a.wav"), references)
    found = own_target(voice, 2)
    assert found.prompts == references[:2]
    assert [pitch_hz(clip) for clip in found.clips] == pytest.approx([302], abs=1)
    alone = own_target(replace(voice, references=references[:1]))
    assert len(alone.prompts) == len(alone.clips) == 1
