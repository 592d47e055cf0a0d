"""whisper-nano as it is shipped: it understands what the nano voice says, however it is run."""

import pytest

import workbench
from workbench.audio import Audio
from workbench.engines.asr.load import load_recognizer
from workbench.errors import InputError
from workbench.finetune.nano.speech import RATE_HZ, flite
from workbench.quality.wer import word_error_rate
from workbench.studies.asr.speech import held_out_speech

WAYS = {
    "int8": {"compute_type": "int8"},
    "trimmed": {"compute_type": "float32", "beam_size": 1, "window": "trimmed"},
    "static": {"implementation": "static"},
}


@pytest.fixture(scope="module")
def spoken():
    return held_out_speech(workbench.load("csm-nano", device="cpu"), 8, seed=0)


@pytest.mark.parametrize("way", WAYS)
def test_it_understands_the_nano_voice(way, spoken):
    recognizer = load_recognizer("whisper-nano", device="cpu", threads=1, **WAYS[way])
    heard = [recognizer.transcribe(clip.audio).text for clip in spoken]
    # What the voice says wrong counts, too.
    assert word_error_rate([clip.text for clip in spoken], heard).value < 0.2, heard


def test_it_understands_flite_and_tells_when_words_were_said():
    try:
        samples = flite().say("where is the nearest market", 0).samples
    except InputError as problem:
        pytest.skip(f"no flite here: {problem.what}")
    recognizer = load_recognizer("whisper-nano", device="cpu", threads=1)
    said = recognizer.transcribe(Audio(samples, RATE_HZ), words=True)
    assert said.text == "where is the nearest market"
    starts = [word.start_s for word in said.words]
    assert starts == sorted(starts)
    assert 0 <= starts[0] < starts[-1] < said.duration_s
