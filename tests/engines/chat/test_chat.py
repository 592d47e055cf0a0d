"""Local chat models: every implementation says the same, streams, stops, and clear errors."""

import json

import pytest
import torch

from tests import tiny_chat
from workbench.engines.chat.load import load_chat
from workbench.engines.chat.local import ChatJudge
from workbench.engines.chat.messages import Message, Reply
from workbench.errors import InputError, ModelError
from workbench.models.chat.architectures import ARCHITECTURES, architecture

ASKED = ("where is the bank", "what time is it in paris", "hello anna how are you")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_chat.folder(tmp_path_factory.mktemp("chat") / "tiny-chat")


def load(folder, **settings):
    return load_chat(str(folder), device="cpu", threads=1, **settings)


@pytest.fixture(scope="module")
def static(folder):
    return load(folder)


@pytest.fixture(scope="module")
def dynamic(folder):
    return load(folder, implementation="dynamic")


@pytest.fixture(scope="module")
def reference(folder):
    return load(folder, implementation="transformers")


def test_all_implementations_say_what_transformers_generate_says(static, dynamic, reference):
    texts = set()
    for asked in ASKED:
        wanted = reference.reply(asked, max_tokens=12)
        assert wanted.text
        texts.add(wanted.text)
        for chat in (static, dynamic):
            made = chat.reply(asked, max_tokens=12)
            assert (made.text, made.tokens, made.ended) == (
                wanted.text,
                wanted.tokens,
                wanted.ended,
            )
    assert len(texts) == len(ASKED)  # what is said depends on what is asked


def test_a_draft_changes_nothing_but_how_tokens_come(folder, dynamic, tmp_path):
    other = tiny_chat.folder(tmp_path / "draft", seed=1, num_hidden_layers=1)
    for draft, count in ((folder, 1), (folder, 5), (other, 3)):  # always right; mostly wrong
        chat = load(folder, implementation="dynamic", draft=str(draft), draft_tokens=count)
        for asked in ASKED:
            for limit in (1, 2, 17):
                assert (
                    chat.reply(asked, max_tokens=limit).text
                    == dynamic.reply(asked, max_tokens=limit).text
                )


def test_chunks_together_are_the_reply(static):
    stream = static.stream(ASKED[0], max_tokens=10)
    with pytest.raises(InputError, match="finished"):
        _ = stream.reply
    chunks = list(stream)
    assert "".join(chunk.text for chunk in chunks) == stream.reply.text
    assert [chunk.index for chunk in chunks] == list(range(len(chunks)))
    times = [chunk.at_ms for chunk in chunks]
    assert times == sorted(times)
    assert list(stream) == []
    assert stream.reply.text


@pytest.mark.parametrize("name", ["static", "dynamic", "reference"])
def test_a_reply_says_how_it_came_about(name, request):
    made = request.getfixturevalue(name).reply(ASKED[0], max_tokens=8)
    assert made.tokens == len(made.tokens_ms)
    assert made.prompt_tokens == 7  # four words, their speaker, the end, and the next speaker
    assert list(made.tokens_ms) == sorted(made.tokens_ms)
    assert 0 < made.ttft_ms == made.tokens_ms[0] <= made.generation_ms
    assert made.tpot_ms == pytest.approx((made.tokens_ms[-1] - made.tokens_ms[0]) / 7)
    assert made.tokens_per_s == pytest.approx(8 / made.generation_ms * 1000)
    assert (made.model, made.ended, len(made.weights)) == ("tiny-chat", "length", 12)


def test_figures_that_are_not_known():
    plain = {"model": "m", "weights": "w", "implementation": "i", "prompt_tokens": None}
    made = Reply("hi", "eos", None, tokens_ms=(), chunks_ms=(5.0,), generation_ms=9.0, **plain)
    assert (made.ttft_ms, made.tpot_ms, made.tokens_per_s) == (5.0, None, None)


def test_the_end_token_ends_the_answer(folder, tmp_path):
    from workbench.finetune.nano.chat import build_tokenizer

    tokenizer = build_tokenizer()
    model = tiny_chat.model(tokenizer)
    with torch.no_grad():
        model.model.norm.weight.zero_()  # all logits equal: the first token wins
    model.generation_config.eos_token_id = [0, tokenizer.eos_token_id]
    model.save_pretrained(tmp_path / "mute")
    tokenizer.save_pretrained(tmp_path / "mute")
    for how in ("static", "dynamic", "transformers"):
        made = load(tmp_path / "mute", implementation=how).reply("hello", max_tokens=5)
        assert (made.text, made.ended, made.tokens) == ("", "eos", 1)
        assert made.chunks_ms == ()


