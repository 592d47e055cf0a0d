"""Recognizers: every implementation says the same of the same sound, and clear errors."""

import math
import shutil

import numpy as np
import pytest
import torch

from workbench.audio import Audio
from workbench.engines.asr.load import load_recognizer
from workbench.errors import InputError, ModelError

RATE_HZ = 16_000


def sound(seconds: float = 1.2, seed: int = 0, rate_hz: int = RATE_HZ) -> Audio:
    noise = np.random.default_rng(seed).standard_normal(round(seconds * rate_hz)) * 0.1
    return Audio(noise.astype(np.float32), rate_hz)


def load(folder, **settings):
    return load_recognizer(str(folder), device="cpu", threads=1, **settings)


@pytest.fixture(scope="module")
def trimmed(whisper_folder):
    return load(whisper_folder, beam_size=1, window="trimmed")


@pytest.fixture(scope="module")
def static(whisper_folder):
    return load(whisper_folder, implementation="static")


def test_the_static_cache_writes_what_transformers_generate_writes(whisper_folder):
    full = load(whisper_folder, implementation="static", window="full")
    reference = load(whisper_folder, implementation="transformers")
    texts = set()
    for seed in range(3):
        heard = sound(seed=seed)
        text = full.transcribe(heard).text
        assert text
        assert text == reference.transcribe(heard).text
        texts.add(text)
    assert len(texts) > 1  # what is written depends on what is heard


def test_the_static_cache_forgets_the_request_before(static):
    first = static.transcribe(sound(seed=1)).text
    static.transcribe(sound(3.0, seed=2))
    assert static.transcribe(sound(seed=1)).text == first


def test_a_trimmed_window_is_as_long_as_the_audio_and_its_margin(trimmed, static):
    for recognizer in (trimmed, static):
        assert recognizer.transcribe(sound(1.2)).window_s == 2.0
        assert recognizer.transcribe(sound(29.9)).window_s == 30.0


def test_stages_are_timed(trimmed, static):
    for recognizer in (trimmed, static):
        made = recognizer.transcribe(sound())
        assert set(made.stages_ms) == {"features", "encode", "decode"}
        assert all(value > 0 for value in made.stages_ms.values())
        assert sum(made.stages_ms.values()) <= made.latency_ms
        assert made.rtf == pytest.approx(made.latency_ms / 1000 / made.duration_s)


def test_a_transcript_says_how_it_came_about(whisper_folder):
    made = load(whisper_folder, compute_type="int8", beam_size=2).transcribe(sound())
    assert made.compute_type == "int8_float32"
    assert (made.implementation, made.model) == ("faster-whisper", "tiny-whisper")
    assert (made.language, made.window_s) == ("en", 30.0)
    assert len(made.weights) == 12
    assert made.duration_s == pytest.approx(1.2)


def test_any_rate_is_taken(static):
    heard = sound(2.0)
    assert static.transcribe(heard.resampled(48_000)).duration_s == pytest.approx(2.0)


def test_word_times_rise_within_the_audio(trimmed):
    made = trimmed.transcribe(sound(), words=True)
    assert made.words
    assert " ".join(word.text for word in made.words).split() == made.text.split()
    times = [word.start_s for word in made.words]
    assert times == sorted(times)
    assert all(0 <= word.start_s <= word.end_s <= 1.2 for word in made.words)


def test_long_recordings_are_cut_at_quiet_places(static):
    samples = sound(50.0).samples.copy()
    samples[27 * RATE_HZ : 27 * RATE_HZ + 3200] = 0
    segments = static.transcribe(Audio(samples, RATE_HZ)).segments
    assert [round(segment.start_s, 1) for segment in segments] == pytest.approx([0, 27.1], abs=0.1)
    assert segments[0].end_s == segments[1].start_s
    assert segments[-1].end_s == pytest.approx(50.0)


