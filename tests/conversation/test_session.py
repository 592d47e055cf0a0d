"""What a session does, to the millisecond: scripted stages on the simulated clock."""

import asyncio
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from workbench.audio import Audio
from workbench.conversation import events as e
from workbench.conversation.clock import StuckError, run
from workbench.conversation.scripted import (
    LevelVad,
    ScriptedChat,
    ScriptedRecognition,
    ScriptedSynthesis,
    scripted_stages,
    spoken,
)
from workbench.conversation.session import Session
from workbench.conversation.settings import Settings, TimeLimits
from workbench.conversation.sinks import Recording
from workbench.conversation.sources import Feed
from workbench.conversation.talk import talk
from workbench.conversation.trace import Trace
from workbench.engines.chat.messages import Message
from workbench.engines.turns.detectors import Wait
from workbench.errors import InputError, ModelError, ServiceError

SERIAL, OVERLAPPED = Settings(mode="serial"), Settings(mode="overlapped")


def simulate(question, settings=OVERLAPPED, **stages):
    return talk(scripted_stages(**stages), question, settings, simulated=True)


def test_serial_adds_up():
    """Silence, text, the whole answer, all of its sound: one after the other."""
    made = simulate(spoken([5]), SERIAL)
    (turn,) = made.turns
    assert turn.outcome == "spoken"
    assert turn.heard == turn.answered == "word word word word word"
    assert turn.turn_ms == pytest.approx(700)
    # 50 ms and 5 % of the turn's audio: 0.2 s before it, five words, the pause's 0.1 s
    assert turn.recognizer_ms == pytest.approx(50 + 0.05 * 1800)
    assert turn.chat_ms == pytest.approx(100 + 4 * 20)
    assert turn.synthesizer_ms == pytest.approx(50 + 18 * 20)  # 19 frames
    parts = turn.turn_ms + turn.recognizer_ms + turn.chat_ms + turn.synthesizer_ms
    assert turn.first_audio_ms == pytest.approx(parts)
    assert turn.total_ms == pytest.approx(parts)


def test_overlapped_answers_when_the_turn_is_over():
    made = simulate(spoken([5]))
    (turn,) = made.turns
    assert turn.first_audio_ms == pytest.approx(700)
    assert turn.synthesizer_ms == pytest.approx(50)
    # a shorter wait than the stages take: then it is the stages that one waits for
    (sooner,) = simulate(spoken([5]), silence_s=0.12).turns
    stages = sooner.recognizer_ms + sooner.chat_ms + sooner.synthesizer_ms
    assert sooner.first_audio_ms == pytest.approx(100 + stages)


def test_the_first_clause_is_spoken_while_the_rest_is_thought_of():
    chat = lambda: ScriptedChat(  # noqa: E731
        lambda text: "turn left at the bank, then it is near the old bridge", 0.1, 0.1
    )
    (turn,) = simulate(spoken([2]), silence_s=0.2, chat=chat()).turns
    (whole,) = simulate(spoken([2]), SERIAL, silence_s=0.2, chat=chat()).turns
    assert turn.chat_ms == pytest.approx(100 + 5 * 100)  # "bank," and the word after it
    assert whole.chat_ms == pytest.approx(100 + 11 * 100)
    assert turn.answered == whole.answered


def test_speculation_is_given_up_when_the_speaker_goes_on():
    made = simulate(spoken([3, 4], pause_s=0.5))
    (turn,) = made.turns
    assert turn.attempts == 2
    assert turn.heard.split() == ["word"] * 7
    first, second = made.trace.of(e.AttemptEnded)
    assert (first.outcome, second.outcome) == ("cancelled", "spoken")
    chats = [one for one in made.trace.of(e.StageEnded) if one.stage == "chat"]
    assert {one.attempt for one in chats} == {1, 2}
    speech = made.trace.of(e.SpeechStarted)
    assert len(speech) == 2
    assert first.at_ms == speech[1].at_ms


def test_without_speculation_the_answer_is_begun_at_the_turns_end():
    made = simulate(spoken([3, 4], pause_s=0.5), Settings(speculate=False))
    (turn,) = made.turns
    assert turn.first_audio_ms == pytest.approx(
        700 + turn.recognizer_ms + turn.chat_ms + turn.synthesizer_ms
    )
    (over,) = made.trace.of(e.TurnEnded)
    assert all(one.at_ms >= over.at_ms for one in made.trace.of(e.FirstToken))


