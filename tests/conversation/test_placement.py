"""A whole conversation on tiny checkpoints through the real engines, threads and clock."""

import threading

import numpy as np
import pytest

from tests import tiny_chat
from tests.turn_sounds import buzz
from workbench.audio import Audio
from workbench.conversation import events as e
from workbench.conversation.arm import ConversationArm, said
from workbench.conversation.placement import Engines, load_stages, thread_budget
from workbench.conversation.settings import Settings
from workbench.conversation.talk import talk
from workbench.engines.turns.detectors import MIN_SILENCE_S
from workbench.errors import InputError, ModelError
from workbench.measure.arm import Arm

TINY = {"recognizer_settings": {"window": "trimmed", "max_tokens": 8, "beam_size": 1}}


@pytest.fixture(scope="module")
def names(tiny_folder, whisper_folder, tmp_path_factory):
    chat = tiny_chat.folder(tmp_path_factory.mktemp("chat") / "tiny-chat")
    return {
        "recognizer": str(whisper_folder),
        "chat": str(chat),
        "synthesizer": str(tiny_folder),
        "synthesizer_settings": {"optimizations": None},
        **TINY,
    }


@pytest.fixture(scope="module")
def stages(names):
    with load_stages(Engines(**names, silence_s=0.2)) as made:
        yield made


@pytest.fixture(scope="module")
def question():
    return Audio.concatenate([Audio(np.zeros(3200), 16_000), buzz(0.8)])


@pytest.mark.parametrize("mode", ["serial", "overlapped"])
def test_a_question_is_answered_in_speech(stages, question, mode):
    settings = Settings(mode=mode, max_tokens=6)
    made = talk(stages, question, settings, paced=False)
    assert not made.failures
    (turn,) = made.turns
    assert turn.outcome == "spoken"
    assert turn.heard
    assert turn.answered
    assert turn.first_audio_ms >= turn.turn_ms >= 200
    assert len(made.answer) > 1920
    assert made.answer.rate_hz == 24_000
    assert np.abs(made.sound.samples).max() >= np.abs(question.samples).max() * 0.5
    assert made.trace.of(e.SessionStarted)[0].stages["synthesizer"] == stages.synthesizer.name


def test_a_semantic_detector_asks_the_chat_model(names, question):
    before = threading.active_count()
    engines = Engines(**names, turn="semantic", policy=(0.0, MIN_SILENCE_S, 1.0))
    with load_stages(engines) as stages:
        assert stages.turn.needs_text
        made = talk(stages, question, Settings(max_tokens=4), paced=False)
    judged = made.trace.of(e.TurnJudged)[-1]
    assert judged.probability is not None
    assert judged.wait_ms == pytest.approx(1000 * MIN_SILENCE_S)
    assert not made.failures
    for thread in threading.enumerate():
        if thread.name.startswith(("chat", "recognizer", "synthesizer")):
            thread.join(5)
    assert threading.active_count() <= before + 3, "only the fixture's stages are left"


def test_an_arm_of_a_study_asks_its_questions(names, question):
    settings = {"mode": "overlapped", "max_tokens": 3}
    kwargs = {"questions": ["good morning"], "engines": {**names, "silence_s": 0.15}}
    Arm(
        "overlapped", "workbench.conversation.arm:ConversationArm", {**kwargs, "settings": settings}
    )
    arm = ConversationArm(**kwargs, settings=settings)
    # the tiny voice's noise is no speech: what is asked is a buzz
    arm.questions = [question]
    try:
        figures = arm.trial(0, 0)
        assert figures["first_audio_ms"] >= figures["turn_ms"] > 100
        assert arm.about()["settings"]["mode"] == "overlapped"
        assert arm.last().turns[0].outcome == "spoken"
        arm.questions = [Audio(np.zeros(8000), 16_000)]
        with pytest.raises(InputError, match="nothing was heard"):
            arm.trial(0, 0)
    finally:
        arm.stages.close()
    with pytest.raises(InputError, match="without questions"):
        ConversationArm([])


def test_a_text_is_said_by_a_stage(stages):
    sound = said(stages.synthesizer, "good morning")
    assert sound.rate_hz == 24_000
    assert len(sound) >= 1920


def test_what_cannot_be_loaded_frees_what_was(names):
    with pytest.raises((InputError, ModelError)):
        load_stages(Engines(**{**names, "synthesizer": "no-such-voice"}))
    with pytest.raises(InputError, match="can't judge"):
        Engines(chat="echo", turn="semantic")
    with pytest.raises(InputError, match="turn="):
        Engines(turn="maybe")
    with pytest.raises(InputError, match="placement="):
        Engines(placement="clouds")


def test_the_budget_leaves_a_core_to_the_other():
    assert [thread_budget(cores) for cores in (1, 2, 3, 0.5)] == [1, 1, 1, 1]
    assert thread_budget() >= 1
