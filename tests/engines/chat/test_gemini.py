"""Gemini against a local server that speaks its protocol: streams, errors, a secret key."""

import logging
import pickle
import socket
import traceback

import pytest

pytest.importorskip("google.genai")

from tests.engines.chat.gemini_server import KEY, error, piece, serve
from workbench.engines.chat.load import load_chat
from workbench.engines.chat.messages import Message
from workbench.errors import InputError, ServiceError

NAME = "gemini-test"


@pytest.fixture
def service(monkeypatch):
    for variable in ("GOOGLE_API_KEY", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "all_proxy"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("GEMINI_API_KEY", KEY)
    with serve() as state:
        yield state


@pytest.fixture
def chat(service):
    made = load_chat(NAME, base_url=service.url, timeout_s=5.0)
    yield made
    made.close()


def test_an_answer_comes_in_pieces_with_its_counts(chat):
    stream = chat.stream("hi")
    assert [chunk.text for chunk in stream] == ["Hello", " there"]
    made = stream.reply
    assert (made.text, made.ended, made.tokens, made.prompt_tokens) == ("Hello there", "eos", 3, 5)
    assert 0 < made.ttft_ms <= made.chunks_ms[1] <= made.generation_ms
    assert made.tpot_ms is None  # tokens have no times of their own
    assert (made.model, made.weights, made.implementation) == (NAME, "service", "gemini")


def test_what_is_asked_reaches_the_service(chat, service):
    talk = [
        Message("system", "Be brief."),
        Message("user", "hi"),
        Message("assistant", "hello"),
        Message("user", "where is the bank"),
    ]
    chat.reply(talk, max_tokens=40, stop=["END"], temperature=0.5, seed=9)
    path, headers, body = service.requests[0]
    assert path.endswith(f"/models/{NAME}:streamGenerateContent?alt=sse")
    assert {name.lower(): value for name, value in headers.items()}["x-goog-api-key"] == KEY
    assert KEY not in path
    assert [turn["role"] for turn in body["contents"]] == ["user", "model", "user"]
    assert body["contents"][-1]["parts"] == [{"text": "where is the bank"}]
    assert body["systemInstruction"]["parts"][0]["text"] == "Be brief."
    settings = body["generationConfig"]
    assert settings["maxOutputTokens"] == 40
    assert settings["stopSequences"] == ["END"]
    assert (settings["temperature"], settings["seed"]) == (0.5, 9)
    assert "thinkingConfig" not in settings


def test_a_thinking_budget_is_passed_on_and_thoughts_are_no_answer(service):
    service.pieces = [piece("Hm.", thought=True), piece("Yes", reason="STOP", tokens=1)]
    chat = load_chat(NAME, base_url=service.url, thinking_budget=0)
    assert chat.reply("hi").text == "Yes"
    settings = service.requests[0][2]["generationConfig"]
    # google-genai writes the inner name with an underscore; the service's JSON takes both.
    assert list(settings["thinkingConfig"].values()) == [0]


def test_a_cut_answer_says_so(chat, service):
    service.pieces = [piece("Hello", reason="MAX_TOKENS", tokens=1)]
    assert chat.reply("hi", max_tokens=1).ended == "length"


def test_pieces_come_while_the_service_still_writes(chat, service):
    service.pieces = [piece("a"), piece("b"), piece("c", reason="STOP", tokens=3)]
    service.pause_s = 0.15
    made = chat.reply("hi")
    assert made.chunks_ms[2] - made.chunks_ms[0] > 200
    assert made.ttft_ms < made.generation_ms - 200


def test_closing_in_mid_answer_hangs_up(chat, service):
    service.pieces = [piece("word ") for _ in range(200)]
    service.pause_s = 0.02
    stream = chat.stream("hi")
    assert next(stream).text == "word "
    stream.close()
    assert service.gone.wait(5.0)
    service.pieces, service.pause_s = [piece("ok", reason="STOP", tokens=1)], 0.0
    assert chat.reply("again").text == "ok"


RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "13s"}