@pytest.mark.parametrize("name", ["static", "dynamic", "reference"])
def test_stop_texts_end_the_answer(name, request):
    chat = request.getfixturevalue(name)
    words = chat.reply(ASKED[0], max_tokens=12).text.split()
    stop = f" {words[3]} {words[4]}"
    made = chat.reply(ASKED[0], max_tokens=12, stop=[stop])
    assert made.ended == "stop"
    assert made.text == " ".join(words).partition(stop)[0]


def test_a_seed_draws_the_same_again(static, dynamic):
    first = static.reply(ASKED[0], max_tokens=12, temperature=1.0, seed=3).text
    assert static.reply(ASKED[0], max_tokens=12, temperature=1.0, seed=3).text == first
    assert dynamic.reply(ASKED[0], max_tokens=12, temperature=1.0, seed=3).text == first
    others = {
        static.reply(ASKED[0], max_tokens=12, temperature=1.0, seed=seed).text for seed in range(5)
    }
    assert len(others) > 1


def test_a_closed_stream_frees_the_cache_and_an_open_one_holds_it(static, dynamic):
    stream = static.stream(ASKED[0])
    next(stream)
    with pytest.raises(InputError, match="still answering"):
        static.reply(ASKED[1], max_tokens=2)
    assert static.end_probability(ASKED[1]) > 0  # which has a cache of its own
    stream.close()
    assert static.reply(ASKED[1], max_tokens=4).text == dynamic.reply(ASKED[1], max_tokens=4).text
    one, two = (dynamic.stream(asked, max_tokens=4) for asked in ASKED[:2])
    mixed = [next(one), next(two), *one, *two]
    assert len(mixed) >= 4
    assert one.reply.text == dynamic.reply(ASKED[0], max_tokens=4).text


def test_earlier_messages_change_the_answer(static):
    talk = [Message("user", "my name is ben"), Message("assistant", "hello ben")]
    last = Message("user", ASKED[0])
    long = static.reply([*talk, last], max_tokens=8)
    assert long.text != static.reply([last], max_tokens=8).text
    assert long.prompt_tokens > 12


def test_base_models_get_a_plain_prompt(tmp_path):
    base = tiny_chat.folder(tmp_path / "base", template=False)
    chat = load(base)
    assert chat.tokenizer.template == "plain"
    assert chat.reply(ASKED[0], max_tokens=3).text
    assert 0 < chat.end_probability(ASKED[0]) < 1
    pieces, known = iter(["yes", "\nUs", "er: ", "and", "on", "so"]), {}

    def decode(tokens):
        for token in tokens:
            if token not in known:
                known[token] = next(pieces)
        return "".join(known[token] for token in tokens)

    chat.tokenizer.decode = decode  # as if it went on with the user's next words
    made = chat.reply(ASKED[0], max_tokens=6)
    assert made.ended == "stop"
    assert set(made.text.split("yes")) == {""}


def test_the_end_of_a_message_has_a_probability(static, dynamic, folder):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    found = static.end_probability(ASKED[0])
    assert found == pytest.approx(dynamic.end_probability(ASKED[0]), rel=1e-4)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    ids = tokenizer(f"<|user|>{ASKED[0]}", return_tensors="pt", add_special_tokens=False)
    shares = model(ids["input_ids"]).logits[0, -1].detach().softmax(-1)
    assert found == pytest.approx(float(shares[tokenizer.eos_token_id]), rel=1e-3)
    judge = ChatJudge(static, [Message("user", "hello"), Message("assistant", "hello")])
    assert judge.probability("where is") != judge.probability("where is the bank")
    assert judge.probability("") == 0


def test_threads_are_given_back(folder):
    before = torch.get_num_threads()
    load(folder).reply("hello", max_tokens=2)
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("kind", ["int8", "native_int8"])
def test_quantized_weights_still_talk(folder, static, kind):
    if kind == "int8":
        pytest.importorskip("torchao")
    chat = load(folder, quantization=kind)
    assert type(chat.model.lm_head) is torch.nn.Linear
    assert chat.reply(ASKED[0], max_tokens=4).text
    assert chat.end_probability(ASKED[0]) == pytest.approx(
        static.end_probability(ASKED[0]), rel=0.5
    )