def test_partial_texts_grow_while_the_user_speaks():
    made = simulate(spoken([10]))
    partials = made.trace.of(e.PartialText)
    assert len(partials) >= 3
    assert all(one.at_ms < made.turns[0].speech_end_ms + 200 for one in partials)
    lengths = [len(one.confirmed.split()) for one in partials]
    assert lengths == sorted(lengths)
    assert lengths[-1] >= 4
    assert not simulate(spoken([10]), Settings(partial_step_s=None)).trace.of(e.PartialText)


def test_a_slow_recognizer_is_asked_less_often_for_partial_texts():
    slow = simulate(spoken([20]), recognizer=ScriptedRecognition(1.0, 0.0)).trace.of(e.PartialText)
    assert all(later.at_ms - one.at_ms >= 1900 for one, later in pairwise(slow))
    assert len(slow) == 3


@pytest.mark.parametrize("mode", ["serial", "overlapped"])
def test_a_barge_in_stops_the_answer_at_once(mode):
    chat = ScriptedChat(lambda text: " ".join(["word"] * 40), 0.1, 0.02)
    synthesizer = ScriptedSynthesis(frame_s=0.09)  # slower than it is played: still at work
    question = spoken([4, 3], pause_s=4.0)
    made = simulate(question, Settings(mode=mode), chat=chat, synthesizer=synthesizer)
    if mode == "serial":
        assert made.turns[0].outcome == "interrupted"
    first, second = made.turns
    assert (first.outcome, second.outcome) == ("interrupted", "spoken")
    (barge,) = made.trace.of(e.BargeIn)
    ended = next(one for one in made.trace.of(e.AttemptEnded) if one.outcome == "interrupted")
    assert ended.at_ms - barge.at_ms < 80
    after = [one for one in made.trace.of(e.AudioReady) if one.attempt == barge.attempt]
    assert all(one.at_ms <= barge.at_ms for one in after)
    assert chat.open == synthesizer.open == 0


def test_half_duplex_ignores_what_is_said_meanwhile():
    made = simulate(spoken([4, 3], pause_s=0.9), Settings(barge_in=False))
    assert [turn.outcome for turn in made.turns] == ["spoken"]
    assert not made.trace.of(e.BargeIn)


def test_a_noise_that_does_not_stop_ends_its_turn():
    made = simulate(spoken([30]), Settings(max_turn_s=3.0))
    (turn,) = made.turns
    assert made.trace.of(e.TurnEnded)[0].forced
    assert made.trace.of(e.TurnEnded)[0].at_ms < 3500
    assert turn.outcome == "spoken"
    assert len(turn.heard.split()) <= 11


def test_nothing_heard_is_no_question():
    mute = ScriptedRecognition(words=lambda count: "")
    made = simulate(spoken([2]), recognizer=mute)
    (turn,) = made.turns
    assert turn.outcome == "nothing heard"
    assert not turn.answered_aloud
    assert made.first is None


# -- Failures ------------------------------------------------------------------------------------


class Broken:
    """A stage that raises, or never comes back."""

    name, needs_text, silence_s, rate_hz = "broken", False, None, 24_000

    def __init__(self, problem=None):
        self.problem = problem

    async def _fail(self):
        if self.problem is None:
            await asyncio.sleep(1e9)
        raise self.problem

    async def transcribe(self, audio):
        await self._fail()

    async def wait(self, transcript):
        await self._fail()

    async def answer(self, messages, max_tokens):
        await self._fail()
        yield ""

    async def speak(self, text):
        await self._fail()
        yield Audio(np.zeros(1920), 24_000)


PROBLEMS = [None, ServiceError("no network", "plug it in"), RuntimeError("a bug")]


@pytest.mark.parametrize("problem", PROBLEMS, ids=["hangs", "outage", "bug"])
@pytest.mark.parametrize("mode", ["serial", "overlapped"])
@pytest.mark.parametrize("stage", ["recognizer", "turn", "chat", "synthesizer"])
def test_an_outage_is_said_and_the_session_lives(stage, mode, problem):
    plain = scripted_stages()

    class Once:
        """Broken for the first turn only."""

        name, needs_text, silence_s, rate_hz = "once", False, None, 24_000

        def __init__(self):
            self.calls = 0

        def chosen(self):
            self.calls += 1
            return Broken(problem) if self.calls == 1 else getattr(plain, stage)

        async def transcribe(self, audio):
            return await self.chosen().transcribe(audio)

        async def wait(self, transcript):
            return await self.chosen().wait(transcript)

        def answer(self, messages, max_tokens):
            return self.chosen().answer(messages, max_tokens)

        def speak(self, text):
            return self.chosen().speak(text)

    settings = Settings(mode=mode, partial_step_s=None)
    made = talk(
        replace(plain, **{stage: Once()}), spoken([3, 2], pause_s=25), settings, simulated=True
    )
    first, second = made.turns
    (failure,) = made.failures
    assert failure.stage == stage
    if isinstance(problem, ServiceError):
        assert (failure.error, failure.remedy) == ("no network", "plug it in")
    elif problem is None:
        assert "too long" in failure.error
    answer = {"recognizer": settings.not_understood, "chat": settings.no_answer}
    assert first.answered == answer.get(stage, "word word word")
    assert first.outcome == ("failed" if stage == "synthesizer" else "spoken")
    # what got no answer is asked once more, together with the second turn's words
    words = 5 if stage == "synthesizer" else 2
    assert (second.outcome, second.answered) == ("spoken", " ".join(["word"] * words))


