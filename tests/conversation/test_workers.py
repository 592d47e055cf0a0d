"""Engines in processes of their own: a death is told, the next request served, nothing is left."""

import asyncio
import os
import signal
from contextlib import aclosing
from dataclasses import replace

import numpy as np
import psutil
import pytest

from tests import tiny_chat
from tests.turn_sounds import buzz
from workbench.audio import Audio
from workbench.conversation import events as e
from workbench.conversation import workers
from workbench.conversation.clock import run
from workbench.conversation.placement import Engines, load_stages
from workbench.conversation.scripted import LevelVad
from workbench.conversation.session import Session
from workbench.conversation.settings import Settings, TimeLimits
from workbench.conversation.sinks import Recording
from workbench.conversation.sources import Feed
from workbench.conversation.talk import talk
from workbench.conversation.threads import EngineThread, ThreadedSynthesis
from workbench.conversation.trace import Trace
from workbench.conversation.workers import WorkerEngine
from workbench.engines.turns.detectors import MIN_SILENCE_S
from workbench.worker import Worker, WorkerDied, WorkerTimeout

LIMITS = TimeLimits(60, 60, 60, 60, 60)  # a start, and a busy core, take as long as they take
HOSTED = "tests.conversation.hosted:Hosted"


@pytest.fixture
def hosted():
    made = []

    def make(target=HOSTED, later=lambda work: None, **kwargs):
        made.append(WorkerEngine(lambda: Worker(target, name="hosted", **kwargs), later))
        return made[-1]

    yield make
    for engine in made:
        engine.close()


def test_an_engine_in_a_process_is_asked_like_any_other(hosted):
    engine = hosted()
    assert (engine.name, engine.rate_hz) == ("hosted", 24_000)
    assert engine.transcribe(Audio(np.zeros(5), 8_000)) == "5 samples"
    assert list(engine.stream("a b", voice=3)) == ["a3", "b3"]
    assert engine.end_probability([]) == 0.25
    assert engine.warm_up() == 0.5
    with pytest.raises(AttributeError):
        _ = engine.missing


def test_a_death_is_told_and_the_next_request_served(hosted, tmp_path):
    waiting = []
    engine = hosted(later=waiting.append, marks=str(tmp_path))
    items = engine.stream("a b die c")
    assert [next(items), next(items)] == ["a0", "b0"]
    with pytest.raises(
        WorkerDied, match=r"hosted ended during 'stream' \(signal SIGKILL\)"
    ) as told:
        next(items)
    assert told.value.remedy.startswith("it is being started again")
    assert waiting == [engine.warm_up], "it warms up when the thread is free"
    assert list(engine.stream("a")) == ["a0"]
    assert engine.starts == 2


def test_one_that_is_killed_between_requests_is_told_once(hosted):
    engine = hosted()
    first = engine.pid
    assert engine.transcribe(Audio(np.zeros(5), 8_000))
    os.kill(first, signal.SIGKILL)
    with pytest.raises(WorkerDied, match="SIGKILL"):
        engine.transcribe(Audio(np.zeros(5), 8_000))
    assert engine.transcribe(Audio(np.zeros(6), 8_000)) == "6 samples"
    assert engine.pid != first


def test_one_that_hangs_is_ended_and_started_again(hosted, monkeypatch):
    monkeypatch.setattr(workers, "HUNG_S", 0.3)
    engine = hosted()
    engine.ready()
    first = engine.pid
    with pytest.raises(WorkerTimeout, match=r"longer than 0.3 s for 'end_probability'"):
        engine.end_probability(["a message"])
    assert not psutil.pid_exists(first)
    assert engine.end_probability([]) == 0.25


def test_one_that_always_dies_is_given_up(hosted, tmp_path):
    engine = hosted(marks=str(tmp_path), lives=1)
    assert list(engine.stream("a")) == ["a0"]
    os.kill(engine.pid, signal.SIGKILL)
    for _ in range(3):
        with pytest.raises(WorkerDied) as told:
            engine.warm_up()
        assert "started again" in told.value.remedy
    for _ in range(2):
        with pytest.raises(WorkerDied, match="times in a row") as told:
            engine.warm_up()
        assert "begin the conversation anew" in told.value.remedy
    assert len(list(tmp_path.iterdir())) == 4


def test_closed_it_stays_closed(hosted):
    engine = hosted()
    engine.ready()
    pid = engine.pid
    engine.close()
    with pytest.raises((WorkerDied, OSError)):
        engine.warm_up()
    assert engine.pid == pid
    assert not psutil.pid_exists(pid)


