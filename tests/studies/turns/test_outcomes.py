"""Turn detectors on turns whose truth is known: samples, curves, and what a live run does."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from tests.turn_sounds import LevelVad, WordJudge, say
from workbench.audio import Audio
from workbench.engines.turns.activity import ActivityTracker
from workbench.engines.turns.detectors import (
    Policy,
    SemanticTurnDetector,
    SilenceTurnDetector,
    TurnTracker,
)
from workbench.errors import InputError
from workbench.studies.turns.clips import PAUSE_LIMITS_S, TAIL_S, held_out_texts, make_turns
from workbench.studies.turns.curves import (
    curve,
    curves,
    cut_offs_left,
    operating_point,
    point,
    wait_ratio,
)
from workbench.studies.turns.outcomes import PauseSamples, collect
from workbench.studies.turns.table import TurnTable

TEXTS = tuple(f"where{n} is{n} the{n} big{n} market{n}" for n in range(24))


@pytest.fixture(scope="module")
def turns():
    return make_turns(TEXTS, say, pauses=(1, 2), seed=3)


@pytest.fixture(scope="module")
def samples(turns):
    # It takes one hesitation in eight for an end.
    fooled = [f"the{n}" for n in range(0, 24, 4)]
    return collect(turns, LevelVad(), WordJudge(TEXTS, fooled))


def test_a_turn_is_its_parts_with_silences_between(turns):
    for clip, text in zip(turns, TEXTS, strict=True):
        assert clip.text == text
        assert 2 <= len(clip.parts) <= 3
        gaps = np.subtract(clip.starts_s[1:], clip.ends_s[:-1])
        assert (gaps >= PAUSE_LIMITS_S[0] - 1e-3).all()
        assert (gaps <= PAUSE_LIMITS_S[1] + 1e-3).all()
        assert clip.audio.duration_s - clip.ends_s[-1] == pytest.approx(TAIL_S, abs=1e-3)
        assert clip.said(clip.ends_s[0]) == clip.parts[0]
        assert clip.said(clip.ends_s[-1]) == text
        assert clip.said(0.0) == ""


def test_the_same_seed_draws_the_same_turns(turns):
    again = make_turns(TEXTS, say, pauses=(1, 2), seed=3)
    assert [clip.parts for clip in again] == [clip.parts for clip in turns]
    assert all(
        np.array_equal(one.audio.samples, two.audio.samples)
        for one, two in zip(turns, again, strict=True)
    )
    other = make_turns(TEXTS, say, pauses=(1, 2), seed=4)
    assert [clip.parts for clip in other] != [clip.parts for clip in turns]


def test_a_voice_without_sound_is_an_error():
    with pytest.raises(InputError, match="without a sound"):
        make_turns(["hello there"], lambda _: Audio(np.zeros(1600), 16_000))


def test_held_out_sentences_come_with_the_package():
    assert len(held_out_texts()) == 200


def test_every_silence_is_a_sample_with_the_words_said_so_far(turns, samples):
    assert not samples.missed
    for number, clip in enumerate(turns):
        mine = [pause for pause in samples.pauses if pause.turn == number]
        assert [pause.final for pause in mine] == [False] * (len(mine) - 1) + [True]
        assert len(mine) == len(clip.parts)
        for pause, end_s, count in zip(mine, clip.ends_s, range(1, 9), strict=False):
            assert pause.start_s == pytest.approx(end_s, abs=0.05)
            assert pause.transcript == " ".join(clip.parts[:count])
        for pause, gap_s in zip(
            mine, np.subtract(clip.starts_s[1:], clip.ends_s[:-1]), strict=False
        ):
            assert pause.silence_s == pytest.approx(gap_s, abs=0.1)


def test_a_recognizer_hears_only_what_was_there(turns):
    lengths = []

    def transcribe(audio):
        lengths.append(audio.duration_s)
        return "words"

    found = collect(turns[:3], LevelVad(), WordJudge(TEXTS), transcribe=transcribe, words="fake")
    assert found.words == "fake"
    wanted = [pause.start_s + found.min_silence_s for pause in found.pauses]
    assert lengths == pytest.approx(wanted, abs=found.frame_s + 1e-6)
    assert all(pause.words_ms > 0 for pause in found.pauses)


def test_a_turn_whose_end_is_never_found_is_counted_and_left_out(turns):
    loud = LevelVad()
    loud.probability = lambda frame: 1.0
    found = collect(turns[:2], loud)
    assert found.missed == (0, 1)
    assert not found.pauses


def test_samples_survive_a_file(samples):
    assert PauseSamples.from_dict(json.loads(json.dumps(asdict(samples)))) == samples


def live(clip, detector):
    """When a live run says that the turn is over: every time, in seconds of audio."""
    activities, tracker = ActivityTracker(LevelVad()), TurnTracker(detector)
    found = []
    for activity in activities.push(clip.audio):
        end = tracker.push(activity, lambda at=activity: clip.said(at.speech_end_s))
        if end:
            found.append(end.at_s)
    return found


@pytest.mark.parametrize("policy", [Policy(1.0, 0.5, 0.5), Policy(0.5, 0.2, 1.0)])
def test_the_curve_says_what_a_live_run_does(turns, policy):
    judge = WordJudge(TEXTS, ["the0", "is3"])
    found = collect(turns, LevelVad(), judge)
    outcome = TurnTable(found).outcome(policy)
    detector = (
        SilenceTurnDetector(policy.timeout_s)
        if policy.action_delay_s == policy.timeout_s
        else SemanticTurnDetector(judge, policy)
    )
    for number, clip in enumerate(turns):
        *cut, last = live(clip, detector)
        assert len(cut) == outcome.cut[number]
        assert last - clip.ends_s[-1] == pytest.approx(outcome.latency_s[number], abs=0.021)


def test_curves_fall_and_words_beat_silence(samples):
    plain, semantic, both = curves(samples)
    for made in (plain, semantic, both):
        latencies = [one.latency_s.value for one in made.points]
        rates = [one.false_cut_offs.value for one in made.points]
        assert latencies == sorted(latencies)
        assert rates == sorted(rates, reverse=True)
        for one in made.points:
            for figure in (one.false_cut_offs, one.latency_s, one.turns_cut):
                assert figure.low <= figure.value <= figure.high
            assert one.false_cut_offs.n == len(TEXTS)
    for budget in (0.0, 0.05, 0.1, 0.3):
        assert both.best_at(budget).latency_s.value <= plain.best_at(budget).latency_s.value
    assert both.best_at(0.1).latency_s.value < 0.6 * plain.best_at(0.1).latency_s.value
    assert plain.best_at(-1) is None


def test_any_policy_has_a_point(samples):
    fern, short = point(samples, Policy(1.0, 0.7, 0.7)), point(samples, Policy(1.0, 0.3, 0.3))
    assert fern.false_cut_offs.value < short.false_cut_offs.value
    assert fern.latency_s.value == pytest.approx(short.latency_s.value + 0.4, abs=0.02)
    clever = point(samples, Policy(0.5, 0.3, 1.5))
    assert clever.latency_s.value == pytest.approx(short.latency_s.value)
    assert clever.false_cut_offs.value < short.false_cut_offs.value


def test_a_judge_who_knows_nothing_gains_nothing(turns):
    class Guess:
        name = "guess"
        source = np.random.default_rng(0)

        def probability(self, transcript):
            return float(self.source.uniform())

    found = collect(turns, LevelVad(), Guess())
    ratio = wait_ratio(found, 0.1)
    assert ratio.high > 0.8


def test_operating_points_are_measured_on_other_turns_than_chose_them(samples):
    chosen = operating_point(samples, "both", false_cut_offs=0.2)
    assert len(chosen.policies) == 2
    assert chosen.latency_s.n == len(TEXTS)
    fewest = operating_point(samples, "vad", latency_s=0.7)
    assert fewest.latency_s.value <= 0.75
    ratio = wait_ratio(samples, 0.2)
    assert ratio.low <= ratio.value <= ratio.high < 1


def test_words_avoid_cut_offs_at_the_same_latency(samples):
    left = cut_offs_left(samples, Policy(1.0, 0.3, 0.3))
    assert 0 <= left.low <= left.value <= left.high
    assert left.value < 0.7
    alone = cut_offs_left(samples, Policy(1.0, 0.3, 0.3), "vad")
    assert alone.value >= 1  # no wait that is shorter cuts off less
    with pytest.raises(InputError, match="shorter wait"):
        cut_offs_left(samples, Policy(1.0, 3.3, 3.3))


def test_a_slow_judge_costs_latency(samples):
    from dataclasses import replace

    slow = replace(
        samples, pauses=tuple(replace(pause, judge_ms=400.0) for pause in samples.pauses)
    )
    quick = curve(samples, "semantic").points[0].latency_s.value
    assert curve(slow, "semantic").points[0].latency_s.value == pytest.approx(quick + 0.4, abs=0.03)
    assert curve(slow, "vad") == curve(samples, "vad")


def test_what_cannot_be_asked(turns, samples):
    plain = collect(turns[:5], LevelVad())
    with pytest.raises(InputError, match="judge"):
        curve(plain, "both")
    with pytest.raises(InputError, match="judge"):
        point(plain, Policy(0.5, 0.2, 1.0))
    with pytest.raises(InputError, match="magic"):
        curve(samples, "magic")
    with pytest.raises(InputError, match="budget"):
        operating_point(samples, "vad")
    with pytest.raises(InputError, match="allow more"):
        operating_point(samples, "vad", latency_s=0.0)
    with pytest.raises(InputError, match="turns"):
        curve(collect(turns[:2], LevelVad()), "vad")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["silero", "webrtc"])
def test_real_detectors_find_the_ends_of_a_nano_voice(name):
    import workbench
    from workbench.engines.turns.vad import load_vad
    from workbench.errors import ModelError

    try:
        detector = load_vad(name)
    except ModelError as problem:
        pytest.skip(problem.what)
    engine = workbench.load("csm-nano", device="cpu")
    turns = make_turns(
        held_out_texts()[2:6], lambda text: engine.synthesize(text, seed=1), pauses=(1, 1)
    )
    found = collect(turns, detector)
    assert not found.missed
    ends = [pause.start_s - pause.true_end_s for pause in found.pauses if pause.final]
    assert len(ends) == 4
    assert max(map(abs, ends)) < 0.4
