"""Gemini as the chat model of a whole conversation, against a server that speaks its protocol."""

import asyncio
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("google.genai")

from tests.engines.chat.gemini_server import KEY, error, piece, serve
from tests.turn_sounds import buzz
from workbench.audio import Audio
from workbench.conversation import events as e
from workbench.conversation.clock import run
from workbench.conversation.placement import Engines, load_stages
from workbench.conversation.scripted import LevelVad
from workbench.conversation.session import Session
from workbench.conversation.settings import Settings, TimeLimits
from workbench.conversation.sinks import Recording
from workbench.conversation.sources import Feed
from workbench.conversation.talk import talk
from workbench.conversation.trace import Trace
from workbench.errors import ServiceError

NAME = "gemini-test"
OK = [piece("Good morning to you,"), piece(" how are you"), piece("?", reason="STOP", tokens=5)]
LIMITS = TimeLimits(recognizer_s=60, synthesizer_s=60)  # the engines here wait for busy cores


@pytest.fixture(scope="module")
def engines(tiny_folder, whisper_folder):
    return {
        "recognizer": str(whisper_folder),
        "recognizer_settings": {"window": "trimmed", "max_tokens": 8, "beam_size": 1},
        "chat": NAME,
        "synthesizer": str(tiny_folder),
        "synthesizer_settings": {"optimizations": None},
        "silence_s": 0.2,
    }


@pytest.fixture(scope="module")
def service():
    with pytest.MonkeyPatch.context() as patched:
        for variable in ("GOOGLE_API_KEY", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "all_proxy"):
            patched.delenv(variable, raising=False)
        patched.setenv("NO_PROXY", "127.0.0.1")
        patched.setenv("GEMINI_API_KEY", KEY)
        with serve() as state:
            yield state


@pytest.fixture(scope="module")
def loaded(engines, service):
    settings = {"base_url": service.url, "timeout_s": 0.5}
    with load_stages(Engines(**engines, chat_settings=settings)) as made:
        yield replace(made, vad=LevelVad())  # Silero hears a buzz as speech but once


@pytest.fixture
def stages(loaded, service):
    service.pieces, service.failure, service.failure_headers = OK, None, {}
    service.pause_s, service.cut_after, service.rude = 0.0, None, False
    service.gone.clear()
    service.requests.clear()
    return loaded


def question(*pauses_s):
    parts = [Audio(np.zeros(3200), 16_000), buzz(0.8)]
    for pause_s in pauses_s:
        parts += [Audio(np.zeros(round(16_000 * pause_s)), 16_000), buzz(0.8)]
    return Audio.concatenate(parts)


def ask(stages, sound=None, *, mode="overlapped", paced=False, on_event=lambda event: None):
    settings = Settings(mode=mode, limits=LIMITS, partial_step_s=None, speculate=False)
    return talk(stages, sound or question(), settings, paced=paced, on_event=on_event)


@pytest.mark.parametrize("mode", ["serial", "overlapped"])
def test_a_turn_is_streamed_from_the_service(stages, service, mode):
    service.pause_s = 0.15
    made = ask(stages, mode=mode)
    assert not made.failures
    (turn,) = made.turns
    assert (turn.outcome, turn.answered) == ("spoken", "Good morning to you, how are you?")
    body = service.requests[-1][2]
    assert body["contents"][-1]["parts"] == [{"text": turn.heard}]
    clauses = [one.text for one in made.trace.of(e.ClauseReady)]
    whole = "Good morning to you, how are you?"
    assert clauses == ([whole] if mode == "serial" else ["Good morning to you,", "how are you?"])
    if mode == "overlapped":  # the first clause is handed on while the service still writes
        (chat,) = [one for one in made.trace.of(e.StageEnded) if one.stage == "chat"]
        assert made.trace.of(e.ClauseReady)[0].at_ms < chat.at_ms - 100
    assert KEY not in str(made.to_dict())


