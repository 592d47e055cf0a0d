"""The check of sound finds what is broken, and only that."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from tests.studies.voices import Ear, silence_like, speech, texts, with_code, with_samples
from workbench.errors import InputError, RecordError
from workbench.measure.record import Failure
from workbench.optimizations.switch import (
    DISTRIBUTION,
    EXACT,
    TOLERANCE,
    Contract,
    Promise,
    lossy,
)
from workbench.quality.wer import WerIncrease
from workbench.studies.sound.check import (
    SoundCheck,
    Transcripts,
    check_sound,
    combined,
    held_out,
    pair,
)
from workbench.studies.sound.listening import Clips
from workbench.studies.sound.promises import would_tell

TEXTS = texts()


def clips(arm="plain", change=lambda clip, i: clip, greedy=lambda clip, i: clip, **settings):
    return Clips(
        arm,
        tuple(greedy(speech(text, **settings), i) for i, text in enumerate(TEXTS)),
        tuple(change(speech(text, seed=i, **settings), i) for i, text in enumerate(TEXTS)),
    )


def only(number, change):
    return lambda clip, i: change(clip) if i == number else clip


def first(count, change):
    return lambda clip, i: change(clip) if i < count else clip


def other_draw(clip, said=None, **settings):
    """The same words by other codes and slightly other sound, as of another random draw."""
    made = speech(clip.text, seed=clip.seed, said=said, **{"level": 0.11, **settings})
    return with_code(made, 0) if made.frames else made


def check(contract, change=lambda clip, i: clip, greedy=lambda clip, i: clip, before=None):
    after = clips("switched", change, greedy)
    return check_sound(before or clips(), after, contract, Transcripts(Ear()))


def nudged(clip, by):
    samples = clip.samples.copy()
    samples[1_234] += by
    return with_samples(clip, samples)


# -- Exact -------------------------------------------------------------------------------------


@pytest.mark.parametrize("contract", [EXACT, TOLERANCE, DISTRIBUTION, lossy(0.0)])
def test_the_same_sound_keeps_every_promise(contract):
    found = check(contract)
    assert found.kept is True
    assert found.sentence == "codes equal in 40 of 40 clips, samples too"
    assert found.facts.sampled.log_mel_db == 0
    assert found.facts.greedy.first_divergence is None


@pytest.mark.parametrize("kind", ["change", "greedy"])
def test_exact_notices_one_bit_of_one_sample(kind):
    def one_bit(clip):
        samples = clip.samples.copy()
        samples[1_234] = np.nextafter(samples[1_234], np.float32(1))
        return with_samples(clip, samples)

    found = check(EXACT, **{kind: only(7, one_bit)})
    assert found.kept is False
    assert "samples differ in 1 clips" in found.why
    assert found.sentence.startswith("codes equal in 40 of 40 clips, samples within ")


@pytest.mark.parametrize(("kind", "name"), [("change", "sampled"), ("greedy", "greedy")])
def test_exact_notices_one_wrong_code(kind, name):
    found = check(EXACT, **{kind: only(3, lambda clip: with_code(clip, 5))})
    assert found.kept is False
    assert found.why == f"codes differ in 1 of 20 {name} clips, first at frame 5 in the median"
    likeness = getattr(found.facts, name)
    assert (likeness.equal, likeness.identical, likeness.first_divergence) == (19, 19, 5)
    assert likeness.share == pytest.approx(1 - 1 / 24 / 20)


def test_exact_notices_a_missing_last_frame():
    found = check(EXACT, only(0, lambda clip: replace(clip, codes=clip.codes[:, :-1])))
    assert found.kept is False
    assert found.facts.sampled.first_divergence == 7


# -- Within tolerance --------------------------------------------------------------------------


def test_tolerance_allows_ties_small_differences_and_other_draws():
    found = check(
        TOLERANCE,
        lambda clip, i: other_draw(clip),
        lambda clip, i: with_code(clip, 2) if i < 2 else nudged(clip, 5e-4),
    )
    assert found.kept is True
    assert found.why == "greedy codes equal in 18 of 20 clips, samples within 0.0005"


def test_tolerance_notices_too_many_other_codes():
    found = check(TOLERANCE, greedy=first(3, lambda clip: with_code(clip, 2)))
    assert found.kept is False
    assert "17 of 20" in found.why


@pytest.mark.parametrize("kind", ["change", "greedy"])
def test_tolerance_notices_other_samples_at_equal_codes(kind):
    found = check(TOLERANCE, **{kind: only(4, lambda clip: nudged(clip, 2e-3))})
    assert found.kept is False
    assert "0.002" in found.why


def test_tolerance_notices_a_broken_sampler():
    def shuffled(clip):
        return other_draw(clip, said=" ".join(reversed(clip.text.split())))

    found = check(TOLERANCE, lambda clip, i: shuffled(clip))
    assert found.kept is False
    assert found.why.startswith("sampled clips: word error rate +")


# -- The words ---------------------------------------------------------------------------------


def test_other_draws_of_the_same_words_keep_the_promise():
    found = check(DISTRIBUTION, lambda clip, i: other_draw(clip))
    assert found.kept is True
    assert found.why == "word error rate 0.00, −0.02 to +0.02; +0.02 allowed"
    assert found.sentence == (
        "WER 0.00 → 0.00 (0.00, −0.02 to +0.02, n = 20), codes equal in 20 of 40 clips"
    )


@pytest.mark.parametrize("contract", [DISTRIBUTION, lossy(0.05)])
def test_shuffled_words_are_found(contract):
    def shuffled(clip):
        return other_draw(clip, said=" ".join(reversed(clip.text.split())))

    found = check(contract, lambda clip, i: shuffled(clip))
    assert found.kept is False
    assert found.facts.words.increase.interval[0] > 0.3
    assert found.facts.words.cer_after.value > 0.2


def test_a_few_wrong_words_are_not_shown_either_way():
    found = check(
        lossy(0.03),
        lambda clip, i: other_draw(clip, said=clip.text.rpartition(" ")[0] if i < 2 else None),
    )
    assert found.kept is None
    assert found.why.startswith("not shown: word error rate +0.01, ")
    assert found.why.endswith("sentences would tell")
    needed = int(found.why.split("about ")[1].split()[0])
    assert 20 < needed < 100


def test_a_rise_at_the_limit_itself_can_never_be_told():
    near = WerIncrease(0.0201, (-0.01, 0.05), 160, 20)
    assert (
        would_tell(near, 0.02) == "the rise is too near to it for any number of sentences to tell"
    )
    far = WerIncrease(0.0, (-0.04, 0.04), 160, 20)
    assert would_tell(far, 0.02) == "about 80 sentences would tell"


def test_a_larger_rise_is_allowed_where_the_contract_says_so():
    change = first(4, lambda clip: other_draw(clip, said=clip.text.rpartition(" ")[0]))
    assert check(lossy(0.2), change).kept is True
    assert check(DISTRIBUTION, change).kept is None


def test_without_words_nothing_is_claimed():
    noise = clips(weights="random")
    found = check_sound(
        noise, clips("b", lambda clip, i: other_draw(clip)), DISTRIBUTION, Transcripts(Ear())
    )
    assert found.kept is None
    assert found.why == "no word error rate: random weights say no words"
    assert found.sentence == "codes equal in 20 of 40 clips; no WER: random weights say no words"
    assert found.facts.sampled.log_mel_db > 0


def test_words_the_recognizer_cannot_know_give_no_rate():
    def foreign(clip, i):
        return replace(clip, text=clip.text + " zeugma")

    found = check(lossy(0.5), lambda c, i: foreign(other_draw(c), i), before=clips(change=foreign))
    assert (found.kept, found.facts.words) == (None, None)
    assert "'zeugma'" in found.why


def test_a_baseline_that_is_not_understood_gives_no_rate():
    garbled = clips(
        change=lambda clip, i: other_draw(clip, said=" ".join(reversed(clip.text.split())))
    )
    found = check(lossy(0.5), lambda clip, i: other_draw(clip), before=garbled)
    assert found.kept is None
    assert "isn't understood" in found.why


def test_a_baseline_cut_by_the_frame_limit_gives_no_rate():
    found = check(lossy(0.5), lambda c, i: other_draw(c, ended="cap"), before=clips(ended="cap"))
    assert found.kept is None
    assert "cut by the frame limit" in found.why


def test_each_sound_is_heard_once():
    ear = Ear()
    transcripts = Transcripts(ear)
    plain, same = clips(), clips("same")
    changed = clips("changed", first(5, other_draw))
    for after in (same, changed):
        check_sound(plain, after, DISTRIBUTION, transcripts)
    assert ear.asked <= len(TEXTS) + 5


# -- Sound that is plainly wrong ---------------------------------------------------------------

BROKEN = {
    "silent": lambda clip: with_samples(other_draw(clip), silence_like(clip)),
    "clipped": lambda clip: with_samples(
        other_draw(clip), np.clip(20 * other_draw(clip).samples, -1, 1)
    ),
    "ended by themselves": lambda clip: other_draw(clip, ended="cap"),
    "times as long": lambda clip: other_draw(clip, said=f"{clip.text} ba ba ba"),
    "loudness changed by −": lambda clip: other_draw(clip, level=0.05),
    "loudness changed by +": lambda clip: other_draw(clip, level=0.3),
}


@pytest.mark.parametrize("contract", [TOLERANCE, DISTRIBUTION, lossy(0.9)])
@pytest.mark.parametrize("words", BROKEN)
def test_broken_sound_is_found_whatever_was_promised(words, contract):
    found = check(contract, lambda clip, i: BROKEN[words](clip))
    assert found.kept is False
    assert words in found.why


def test_what_the_baseline_does_too_is_no_fault():
    before = clips(change=lambda clip, i: BROKEN["clipped"](clip))
    after = clips("b", lambda clip, i: with_code(BROKEN["clipped"](clip), 3))
    assert check_sound(before, after, DISTRIBUTION, Transcripts(Ear())).kept is True


def test_one_clip_cut_by_the_limit_may_be_chance():
    change = lambda clip, i: other_draw(clip, ended="cap" if i == 0 else "eos")  # noqa: E731
    assert check(DISTRIBUTION, change).kept is True


def test_empty_clips_are_silent_and_break_nothing_else():
    found = check(DISTRIBUTION, lambda clip, i: other_draw(clip, said=""))
    assert found.kept is False
    assert found.why == "20 of 20 clips are silent"
    assert found.facts.sampled.log_mel_db is None


# -- Contracts, records, pairs -----------------------------------------------------------------


def test_the_loosest_promise_holds():
    assert combined([]) == EXACT
    assert combined([EXACT, EXACT]) == EXACT
    assert combined([TOLERANCE, EXACT]) == TOLERANCE
    assert combined([EXACT, DISTRIBUTION, TOLERANCE]) == DISTRIBUTION
    assert combined([lossy(0.01), DISTRIBUTION]) == Contract(Promise.LOSSY, 0.02)
    assert combined([lossy(0.1), lossy(0.05)]) == lossy(0.1)


@pytest.mark.parametrize("change", [lambda c, i: c, lambda c, i: other_draw(c)])
def test_a_record_keeps_the_check(change):
    found = check(DISTRIBUTION, change)
    again = SoundCheck.from_dict(json.loads(json.dumps(found.to_dict(), allow_nan=False)))
    assert again == found
    assert (again.kept, again.why, again.sentence) == (found.kept, found.why, found.sentence)


def test_silence_can_be_recorded():
    found = check(DISTRIBUTION, lambda clip, i: BROKEN["silent"](clip))
    assert SoundCheck.from_dict(json.loads(json.dumps(found.to_dict(), allow_nan=False))) == found


def test_what_is_no_check_is_refused():
    torn = check(EXACT).to_dict()
    del torn["facts"]["greedy"]["equal"]
    with pytest.raises(RecordError, match="equal"):
        SoundCheck.from_dict(torn)


@pytest.mark.parametrize("broken", ["plain", "switched"])
def test_a_failed_arm_has_its_reason_and_no_verdict(broken):
    failed = Clips(broken, error=Failure("MemoryError", "no room\n  → use less"))
    arms = {"plain": clips(), "switched": clips("switched")} | {broken: failed}
    found = check_sound(arms["plain"], arms["switched"], EXACT, Transcripts(Ear()))
    assert found.kept is None
    assert found.why == found.sentence == f"{broken} failed: no room"
    assert SoundCheck.from_dict(found.to_dict()) == found
    assert pair(arms["plain"], arms["switched"]) is None


def test_clips_of_other_texts_or_seeds_are_no_pairs():
    shifted = clips("b", lambda clip, i: replace(clip, seed=clip.seed + 1))
    with pytest.raises(InputError, match="no pairs"):
        check_sound(clips(), shifted, EXACT, Transcripts(Ear()))


def test_the_pair_to_listen_to_is_one_that_differs():
    made = pair(clips(), clips("b", only(3, other_draw)))
    assert (made.text, made.seed) == (TEXTS[3], 3)
    assert np.abs(made.before.samples - made.after.samples).max() > 0
    same = pair(clips(), clips("b"))
    assert (same.text, same.seed) == (TEXTS[0], 0)


# -- The real voice and the real recognizer ----------------------------------------------------


@pytest.mark.slow
def test_the_recognizer_finds_a_real_voice_cut_into_pieces():
    import workbench

    engine = workbench.load("csm-nano", threads=1)
    texts = held_out(5)
    spoken = tuple(engine.synthesize(text, seed=i) for i, text in enumerate(texts))

    def in_pieces(clip):
        pieces = np.split(clip.samples, range(4_800, len(clip), 4_800))  # 0.2 s
        return replace(clip, samples=np.concatenate(pieces[::-1]), codes=clip.codes[:, ::-1])

    voice = Clips("voice", spoken, spoken)
    pieces = Clips("pieces", spoken, tuple(map(in_pieces, spoken)))
    found = check_sound(voice, pieces, lossy(0.05))
    assert found.facts.words.wer_before.value < 0.2
    assert found.kept is False
    assert "word error rate" in found.why
    assert found.facts.sampled.log_mel_db > 3
    assert abs(found.facts.after.loudness_lufs - found.facts.before.loudness_lufs) < 1