def test_an_answer_that_breaks_off_is_finished_with_an_apology():
    class BreaksOff(ScriptedChat):
        async def answer(self, messages, max_tokens):
            yield "turn left. "
            yield "then it"
            raise ServiceError("broke off", "ask again")

    made = simulate(spoken([3]), chat=BreaksOff())
    assert made.turns[0].answered == f"turn left. then it {OVERLAPPED.no_answer}"
    assert made.turns[0].outcome == "spoken"


@pytest.mark.parametrize("text", ["", "… !"])
def test_an_empty_answer_is_a_failure_that_is_said(text):
    made = simulate(spoken([3]), chat=ScriptedChat(lambda heard: text))
    assert [one.error for one in made.failures] == ["the chat model answered nothing"]
    assert made.turns[0].answered == OVERLAPPED.no_answer


def test_a_judge_that_fails_leaves_the_fallbacks_silence():
    plain = scripted_stages(silence_s=0.2)
    made = talk(replace(plain, turn=Broken(ValueError("x"))), spoken([3]), simulated=True)
    assert made.trace.of(e.TurnJudged)[0].wait_ms == pytest.approx(700)
    assert made.turns[0].turn_ms == pytest.approx(700)


def test_a_semantic_detector_gets_the_words_and_sets_the_wait():
    class Judge(Broken):
        needs_text = True

        async def wait(self, transcript):
            await asyncio.sleep(0.03)
            return Wait(0.3 if len(transcript.split()) == 7 else 1.5, 0.5)

    for mode in ("serial", "overlapped"):
        stages = replace(scripted_stages(), turn=Judge())
        made = talk(stages, spoken([3, 4], pause_s=1.0), Settings(mode=mode), simulated=True)
        (turn,) = made.turns
        assert turn.attempts == 2
        # 280 ms: the recognizer's 50 ms and 5 % of 4 s, and 30 ms for the judge, come first
        assert turn.turn_ms == pytest.approx(max(300, 100 + turn.recognizer_ms + 30), abs=21)


def test_a_player_that_fails_ends_the_answer():
    class NoSound(Recording):
        async def play(self, audio):
            raise OSError("the device is gone")

    trace = Trace()

    async def work():
        session = Session(scripted_stages(), on_event=trace.append)
        await session.run(Feed(spoken([3])), NoSound())

    run(work, simulated=True)
    trace.validate()
    assert [one.stage for one in trace.of(e.StageFailed)] == ["player"]
    assert trace.of(e.AttemptEnded)[0].outcome == "failed"


class Blocks:
    """A source of given blocks; an exception among them is raised."""

    rate_hz = 16_000

    def __init__(self, blocks, lost=0):
        self._blocks, self.lost = blocks, lost

    async def blocks(self):
        for block in self._blocks:
            await asyncio.sleep(0.02)
            if isinstance(block, Exception):
                raise block
            yield block


GARBAGE = [
    np.full(320, np.nan),
    np.zeros((320, 2)),
    np.array(["x"] * 320),
    np.zeros(0),
    np.full(320, 32_767, np.int16),
]


def test_garbage_is_told_and_counts_as_silence():
    trace = Trace()

    async def work():
        await Session(scripted_stages(), on_event=trace.append).run(Blocks(GARBAGE), Recording())

    run(work, simulated=True)
    trace.validate()
    failures = trace.of(e.StageFailed)
    assert [one.stage for one in failures] == ["source"] * 3
    assert not trace.of(e.SpeechStarted)