def test_a_barge_in_crosses_the_border_within_a_frame(hosted):
    """The frame under way is the last, and the process is free for the next request at once."""
    engine = hosted("tests.conversation.hosted:Voice", step_s=0.02)
    thread = EngineThread("voice")
    voice = ThreadedSynthesis(engine, thread, "voice", rate_hz=24_000)

    async def work():
        heard = 0
        async with aclosing(voice.speak("good morning")) as chunks:
            async for _ in chunks:
                heard += 1
                if heard == 3:
                    break
        # Asked while the stream may still be in a step: it waits for that step alone.
        made = await thread.call(lambda: engine.made)
        await asyncio.sleep(0.1)
        return heard, made, await thread.call(lambda: (engine.made, engine.closed))

    try:
        heard, made, (later, closed) = run(work)
    finally:
        thread.close()
    assert heard == 3
    assert made <= heard + 2, "the frame under way, and the one that finds the word"
    assert later == made
    assert closed == 1


# -- A whole conversation, every engine in a process -------------------------------------------


@pytest.fixture(scope="module")
def placed(tiny_folder, whisper_folder, tmp_path_factory):
    """Every engine in a process, with tiny checkpoints."""
    chat = tiny_chat.folder(tmp_path_factory.mktemp("chat") / "tiny-chat")
    engines = Engines(
        recognizer=str(whisper_folder),
        recognizer_settings={"window": "trimmed", "max_tokens": 8, "beam_size": 1},
        chat=str(chat),
        synthesizer=str(tiny_folder),
        synthesizer_settings={"optimizations": None},
        turn="semantic",
        policy=(0.0, MIN_SILENCE_S, 1.0),
        placement="workers",
    )
    before = children()
    stages = load_stages(engines)
    yield stages
    stages.close()
    assert children() == before, "no process is left"


def children():
    return {child.pid for child in psutil.Process().children(recursive=True)}


def question(*pauses_s):
    parts = [Audio(np.zeros(3200), 16_000), buzz(0.8)]
    for pause_s in pauses_s:
        parts += [Audio(np.zeros(round(16_000 * pause_s)), 16_000), buzz(0.8)]
    return Audio.concatenate(parts)


@pytest.mark.parametrize("mode", ["serial", "overlapped"])
def test_all_stages_work_in_processes(placed, mode):
    assert len(children()) >= 3
    settings = Settings(mode=mode, max_tokens=6, limits=LIMITS)
    made = talk(placed, question(), settings, paced=False)
    assert not made.failures
    (turn,) = made.turns
    assert turn.outcome == "spoken"
    assert turn.heard
    assert turn.answered
    assert made.trace.of(e.TurnJudged)[-1].probability is not None


def test_an_answer_in_processes_is_interrupted(placed, hosted):
    """The second buzz comes while the first answer is played, in a voice of ten frames a word."""
    engine = hosted("tests.conversation.hosted:Voice", step_s=0.05)
    engine.ready()
    thread = EngineThread("voice")
    voice = ThreadedSynthesis(engine, thread, "voice", rate_hz=24_000)
    try:
        made = talk(
            replace(placed, synthesizer=voice, vad=LevelVad()),
            question(1.0),
            Settings(max_tokens=24, limits=LIMITS, partial_step_s=None),
        )
        frames = thread.do(lambda: engine.made)
    finally:
        thread.close()
    interrupted, second = made.turns
    assert (interrupted.outcome, second.outcome) == ("interrupted", "spoken")
    assert not made.failures
    (barge_in,) = made.trace.of(e.BargeIn)
    clauses, ready = (
        [one for one in made.trace.of(kind) if one.attempt == barge_in.attempt]
        for kind in (e.ClauseReady, e.AudioReady)
    )
    assert len(ready) < 10 * sum(len(one.text.split()) for one in clauses), (
        "it was not said to the end"
    )
    attempts = len(made.trace.of(e.AttemptStarted))
    assert frames <= len(made.trace.of(e.AudioReady)) + 2 * attempts


@pytest.mark.parametrize("stage", ["recognizer", "chat", "synthesizer"])
def test_a_process_that_is_killed_in_a_turn_is_told_and_comes_back(placed, stage):
    """Killed as its stage begins: the session says so, lives, and answers the next question."""
    trace = Trace()
    hit = getattr(placed, stage)
    victim = hit.pid

    def on_event(event):
        trace.append(event)
        if isinstance(event, e.StageStarted) and event.stage == stage and hit.pid == victim:
            os.kill(victim, signal.SIGKILL)

    settings = Settings(max_tokens=6, limits=LIMITS, partial_step_s=None, fallback_silence_s=0.3)

    async def work():
        for _ in range(2):
            session = Session(placed, settings, on_event=on_event)
            await session.run(Feed(question()), Recording(paced=False))

    run(work)
    first = trace.of(e.StageFailed)[0]  # of the chat model's: the turn's, where that asks it
    assert f"the worker {stage} ended during" in first.error
    assert "SIGKILL" in first.error
    assert "it is being started again" in first.remedy
    assert hit.pid != victim
    assert trace.of(e.AttemptEnded)[-1].outcome == "spoken"
    assert len(trace.of(e.SessionEnded)) == 2
