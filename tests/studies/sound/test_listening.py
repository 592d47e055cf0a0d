"""Arms in their own processes say the same sentences; one that fails leaves the others alone."""

from __future__ import annotations

import numpy as np
import pytest

from tests.studies.voices import texts
from workbench.errors import InputError
from workbench.measure.arm import Arm
from workbench.measure.speech_arm import speech_arm
from workbench.optimizations.switch import EXACT
from workbench.studies.sound.check import check_sound, held_out, listen, pair

TEXTS = texts(3)


def voice(name, **kwargs):
    return Arm(name, "tests.studies.voices:Voice", kwargs)


def test_every_text_is_said_greedily_and_sampled():
    told = []
    clips = listen([voice("plain")], [*TEXTS, TEXTS[0]], [7, 8, 9, 10], progress=told.append)[
        "plain"
    ]
    assert [clip.text for clip in clips.greedy] == list(TEXTS)
    assert [clip.codes[0, 0] for clip in clips.greedy] == [0, 0, 0]
    assert [(clip.text, clip.seed) for clip in clips.sampled] == list(
        zip([*TEXTS, TEXTS[0]], [7, 8, 9, 10], strict=True)
    )
    assert [clip.codes[0, 0] for clip in clips.sampled] == [7, 8, 9, 10]
    assert clips.about == {"engine": "made up", "warm": True}
    assert told[0] == "plain: loading"
    assert told[-1] == "plain: clip 7 of 7"


def test_an_arm_that_fails_leaves_the_others_alone():
    arms = [
        voice("dies", how="die"),
        voice("raises", how="raise", at=5),
        Arm("mute", "tests.studies.voices:Mute"),
        Arm("missing", "tests.studies.voices:Nothing"),
        voice("fine"),
    ]
    found = listen(arms, TEXTS)
    assert "SIGKILL" in found["dies"].error.message
    assert found["raises"].error.type == "MemoryError"
    assert "speak" in found["mute"].error.message
    assert "Nothing" in found["missing"].error.message
    assert all(not found[name].sampled for name in ("dies", "raises", "mute", "missing"))
    assert found["fine"].error is None
    assert len(found["fine"].sampled) == 3


def test_an_arm_that_hangs_is_ended():
    found = listen([voice("hangs", how="hang")], TEXTS, clip_s=1.0)
    assert found["hangs"].error.type == "WorkerTimeout"


def test_texts_and_seeds_must_match():
    for wrong in (([], None), (TEXTS, [1])):
        with pytest.raises(InputError):
            listen([voice("plain")], *wrong)


def test_held_out_sentences_are_chosen_by_seed():
    assert len(set(held_out())) == 20
    assert held_out(5, seed=1) == held_out(5, seed=1) != held_out(5, seed=2)
    for count in (0, 10_000):
        with pytest.raises(InputError):
            held_out(count)


def test_two_processes_of_one_engine_are_exact(tiny_folder):
    said = ("good morning", "hello")
    arms = [speech_arm(name, str(tiny_folder), said[:1], max_frames=6) for name in ("a", "b")]
    clips = listen(arms, said, [3, 4])
    check = check_sound(clips["a"], clips["b"], EXACT)
    assert check.kept is True, check.why
    assert check.facts.wordless
    assert [clip.seed for clip in clips["a"].sampled] == [3, 4]
    assert not np.array_equal(clips["a"].sampled[0].codes, clips["a"].sampled[1].codes)
    assert len(pair(clips["a"], clips["b"]).before)