def test_a_source_that_breaks_ends_the_session_in_order():
    for problem, reason in ((OSError("unplugged"), "the source failed"), (None, "source ended")):
        trace = Trace()
        blocks = [np.full(320, 0.2, np.float32)] * 40 + ([problem] if problem else [])

        async def work(blocks=blocks, trace=trace):
            source = Blocks(blocks, lost=3)
            await Session(scripted_stages(), on_event=trace.append).run(source, Recording())

        run(work, simulated=True)
        trace.validate()
        assert reason in trace.of(e.SessionEnded)[0].reason
        assert trace.of(e.AttemptEnded)[-1].outcome == "spoken", "what was said is answered"
        assert "3 blocks" in trace.of(e.StageFailed)[0].error


def test_a_deaf_detector_ends_the_session():
    class Deaf(LevelVad):
        def probability(self, frame):
            raise RuntimeError("no")

    trace = Trace()

    async def work():
        stages = replace(scripted_stages(), vad=Deaf())
        await Session(stages, on_event=trace.append).run(Feed(spoken([9])), Recording())

    with pytest.raises(ModelError, match="25 times in a row"):
        run(work, simulated=True)
    trace.validate()
    assert len(trace.of(e.StageFailed)) == 24


def test_a_rate_that_does_not_fit_is_refused():
    async def work():
        source = Blocks([])
        source.rate_hz = 8_000
        await Session(scripted_stages()).run(source, Recording())

    with pytest.raises(InputError, match="8000 Hz"):
        run(work, simulated=True)


def test_a_session_can_be_closed_in_mid_answer():
    trace = Trace()

    async def work():
        session = Session(scripted_stages(), on_event=trace.append)
        asyncio.get_running_loop().call_later(2.5, session.close)
        await session.run(Feed(spoken([3, 3], pause_s=9)), Recording())
        return len(asyncio.all_tasks())

    assert run(work, simulated=True) == 1
    trace.validate()
    assert trace.of(e.AttemptEnded)[-1].outcome == "closed"
    assert trace.of(e.SessionEnded)[0].reason == "closed"


def test_being_cancelled_leaves_a_whole_trace_and_no_task():
    trace = Trace()

    async def work():
        session = Session(scripted_stages(), on_event=trace.append)
        task = asyncio.create_task(session.run(Feed(spoken([3])), Recording()))
        await asyncio.sleep(1.9)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled(), len(asyncio.all_tasks())

    assert run(work, simulated=True) == (True, 1)
    trace.validate()


# -- Bounds and memory ---------------------------------------------------------------------------


def test_a_fast_voice_waits_for_the_player():
    chat = ScriptedChat(lambda text: " ".join(["word"] * 60))
    settings = Settings(chunks_ahead=10)
    made = simulate(spoken([2]), settings, chat=chat, synthesizer=ScriptedSynthesis(0.01, 0.001))
    ahead = most = 0
    for event in made.trace:
        ahead += isinstance(event, e.AudioReady) - isinstance(event, e.AudioPlayed)
        most = max(most, ahead)
    assert 10 <= most <= 12
    assert len(made.trace.of(e.AudioPlayed)) > 100


def test_the_chat_model_hears_the_conversation_so_far():
    seen: list[list[Message]] = []

    class Notes(ScriptedChat):
        def answer(self, messages, max_tokens):
            seen.append(list(messages))
            return super().answer(messages, max_tokens)

    settings = Settings(mode="serial", history=2, system="be kind")
    simulate(spoken([1, 2, 3], pause_s=4), settings, chat=Notes())
    texts = [[(one.role, one.text) for one in messages] for messages in seen]
    assert texts[1] == [
        ("system", "be kind"),
        ("user", "word"),
        ("assistant", "word"),
        ("user", "word word"),
    ]
    assert len(texts[2]) == 4


def test_what_was_interrupted_is_remembered_as_far_as_it_was_heard():
    seen = []

    class Notes(ScriptedChat):
        def answer(self, messages, max_tokens):
            seen.append([(one.role, one.text) for one in messages])
            return super().answer(messages, max_tokens)

    long = "a b c d e f g h. i j k l m n o p. q r s t u v w x."
    settings = Settings(partial_step_s=None)
    simulate(spoken([2, 1], pause_s=2.0), settings, chat=Notes(lambda text: long))
    assert seen[-1] == [("user", "word word"), ("assistant", "a b c d e f g h."), ("user", "word")]


def test_settings_are_checked():
    for wrong in ({"mode": "both"}, {"partial_step_s": 0}, {"chunks_ahead": 0}, {"max_turn_s": 0}):
        with pytest.raises(InputError):
            Settings(**wrong)
    assert Settings().limits == TimeLimits()


def test_a_conversation_that_waits_for_nothing_is_found():
    async def work():
        await asyncio.Event().wait()

    with pytest.raises(StuckError):
        run(work, simulated=True)
