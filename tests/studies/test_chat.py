"""Ways of answering compared: figures, words about them, the command."""

import json
from dataclasses import replace

import pytest

from tests import tiny_chat
from workbench.cli import main
from workbench.engines.chat.messages import Reply
from workbench.errors import InputError
from workbench.hardware.ceilings import Ceiling, Ceilings
from workbench.measure.record import read
from workbench.profiling.token_limit import token_limit
from workbench.studies.chat import (
    QUESTIONS,
    WAYS,
    ChatComparison,
    compare_chats,
    limits,
    ways,
)
from workbench.studies.claims.records import from_record


def reply(way: str, scale: float, text: str = "it is sunny", tokens: int = 4) -> Reply:
    times = tuple(scale * (10 + 5 * place) for place in range(tokens))
    chunks = times if way != "transformers" else times[-1:]
    return Reply(
        text, "eos", tokens, 9, times, chunks, times[-1] + scale, "chat-nano", "a" * 40, way
    )


def comparison() -> ChatComparison:
    scales = (0.9, 1.0, 1.1, 1.05)
    made = {
        "transformers": [reply("transformers", scale) for scale in scales],
        "growing cache": [reply("dynamic", 0.6 * scale) for scale in scales],
        "static cache": [reply("static", 0.5 * scale) for scale in scales],
        "drafted": [reply("dynamic", 1.2 * scale, "it is rainy") for scale in scales],
    }
    return ChatComparison(("how are you", "who is there"), made, {}, "a test machine")


def test_the_best_way_and_what_it_gains():
    result = comparison()
    assert result.best == "static cache"
    assert result.ratio("static cache").value == pytest.approx(2.0)
    assert result.finding.startswith("Static cache: 2.0× as fast as transformers")
    assert result.first_text_ms("transformers").value > 3 * result.first_text_ms("static cache").low
    assert result.first_token_ms("transformers").value == pytest.approx(10, rel=0.1)
    assert result.token_ms("static cache").value == pytest.approx(2.5, rel=0.1)
    assert not result.same("drafted")
    assert "Other answers come from drafted" in result.verdict
    assert "Drafting:" in result.verdict
    assert "n = 2 interleaved rounds" in result.caption
    rows = {row["way"]: row for row in result.rows()}
    assert rows["static cache"]["same answers"]
    assert rows["transformers"]["as fast as transformers"] is None
    assert [row["answer"] for row in result.answers()] == ["it is sunny"] * 2
    assert len({name for name, _, _ in result.samples()}) == 12


def test_the_verdict_stands_beside_the_limit(tmp_path):
    from transformers import LlamaConfig

    def one(name, unit):
        return Ceiling(name, "cpu", "float32", 1, unit, (10.0,) * 3, "x")

    results = (one("copy", "GB/s"), one("read", "GB/s"), one("matmul", "GFLOP/s"))
    config = LlamaConfig(num_hidden_layers=1, vocab_size=100, hidden_size=64)
    limit = token_limit(config, Ceilings("a CPU", results, {}, (), 1, 1))
    assert "times the limit" in replace(comparison(), limit=limit).verdict


def test_answers_of_one_token_have_no_time_between():
    result = comparison()
    short = {way: [reply(way, 1.0, "yes", 1)] * 4 for way in result.replies}
    result = replace(result, replies=short)
    assert result.token_ms("static cache") is None
    assert result.verdict


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(tiny_chat.folder(tmp_path_factory.mktemp("chat")))


def test_real_models_take_turns_on_the_same_questions(folder):
    names = ["transformers", "growing cache", "static cache", "drafted"]
    chosen = ways(names, folder) | {"huge": {"implementation": "static", "draft_tokens": 2}}
    common = {"name": folder, "device": "cpu", "threads": 1, "rounds": 2, "max_tokens": 5}
    result = compare_chats(QUESTIONS[:2], chosen, **common)
    assert list(result.replies) == names
    assert "draft_tokens" in result.left_out["huge"]
    for replies in result.replies.values():
        assert len(replies) == 4
        assert all(one.tokens <= 5 for one in replies)
    # Another order of adding may make another token; the same loop with a draft may not differ.
    assert result.same("drafted") == result.same("growing cache")
    with pytest.raises(InputError, match="two answers"):
        compare_chats(QUESTIONS[:1], chosen, **{**common, "rounds": 1})
    with pytest.raises(InputError, match="chat-huge"):
        compare_chats(QUESTIONS, chosen, **{**common, "name": "chat-huge"})


def test_limits_of_the_length_are_ways(folder):
    compared = limits([2, 6], implementation="static")
    assert list(compared) == ["at most 6 tokens", "at most 2 tokens"]
    result = compare_chats(QUESTIONS[:2], compared, name=folder, device="cpu", rounds=1)
    rows = result.length_rows()
    assert rows[1]["tokens"].value <= 2
    assert rows[0]["as fast as at most 6 tokens"] is None
    assert rows[1]["as fast as at most 6 tokens"].value > 0


def test_ways_by_name():
    assert "drafted" not in ways(list(WAYS))
    assert ways(["drafted"], "small")["drafted"]["draft"] == "small"
    with pytest.raises(InputError, match="magic"):
        ways(["magic"])


def test_the_command(folder, tmp_path, capsys):
    common = ["bench", "chat", "--engine", folder, "--device", "cpu", "--rounds", "2"]
    common += ["--question", "where is the market", "--max-tokens", "4"]
    chosen = ["--ways", "transformers; static cache"]
    assert main([*common, *chosen, "--out", str(tmp_path), "--json"]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [way["way"] for way in said["ways"]] == ["transformers", "static cache"]
    assert said["answers"][0]["question"] == "where is the market"
    record = read(tmp_path / "chat.record.json")
    assert len(record.metric("first text/static cache").samples) == 2
    assert folder.endswith(record.details["model"])
    assert record.parameters["rounds"] == 2
    assert set(from_record(record)) == {"chat_answer"}
    assert main([*common, *chosen]) == 0
    assert "tokens a second" in capsys.readouterr().out
    assert main([*common, "--ways", "magic", "--json"]) == 2
