"""The presets as they are, with small checkpoints of the same formats in the models' places."""

from dataclasses import replace

import numpy as np
import pytest

from tests import tiny_chat
from tests.engines.chat.gemini_server import KEY, piece, serve
from tests.turn_sounds import buzz
from workbench.audio import Audio
from workbench.conversation import events as e
from workbench.conversation.placement import load_stages
from workbench.conversation.presets import PRESETS
from workbench.conversation.settings import Settings, TimeLimits
from workbench.conversation.talk import talk

LIMITS = TimeLimits(60, 60, 60, 60, 60)  # busy cores take their time


@pytest.fixture(scope="module")
def question():
    return Audio.concatenate([Audio(np.zeros(6400), 16_000), buzz(1.2)])


def ask(engines, question, mode):
    with load_stages(engines) as stages:
        settings = Settings(mode=mode, max_tokens=6, limits=LIMITS)
        made = talk(stages, question, settings, paced=False)
    assert not made.failures
    assert made.turns[-1].outcome == "spoken"
    assert len(made.answer) >= 1920
    return made


def test_fern_with_webrtc_four_workers_and_gemini(
    tiny_folder, whisper_folder, question, monkeypatch
):
    pytest.importorskip("google.genai")
    pytest.importorskip("webrtcvad")
    for variable in ("GOOGLE_API_KEY", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "all_proxy"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("GEMINI_API_KEY", KEY)
    with serve() as service:
        service.pieces = [piece("Good morning to you."), piece("", reason="STOP", tokens=4)]
        engines = replace(
            PRESETS["fern"],
            recognizer=str(whisper_folder),
            synthesizer=str(tiny_folder),
            chat_settings={"base_url": service.url},
        )
        made = ask(engines, question, "serial")
        assert [path for path, _, _ in service.requests][-1].endswith(
            "/models/gemini-flash-latest:streamGenerateContent?alt=sse"
        )
    named = made.trace.of(e.SessionStarted)[0].stages
    assert (named["vad"], named["chat"]) == ("webrtc", "gemini-flash-latest")
    turn = made.turns[-1]
    assert turn.answered == "Good morning to you."
    assert turn.turn_ms >= 700, "a silence of 0.7 s, as FERN's"


def test_local_with_a_trimmed_whisper_and_a_llama_that_judges_turns(
    tiny_folder, whisper_folder, question, tmp_path
):
    engines = replace(
        PRESETS["local"],
        recognizer=str(whisper_folder),
        chat=str(tiny_chat.folder(tmp_path / "tiny-llama")),
        synthesizer=str(tiny_folder),
    )
    made = ask(engines, question, "overlapped")
    assert made.trace.of(e.TurnJudged)[-1].probability is not None
    assert made.trace.of(e.SessionStarted)[0].stages["vad"] == "silero"
