"""``speak``: which engine, why, and every fallback in words."""

import warnings

import numpy as np
import pytest

import workbench
from tests.reel.voices import Tones
from workbench.audio import Audio
from workbench.engines.cache import EngineCache
from workbench.engines.house import PIPER_VOICE, Gpu, House, ImaginedHouse
from workbench.engines.speak import LONG_CHARS, FellBack, choose_mode, plan, speak
from workbench.errors import InputError, ModelError

BOTH = ("piper", "chatterbox")
CARD = Gpu("a card", 16 * 2**30)
PROMPT = Audio(0.1 * np.ones(24_000), 24_000)


class Rooms(ImaginedHouse):
    """A house whose engines are tones; ``broken`` ones are installed and don't load."""

    def __init__(self, engines=(), gpu=None, broken=()):
        super().__init__(engines, gpu)
        self.broken, self.loaded = broken, {}

    def load(self, engine):
        if engine in self.broken:
            raise ModelError(f"{engine} is broken", "mend it")
        return self.loaded.setdefault(engine, Tones(engine))


@pytest.mark.parametrize(
    ("mode", "engines", "spoke"),
    [
        ("fast", BOTH, "piper"),
        ("cinematic", BOTH, "chatterbox"),
        ("cinematic", ("piper",), "piper"),
        ("cinematic", (), "csm-nano"),
        ("fast", ("chatterbox",), "csm-nano"),
    ],
)
def test_who_speaks(mode, engines, spoke):
    house = Rooms(engines)
    wanted = {"fast": "piper", "cinematic": "chatterbox"}[mode]
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        made = speak("good  morning", mode, seed=3, house=house)
    assert (made.engine, made.asked, made.mode) == (spoke, mode, mode)
    assert made.speech.text == "good morning"
    assert made.speech.seed == 3
    told = [str(one.message) for one in warned if one.category is FellBack]
    assert told == list(made.fallbacks)
    assert bool(told) == (spoke != wanted)
    assert all(wanted in words or "piper" in words for words in told)
    assert plan("good morning", mode, house=house).engine == spoke


def test_an_engine_that_doesn_t_load_is_told_and_passed_over():
    with pytest.warns(FellBack, match=r"chatterbox didn't load: chatterbox is broken → mend it"):
        made = speak("good morning", "cinematic", house=Rooms(BOTH, broken=("chatterbox",)))
    assert made.engine == "piper"
    assert "mend it" in str(made)


def test_the_last_resort_s_error_is_the_caller_s():
    with pytest.raises(ModelError, match="csm-nano is broken"):
        speak("good morning", "fast", house=Rooms(broken=("csm-nano",)))


@pytest.mark.parametrize(
    ("text", "prompted", "engines", "gpu", "mode", "why"),
    [
        ("hello!", False, BOTH, CARD, "cinematic", "expressive"),
        ("hello there", False, BOTH, CARD, "fast", "plain statement"),
        ("hello!" * LONG_CHARS, False, BOTH, CARD, "fast", "long text"),
        ("hello!", False, BOTH, Gpu("a stick", 2**30), "fast", "a stick has 1 GiB"),
        ("hello!", False, BOTH, None, "fast", "without a GPU"),
        ("hello!", False, ("piper",), CARD, "fast", "chatterbox can't be had: not installed"),
        ("hello there", True, (), None, "cinematic", "clones"),
    ],
)
def test_auto_says_why(text, prompted, engines, gpu, mode, why):
    choice = choose_mode("auto", text, prompted, Rooms(engines, gpu))
    assert choice.mode == mode
    assert why in "; ".join(choice.reasons)


def test_a_prompt_reaches_the_engine_that_clones(tmp_path):
    house = Rooms(BOTH)
    path = PROMPT.write(tmp_path / "voice.wav")
    out = tmp_path / "a.wav"
    made = speak("good morning", audio_prompt=path, prompt_text="hi", outfile=out, house=house)
    ((*_, context, _),) = house.loaded["chatterbox"].asked
    assert context[0].text == "hi"
    assert np.allclose(context[0].audio.samples, PROMPT.samples, atol=1e-4)
    assert made.path == out
    assert Audio.read(out).duration_s == pytest.approx(made.speech.duration_s)
    assert not made.fallbacks


def test_a_prompt_that_can_t_be_cloned_is_told():
    house = Rooms(("piper",))
    with pytest.warns(FellBack, match="the prompt is not used"):
        made = speak("good morning", "auto", PROMPT, house=house)
    assert (made.mode, made.engine) == ("cinematic", "piper")
    assert house.loaded["piper"].asked[0][3] == ()


def test_another_engine_s_voice_number_is_told():
    with pytest.warns(FellBack, match="csm-nano has no voice 40: voice 0 speaks"):
        assert speak("good morning", "fast", voice=40, house=Rooms()).speech.voice == 0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"mode": "slow"}, "slow"),
        ({"text": "..."}, "nothing to say"),
        ({"audio_prompt": "/no/such/file.wav"}, "file.wav"),
        ({"prompt_text": "hi"}, "without its sound"),
        ({"audio_prompt": Audio(np.zeros(0), 24_000)}, "without sound"),
    ],
)
def test_bad_input_is_refused_before_anything_is_loaded(arguments, named):
    house = Rooms(BOTH)
    with pytest.raises(InputError, match=named):
        speak(**{"text": "good morning", "house": house, **arguments})
    assert house.loaded == {}


def test_the_house_asks_the_guests(monkeypatch):
    guests = pytest.importorskip("workbench.engines.guests")
    ready, missing = (
        guests.Status("x", state, detail, remedy)
        for state, detail, remedy in (
            ("ready", "", ""),
            ("missing", "not installed", "workbench engines install x"),
        )
    )
    monkeypatch.delenv(PIPER_VOICE, raising=False)
    asked = []
    house = House(EngineCache(load=lambda name: asked.append(name)))
    monkeypatch.setattr(guests, "status", lambda name: missing)
    assert house.missing("chatterbox") == "not installed → workbench engines install x"
    assert house.missing("csm-nano") == ""
    monkeypatch.setattr(guests, "status", lambda name: ready)
    assert house.missing("chatterbox") == ""
    assert PIPER_VOICE in house.missing("piper")
    monkeypatch.setenv(PIPER_VOICE, "anna.onnx")
    assert house.missing("piper") == ""
    house.load("piper")
    house.load("chatterbox")
    assert asked == ["piper:anna.onnx", "chatterbox"]


def test_the_cache_lends_and_closes():
    made = []
    cache = EngineCache(2, lambda name, **settings: made.append(Tones(name)) or made[-1])
    first = cache.get("a", device="cpu")
    assert cache.get("a", device="cpu") is first
    assert cache.get("a") is not first
    cache.get("b")
    assert first.closed
    assert len(cache) == 2
    cache.clear()
    assert all(one.closed for one in made)
    assert len(cache) == 0


def test_it_is_exported():
    assert workbench.speak is speak
    assert "speak" in workbench.__all__