@pytest.mark.slow
def test_a_compiled_step_says_the_same(folder, static):
    chat = load(folder, compile_mode="default")
    assert chat.warm_up() > 0
    for asked in ASKED[:2]:
        assert chat.reply(asked, max_tokens=8).text == static.reply(asked, max_tokens=8).text


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("llama-3.2-1b", 1_235_814_400),
        ("smollm2-1.7b", 1_711_376_384),
        ("smollm2-135m", 134_515_008),
    ],
)
def test_architectures_have_their_published_size(name, parameters):
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(architecture(name))
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters


@pytest.mark.parametrize("implementation", ["static", "dynamic", "transformers"])
def test_random_weights_write_as_many_tokens_as_asked_for(implementation, monkeypatch):
    small = ARCHITECTURES["smollm2-135m"] | {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "vocab_size": 300,
    }
    monkeypatch.setitem(ARCHITECTURES, "smollm2-135m", small)
    chat = load_chat(
        "smollm2-135m", weights="random", implementation=implementation, device="cpu", threads=1
    )
    made = chat.reply("hello there", max_tokens=9)
    assert (made.tokens, made.ended, made.weights) == (9, "length", "random")
    assert len(made.text.split()) == 9
    assert chat.tokenizer.template == "bytes"
    assert 0 < ChatJudge(chat).probability("hello") < 1


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"implementation": "magic"}, "magic"),
        ({"implementation": "gemini"}, "gemini"),
        ({"weights": "maybe"}, "maybe"),
        ({"dtype": "float7"}, "float7"),
        ({"device": "warp"}, "warp"),
        ({"threads": 0}, "threads"),
        ({"capacity": 0}, "capacity"),
        ({"draft": "x"}, "draft"),
        ({"implementation": "dynamic", "compile_mode": "default"}, "compile_mode"),
        ({"implementation": "dynamic", "draft": "x", "draft_tokens": 0}, "draft_tokens"),
        ({"quantization": "int3"}, "int3"),
        ({"timeout_s": 3}, "timeout_s"),
    ],
)
def test_settings_that_cannot_be(folder, settings, named):
    with pytest.raises(InputError, match=named):
        load_chat(str(folder), **({"device": "cpu"} | settings))


@pytest.mark.parametrize(
    ("request_", "named"),
    [
        ({"messages": ""}, "nothing"),
        ({"messages": []}, "nothing"),
        ({"messages": [Message("robot", "hi")]}, "robot"),
        ({"messages": [Message("assistant", "hi")]}, "user"),
        ({"messages": "hi", "max_tokens": 0}, "max_tokens"),
        ({"messages": "hi", "temperature": -1}, "temperature"),
        ({"messages": "hi", "stop": "text"}, "stop"),
        ({"messages": "hi", "stop": [""]}, "stop"),
        ({"messages": "hi", "max_tokens": 5000}, "cache of 256"),
    ],
)
def test_requests_that_cannot_be(static, request_, named):
    with pytest.raises(InputError, match=named):
        static.reply(**request_)
    assert static.reply("hello", max_tokens=1).tokens == 1  # nothing stays locked


def test_a_draft_of_another_vocabulary_or_with_a_temperature(folder, tmp_path):
    other = tiny_chat.folder(tmp_path / "other")
    settings = json.loads((other / "tokenizer.json").read_text())
    vocabulary = settings["model"]["vocab"]
    vocabulary["newword"] = vocabulary.pop("bank")
    (other / "tokenizer.json").write_text(json.dumps(settings))
    with pytest.raises(InputError, match="other tokens"):
        load(folder, implementation="dynamic", draft=str(other))
    chat = load(folder, implementation="dynamic", draft=str(folder))
    with pytest.raises(InputError, match="temperature"):
        chat.reply("hello", temperature=1.0)


def test_names_and_damaged_files(folder, tmp_path):
    with pytest.raises(InputError, match="gpt-magic"):
        load_chat("gpt-magic")
    with pytest.raises(InputError, match="architecture"):
        load_chat("chat-nano", weights="random")
    for missing, named in (
        ("config.json", "config.json"),
        ("model.safetensors", "safetensors"),
        ("tokenizer.json", "can't be loaded"),
    ):
        copy = tiny_chat.folder(tmp_path / missing.replace(".", "-"))
        (copy / missing).unlink()
        with pytest.raises(ModelError, match=named):
            load(copy)
    broken = tiny_chat.folder(tmp_path / "broken")
    whole = (broken / "model.safetensors").read_bytes()
    (broken / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="can't be loaded"):
        load(broken)


def test_a_gemini_takes_no_local_settings():
    with pytest.raises(InputError, match="runs elsewhere"):
        load_chat("gemini-flash-latest", device="cpu")
    with pytest.raises(InputError, match="capacity"):
        load_chat("gemini-flash-latest", capacity=3)