def both(stages, service, *, mode="overlapped", then=OK):
    """Two questions in one session; the service is well again for the second."""
    trace, seen = Trace(), []

    def on_event(event):
        trace.append(event)
        if isinstance(event, e.AttemptEnded) and event.outcome != "cancelled" and not seen:
            seen.append(event)
            service.failure, service.pieces, service.pause_s = None, then, 0.0
            service.cut_after, service.rude = None, False

    async def work():
        settings = Settings(mode=mode, limits=LIMITS, partial_step_s=None, speculate=False)
        session = Session(stages, settings, on_event=on_event)
        await session.run(TwoQuestions(seen), Recording(paced=False))

    run(work)
    trace.validate()
    return trace


class TwoQuestions(Feed):
    """The second is asked a moment after the answer to the first."""

    def __init__(self, answered):
        super().__init__(question())
        self._answered = answered

    async def blocks(self):
        async for block in super().blocks():
            yield block
        while not self._answered:
            await asyncio.sleep(0.02)
            yield np.zeros(320, np.float32)
        async for block in super().blocks():
            yield block


def told(trace):
    return [(one.stage, one.error, one.remedy) for one in trace.of(e.StageFailed)]


@pytest.mark.parametrize("mode", ["serial", "overlapped"])
@pytest.mark.parametrize("rude", [False, True])
def test_an_outage_in_mid_answer_is_said_and_the_session_lives(stages, service, mode, rude):
    service.cut_after, service.rude = 2, rude
    trace = both(stages, service, mode=mode)
    ((stage, what, _),) = told(trace)
    assert stage == "chat"
    assert "broke off" in what or "connection" in what
    spoken = " ".join(one.text for one in trace.of(e.ClauseReady))
    assert "Good morning to you, how are you i'm sorry" in spoken, "what came, then that it is out"
    assert spoken.endswith("Good morning to you, how are you?")
    outcomes = [one.outcome for one in trace.of(e.AttemptEnded) if one.outcome != "cancelled"]
    assert outcomes == ["spoken", "spoken"]


def test_a_rate_limit_is_told_with_its_wait(stages, service):
    service.failure = error(429, "RESOURCE_EXHAUSTED", "quota")
    service.failure_headers = {"Retry-After": "17"}
    trace = both(stages, service)
    ((stage, what, remedy),) = told(trace)
    assert stage == "chat"
    assert "takes no more requests" in what
    assert remedy.startswith("wait 17s")
    assert len(service.requests) == 2, "never tried again by itself"
    clauses = [one.text for one in trace.of(e.ClauseReady)]
    assert clauses[0] == Settings().no_answer
    assert clauses[-1] == "how are you?"


def test_a_service_that_says_nothing_is_left(stages, service):
    service.pause_s = 1.5
    trace = both(stages, service)
    ((stage, what, _),) = told(trace)
    assert stage == "chat"
    assert "gave nothing for 0.5 s" in what
    assert trace.of(e.AttemptEnded)[-1].outcome == "spoken"
    assert service.gone.wait(5)


def test_a_barge_in_hangs_up(stages, service):
    """The answer goes on for 40 s; the connection ends with the piece under way."""
    service.pieces = [piece("yes, ")] * 400
    service.pause_s = 0.1
    interrupted = []

    def on_event(event):
        if isinstance(event, e.BargeIn):
            interrupted.append(time.monotonic())
            service.pieces, service.pause_s = OK, 0.0

    # after the wait of 0.2 s there must be sound when the second buzz begins
    made = ask(stages, question(4.0), paced=True, on_event=on_event)
    assert service.gone.wait(5)
    assert interrupted
    first, second = made.turns
    assert first.outcome == "interrupted"
    assert (second.outcome, second.answered) == ("spoken", "Good morning to you, how are you?")
    assert not made.failures
    heard = [turn["parts"][0]["text"] for turn in service.requests[-1][2]["contents"]]
    assert heard[-1] == second.heard


def test_an_outage_at_the_start_is_told_before_anything_is_heard(engines, service):
    before = threading.active_count()
    service.failure = error(503, "UNAVAILABLE", "overloaded")
    with pytest.raises(ServiceError, match="overloaded"):
        load_stages(Engines(**engines, chat_settings={"base_url": service.url}))
    service.failure = None
    deadline = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert threading.active_count() <= before