@pytest.mark.parametrize(
    ("failure", "kind", "named"),
    [
        (error(429, "RESOURCE_EXHAUSTED", "quota", [RETRY]), ServiceError, "wait 13s"),
        (error(429, "RESOURCE_EXHAUSTED", "quota"), ServiceError, "wait a minute"),
        (error(403, "PERMISSION_DENIED", "no"), ServiceError, "refuses the key"),
        (error(400, "INVALID_ARGUMENT", "API key not valid"), ServiceError, "refuses the key"),
        (error(400, "INVALID_ARGUMENT", "bad budget"), InputError, "bad budget"),
        (error(404, "NOT_FOUND", "no such model"), InputError, NAME),
        (error(500, "INTERNAL", "oops"), ServiceError, "oops"),
        (error(503, "UNAVAILABLE", "overloaded"), ServiceError, "503"),
    ],
)
def test_refusals(chat, service, failure, kind, named):
    service.failure = failure
    with pytest.raises(kind, match=named) as caught:
        chat.reply("hi")
    assert len(service.requests) == 1  # never tried again by itself
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


@pytest.mark.parametrize(
    ("header", "named"),
    [("17", "wait 17s,"), ("Fri, 20 Nov 2026 23:59:59 GMT", "wait until Fri, 20 Nov 2026")],
)
def test_the_header_tells_how_long_to_wait(chat, service, header, named):
    service.failure = error(429, "RESOURCE_EXHAUSTED", "quota")
    service.failure_headers = {"Retry-After": header}
    with pytest.raises(ServiceError, match=named):
        chat.reply("hi")


def test_a_silent_service_times_out(service):
    service.pieces = [piece("a"), piece("b", reason="STOP")]
    service.pause_s = 2.0
    chat = load_chat(NAME, base_url=service.url, timeout_s=0.3)
    stream = chat.stream("hi")
    assert next(stream).text == "a"
    with pytest.raises(ServiceError, match=r"0\.3 s"):
        next(stream)


@pytest.mark.parametrize("rude", [False, True])
def test_a_connection_that_is_cut_in_mid_answer(chat, service, rude):
    service.cut_after, service.rude = 1, rude
    stream = chat.stream("hi")
    assert next(stream).text == "Hello"
    with pytest.raises(ServiceError, match="broke off|connection"):
        next(stream)
    with pytest.raises(InputError, match="finished"):
        _ = stream.reply


def test_a_refusal_to_speak(chat, service):
    service.pieces = [{"promptFeedback": {"blockReason": "SAFETY"}}]
    with pytest.raises(ServiceError, match="SAFETY"):
        chat.reply("hi")
    service.pieces = [piece("well", reason="RECITATION")]
    with pytest.raises(ServiceError, match="RECITATION"):
        chat.reply("hi")


def test_nobody_there(monkeypatch):
    monkeypatch.setenv("GEMINI_API_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(ServiceError, match="connection"):
        load_chat(NAME, base_url=f"http://127.0.0.1:{port}", timeout_s=2.0).reply("hi")


def test_the_key_shows_nowhere(chat, service, caplog):
    caplog.set_level(logging.DEBUG)
    chat.reply("hi")
    service.failure = error(400, "INVALID_ARGUMENT", f"API key not valid: {KEY}")
    with pytest.raises(ServiceError) as caught:
        chat.reply("hi")
    told = "".join(traceback.format_exception(caught.value))
    assert "[key]" in told
    for text in (told, caplog.text, repr(chat), str(chat.reply)):
        assert KEY not in text
    problem = caught.value
    assert problem.__cause__ is None
    assert problem.__context__ is None


def test_no_key_is_told_before_anything_is_sent(monkeypatch):
    for variable in ("GEMINI_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(InputError, match="GEMINI_API_KEY"):
        load_chat(NAME)


def test_the_other_variable_does_too(service, monkeypatch):
    monkeypatch.delenv("GEMINI_API_KEY")
    monkeypatch.setenv("GOOGLE_API_KEY", KEY)
    assert load_chat(NAME, base_url=service.url).reply("hi").text == "Hello there"


def test_a_model_is_made_without_asking_the_service(service):
    chat = load_chat("gemini-flash-latest")
    assert (chat.name, chat.weights) == ("gemini-flash-latest", "service")
    with pytest.raises(InputError, match="nothing"):
        chat.reply("")
    assert not service.requests
    chat.close()


def test_settings_that_cannot_be(service):
    with pytest.raises(InputError, match="timeout_s"):
        load_chat(NAME, timeout_s=0)
