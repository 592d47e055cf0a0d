"""Ways of recognizing compared: figures, words about them, the command."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from workbench.audio import Audio
from workbench.cli import main
from workbench.engines.asr.load import load_recognizer
from workbench.engines.asr.transcript import Transcript
from workbench.errors import InputError
from workbench.measure.record import read
from workbench.studies.asr.speech import SpokenText, read_speech, speech_for
from workbench.studies.asr.study import (
    BASELINE,
    QUICKEST,
    WAYS,
    RecognizerComparison,
    chosen,
    compare_recognizers,
    partial_rows,
    sizes,
)

TEXTS = [f"the {word} is here" for word in ("cat", "dog", "bird", "fish", "cow", "hen")]


def noise(seconds: float, seed: int = 0) -> Audio:
    samples = np.random.default_rng(seed).standard_normal(round(24_000 * seconds))
    return Audio((samples * 0.1).astype(np.float32), 24_000)


CLIPS = tuple(SpokenText(text, noise(1.0, seed)) for seed, text in enumerate(TEXTS))


def said(text: str, latency_ms: float, **changes) -> Transcript:
    made = Transcript(
        text, (), "en", 1.0, latency_ms, 30.0, "whisper-nano", "0123456789abcdef", "fake", "int8"
    )
    return replace(made, **changes)


def comparison(**changes) -> RecognizerComparison:
    """Quick is twice as fast with the same words, wild four times with wrong ones."""
    times = np.random.default_rng(0).uniform(95, 105, len(TEXTS))
    heard = {
        "float32": [said(text, time) for text, time in zip(TEXTS, times, strict=True)],
        "quick": [said(text, time / 2) for text, time in zip(TEXTS, times, strict=True)],
        "wild": [said("nothing at all", time / 4) for time in times],
    }
    heard = {
        way: [replace(one, **changes) for one in transcripts] for way, transcripts in heard.items()
    }
    return RecognizerComparison(CLIPS, heard, {}, "a test machine")


def test_the_best_way_is_the_quickest_that_keeps_the_words(monkeypatch):
    # Few words leave room for a rise of more than the limit even where there is none.
    monkeypatch.setattr("workbench.studies.asr.study.WER_LIMIT", 0.2)
    result = comparison()
    assert result.best == "quick"
    assert result.ratio("quick").value == pytest.approx(2.0)
    assert result.wer("float32").value == 0
    assert result.wer("wild").value > 0.7
    assert result.finding.startswith("Quick: 2.0× as fast as float32")
    assert "Words suffer from wild" in result.verdict
    assert set(result.points()) == {"float32", "quick", "wild"}
    assert result.complete
    rows = {row["way"]: row for row in result.rows()}
    assert rows["float32"]["as fast as float32"] is None
    assert rows["wild"]["word error rate"].n == len(TEXTS)
    assert rows["quick"]["latency (ms)"].value == pytest.approx(50, abs=3)
    assert "6 clips of 1.0 s" in result.caption


def test_without_words_to_spare_the_baseline_stays():
    assert comparison().best == "float32"  # 24 words can't show that 2 % aren't lost
    assert "none is shown to keep its words" in comparison().finding
    assert "instead" not in comparison().verdict


def test_random_weights_have_times_and_no_words():
    result = comparison(weights="random")
    assert result.best == "wild"
    assert result.wer("wild") is None
    assert result.points() == {}
    assert "noise" in result.verdict
    assert "random weights" in result.caption


@pytest.fixture(scope="module")
def result(whisper_folder):
    ways = {
        BASELINE: {**WAYS[BASELINE], "beam_size": 1, "max_tokens": 6},
        QUICKEST: {**WAYS[QUICKEST], "max_tokens": 6},
        "static cache": {**WAYS["static cache, trimmed window"], "max_tokens": 6},
        "float16": WAYS["float16"],
    }
    return compare_recognizers(
        CLIPS[:2], ways, rounds=2, name=str(whisper_folder), device="cpu", threads=1
    )


def test_real_recognizers_take_turns_on_the_same_clips(result, whisper_folder):
    assert set(result.transcripts) == {BASELINE, QUICKEST, "static cache"}
    assert "float16" in result.left_out["float16"]
    for transcripts in result.transcripts.values():
        assert len(transcripts) == 4
        assert [one.text for one in transcripts[:2]] == [one.text for one in transcripts[2:]]
    alone = load_recognizer(str(whisper_folder), device="cpu", threads=1, max_tokens=6,
                            **{**WAYS[BASELINE], "beam_size": 1})  # fmt: skip
    assert result.transcripts[BASELINE][1].text == alone.transcribe(CLIPS[1].audio).text
    assert result.transcripts[QUICKEST][0].window_s < 3
    assert result.transcripts[BASELINE][0].compute_type == "float32"
    assert result.verdict


def test_partial_words_only_grow(whisper_folder):
    recognizer = load_recognizer(
        str(whisper_folder), device="cpu", threads=1, max_tokens=6, **WAYS[QUICKEST]
    )
    rows = partial_rows(recognizer, noise(1.6), step_s=0.5)
    assert [round(row["audio (s)"], 1) for row in rows] == [0.5, 1.0, 1.5, 1.6]
    certain = [row["certain"] for row in rows]
    assert all(later.startswith(sooner) for sooner, later in pairwise(certain))


def test_ways_and_sizes_by_name():
    assert chosen([QUICKEST])[QUICKEST]["compute_type"] == "int8"
    with pytest.raises(InputError, match="magic"):
        chosen(["magic"])
    assert sizes(["tiny"], beam_size=1) == {"tiny": {"name": "tiny", "beam_size": 1}}
    with pytest.raises(InputError, match="at least two"):
        compare_recognizers(CLIPS[:1], {})


def test_recordings_with_their_words(tmp_path):
    with pytest.raises(InputError, match="no recordings"):
        read_speech(tmp_path)
    noise(0.5).write(tmp_path / "b.flac")
    with pytest.raises(InputError, match=r"b\.txt"):
        read_speech(tmp_path)
    (tmp_path / "b.txt").write_text("the cat is here\n")
    noise(0.4).write(tmp_path / "a.wav")
    (tmp_path / "a.txt").write_text("the dog is here")
    found = speech_for(tmp_path, "nobody", 3)
    assert [one.text for one in found] == ["the dog is here", "the cat is here"]
    assert found[1].audio.duration_s == pytest.approx(0.5)


def test_sentences_by_all_voices_in_turn(tiny_engine, monkeypatch):
    heard = []

    class Voice:
        voices = tiny_engine.voices

        def synthesize(self, text, voice, seed):
            heard.append((text, voice, seed))
            return noise(0.2)

    monkeypatch.setattr("workbench.engines.load.load", lambda name: Voice())
    found = speech_for(None, "csm-nano", 3, seed=4)
    assert [one.text for one in found] == [text for text, _, _ in heard]
    assert len({voice for _, voice, _ in heard}) == min(3, len(tiny_engine.voices))
    with pytest.raises(InputError, match="0 sentences"):
        speech_for(None, "csm-nano", 0)


def test_the_command(whisper_folder, tmp_path, capsys):
    for number, clip in enumerate(CLIPS[:2]):
        clip.audio.write(tmp_path / f"{number}.wav")
        (tmp_path / f"{number}.txt").write_text(clip.text)
    common = ["bench", "asr", "--engine", str(whisper_folder), "--speech", str(tmp_path)]
    common += ["--ways", f"static cache, trimmed window; {QUICKEST}; float16", "--device", "cpu"]
    out = tmp_path / "out"
    assert main([*common, "--out", str(out), "--json"]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [way["way"] for way in said["ways"]] == ["static cache, trimmed window", QUICKEST]
    record = read(out / "asr.record.json")
    assert len(record.metric(f"latency/{QUICKEST}").samples) == 2
    assert record.details["texts"] == [clip.text for clip in CLIPS[:2]]
    assert set(record.details["heard"]) == {"static cache, trimmed window", QUICKEST}
    assert record.details["left_out"].keys() == {"float16"}
    assert said["left_out"].keys() == {"float16"}
    assert said["ways"][1]["as fast as static cache, trimmed window"]["value"] > 0
    assert main(common) == 0
    shown = capsys.readouterr().out
    assert "left out" in shown
    assert "word error rate" in shown
    assert main([*common[:4], "--ways", "magic", "--json"]) == 2