@pytest.mark.parametrize("size", ["tiny", "tiny.en", "large-v3-turbo"])
@pytest.mark.parametrize("implementation", ["faster-whisper", "static", "transformers"])
def test_random_weights_write_as_many_tokens_as_asked_for(
    size, implementation, tmp_path_factory, monkeypatch
):
    from workbench.models.whisper import random

    small = {"tiny": (64, 1, 1, 2, 80), "large-v3-turbo": (64, 1, 1, 2, 128)}
    monkeypatch.setattr(random, "_SHAPES", small)
    cache = tmp_path_factory.getbasetemp() / "random-cache"
    monkeypatch.setenv("WORKBENCH_CACHE", str(cache))
    recognizer = load_recognizer(
        size,
        weights="random",
        implementation=implementation,
        device="cpu",
        threads=1,
        max_tokens=6,
        **({"beam_size": 1} if implementation == "faster-whisper" else {}),
    )
    made = recognizer.transcribe(sound(2.0))
    assert made.weights == "random"
    assert made.language == "en"
    assert len(made.text.split()) <= 6
    if implementation == "static":
        again = load_recognizer(
            size, weights="random", implementation="transformers", device="cpu", max_tokens=6
        ).transcribe(sound(2.0))
        full = load_recognizer(
            size,
            weights="random",
            implementation="static",
            window="full",
            device="cpu",
            max_tokens=6,
        ).transcribe(sound(2.0))
        assert full.text == again.text


def test_random_weights_are_of_a_size():
    with pytest.raises(InputError, match="whisper-nano"):
        load_recognizer("whisper-nano", weights="random")


def test_voice_activity_and_the_batched_pipeline(whisper_folder):
    from workbench.finetune.nano.speech import flite

    try:
        said = flite().say("good morning my friend, how are you today", 0)
    except InputError as problem:
        pytest.skip(f"no flite here: {problem.what}")
    speech = Audio(said.samples, 24_000)
    silence = Audio(np.zeros(24_000, np.float32), 24_000)
    filtered = load(whisper_folder, beam_size=1, vad=True, max_tokens=4)
    assert filtered.transcribe(silence).text == ""
    recording = Audio.concatenate([silence, speech, silence])
    assert filtered.transcribe(recording).segments[0].start_s >= 0.5
    batched = load(whisper_folder, beam_size=1, batch_size=2, max_tokens=4).transcribe(recording)
    assert batched.segments
    assert batched.duration_s == pytest.approx(recording.duration_s)


def test_silence_of_no_length(trimmed, static):
    for recognizer in (trimmed, static):
        made = recognizer.transcribe(Audio(np.zeros(0), RATE_HZ))
        assert (made.text, made.segments) == ("", ())


def test_several_workers_give_what_one_gives(whisper_folder, trimmed):
    clips = [sound(1.0, seed) for seed in range(4)]
    several = load(whisper_folder, beam_size=1, window="trimmed", workers=2)
    assert [made.text for made in several.transcribe_batch(clips)] == [
        trimmed.transcribe(clip).text for clip in clips
    ]


def test_transformers_generate_tells_no_probabilities(whisper_folder):
    made = load(whisper_folder, implementation="transformers").transcribe(sound())
    assert all(math.isnan(segment.average_logprob) for segment in made.segments)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"implementation": "magic"}, "magic"),
        ({"window": "short"}, "short"),
        ({"threads": 0}, "threads"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"weights": "maybe"}, "maybe"),
        ({"compute_type": "float7"}, "float7"),
        ({"beam_size": 0}, "beam_size"),
        ({"workers": 0}, "workers"),
        ({"window": "trimmed", "vad": True}, "trimmed"),
        ({"language": "xx"}, "xx"),
        ({"device": "warp"}, "warp"),
        ({"compile_mode": "default"}, "compile_mode"),
        ({"implementation": "static", "beam_size": 2}, "beam_size"),
        ({"implementation": "static", "compute_type": "int8"}, "int8"),
        ({"implementation": "transformers", "window": "trimmed"}, "trimmed"),
        ({"implementation": "transformers", "language": None}, "language"),
    ],
)
def test_settings_that_cannot_be(whisper_folder, settings, named):
    given = {"device": "cpu", "threads": 1, **settings}
    with pytest.raises(InputError, match=named):
        load_recognizer(str(whisper_folder), **given)


def test_unknown_names():
    with pytest.raises(InputError, match="whisper-huge"):
        load_recognizer("whisper-huge")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="cuda"):
            load_recognizer("whisper-nano", device="cuda")


def test_words_from_an_implementation_without(static):
    with pytest.raises(InputError, match="word times"):
        static.transcribe(sound(), words=True)


def test_damaged_and_missing_files(whisper_folder, tmp_path):
    copy = shutil.copytree(whisper_folder, tmp_path / "copy")
    weights = copy / "ct2" / "model.bin"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(ModelError, match="CTranslate2"):
        load(copy)
    (copy / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(ModelError, match="copy"):
        load(copy, implementation="static")
    (copy / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"model\.safetensors"):
        load(copy, implementation="static")
    shutil.rmtree(copy / "ct2")
    with pytest.raises(ModelError, match=r"model\.bin"):
        load(copy)
