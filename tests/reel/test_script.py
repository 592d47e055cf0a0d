"""Scripts: what they may hold, where the error is, and seeds that stay where others come and go."""

import json

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reel.voices import script
from workbench.errors import InputError
from workbench.paths import data_dir
from workbench.quality.wer import normalized_words
from workbench.reel import parse_script, read_script, sample_script

GOOD = {
    "speakers": {"anna": {"voice": 1}, "ben": {}},
    "segments": [{"speaker": "anna", "text": "good  morning"}, {"speaker": "ben", "text": "hi"}],
}


def changed(**more):
    return {**GOOD, **more}


@pytest.mark.parametrize("suffix", [".yaml", ".json"])
def test_yaml_and_json_say_the_same(suffix, tmp_path):
    path = tmp_path / f"a{suffix}"
    path.write_text(json.dumps(GOOD) if suffix == ".json" else yaml.safe_dump(GOOD))
    made = read_script(path)
    assert [one.text for one in made.segments] == ["good morning", "hi"]
    assert made.speakers["anna"].voice == 1
    assert made.engines == ("csm-nano",)


def test_reference_files_lie_beside_the_script(tmp_path):
    path = tmp_path / "a.yaml"
    references = [{"audio": "voices/ben.wav", "text": "hello"}]
    path.write_text(
        yaml.safe_dump(changed(speakers={"anna": {}, "ben": {"references": references}}))
    )
    (reference,) = read_script(path).speakers["ben"].references
    assert reference.audio == tmp_path / "voices" / "ben.wav"


@pytest.mark.parametrize(
    ("given", "place"),
    [
        (changed(speed=2), "speed"),
        (changed(segments=[]), "segments"),
        (changed(segments=[{"speaker": "anna", "text": "hi", "loud": True}]), "segments.0.loud"),
        (changed(segments=[{"speaker": "carl", "text": "hi"}]), "carl"),
        (changed(segments=[{"speaker": "anna", "text": "..."}]), "segments.0.text"),
        (changed(segments=[{"speaker": "anna", "text": "hi", "pause_ms": -1}]), "pause_ms"),
        (changed(speakers={"anna": {"voice": -1}, "ben": {}}), "speakers.anna.voice"),
        (changed(speakers={"an:na": {}, "ben": {}}), "an:na"),
        (changed(seed="one"), "seed"),
        (["a list"], "at its top"),
        (None, "at its top"),
    ],
    ids=str,
)
def test_the_error_names_the_place(given, place):
    with pytest.raises(InputError, match=place):
        parse_script(given)


@pytest.mark.parametrize(
    ("name", "content", "named"),
    [
        ("a.txt", "", "no script"),
        ("a.yaml", "speakers: [", "damaged"),
        ("a.json", "{", "damaged"),
        ("a.yaml", b"\xff\xfe", "can't be read"),
        ("gone.yaml", None, "can't be read"),
    ],
)
def test_files_that_are_no_scripts(name, content, named, tmp_path):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=named):
        read_script(path)


@settings(deadline=None, max_examples=50)
@given(st.data(), st.lists(st.sampled_from(["yes", "no", "maybe"]), min_size=1, max_size=8))
def test_a_new_segment_changes_no_other_seed(data, texts):
    before = script(texts)
    place = data.draw(st.integers(0, len(texts)))
    segments = [one.model_dump() for one in before.segments]
    segments.insert(place, {"speaker": "anna", "text": "something else"})
    after = script(segments=segments)
    kept = [after.seed_of(n) for n in range(len(segments)) if n != place]
    assert kept == [before.seed_of(n) for n in range(len(texts))]


def test_seeds_differ_and_may_be_given():
    said = script(["yes"] * 6)
    assert len({said.seed_of(n) for n in range(6)}) == 6
    assert said.seed_of(0) != script(["yes"] * 6, seed=1).seed_of(0)
    own = script(segments=[{"speaker": "anna", "text": "yes", "seed": 7}])
    assert own.seed_of(0) == 7


def test_the_sample_is_said_in_words_that_the_nano_voice_knows():
    sample = read_script(sample_script())
    assert len(sample.segments) == 15
    assert len(sample.speakers) == 2
    said = {word for one in sample.segments for word in normalized_words(one.text)}
    dictionary = (data_dir() / "nano" / "domain.dict").read_text(encoding="utf-8")
    assert said <= {line.split()[0] for line in dictionary.splitlines() if line.strip()}


def test_the_first_segments_and_another_engine():
    said = script().shortened(2).with_engine("other")
    assert len(said.rows()) == 2
    assert said.engines == ("other",)
    assert script().shortened(None).with_engine(None) == script()


def test_an_engine_s_own_settings_go_with_it():
    said = script(settings={"level": 1, "pitch": 2})
    assert said.settings_of("tones") == {"level": 1, "pitch": 2}
    assert said.settings_of("other") == {}
    more = said.with_engine(None, {"level": 3})
    assert more.settings_of("tones") == {"level": 3, "pitch": 2}
    other = said.with_engine("other", {"speed": 1})
    assert (other.settings_of("other"), other.settings_of("tones")) == ({"speed": 1}, {})


def test_there_are_segments_to_shorten():
    with pytest.raises(InputError, match="0 segments"):
        script().shortened(0)
