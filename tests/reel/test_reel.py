"""A script to a track: kept and spoken segments, captions on the sound, a crash in the middle."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import yaml

from tests.reel.voices import CHAR_S, RATE_HZ, Tones, cache_of, script
from workbench.audio import Audio
from workbench.engines.cache import EngineCache
from workbench.errors import InputError
from workbench.optimizations.environment import SpeechSettings
from workbench.reel import make_reel, read_script
from workbench.reel.store import JOURNAL

TEXTS = ["good morning", "hello there", "how are you", "fine thank you"]
ALONE = SpeechSettings(batch_size=1)


def make(said, folder, *engines, **more):
    return make_reel(said, folder, ALONE, cache=cache_of(*(engines or [Tones()])), **more)


def test_all_that_is_promised_is_there(tmp_path):
    counted = []
    reel = make(script(TEXTS), tmp_path, on_segment=lambda *told: counted.append(told))
    assert counted == [(done, 4) for done in range(5)]
    assert (reel.redone, reel.kept) == (4, 0)
    assert np.abs(Audio.read(reel.track_path).samples - reel.audio.samples).max() < 1e-4
    assert {path.suffix for path in reel.caption_paths.values()} == {".srt", ".vtt", ".json"}
    told = json.loads((tmp_path / "reel.json").read_text(encoding="utf-8"))
    assert told["redone"] == 4
    assert told["rtf"] == pytest.approx(reel.rtf)
    assert told["environment"]["cpu"]["model"]
    assert {"load", "synthesis", "write", "assemble", "write track"} <= set(told["timers"])
    assert [one["speaker"] for one in told["segments"]] == ["anna", "ben"] * 2


def test_captions_sit_on_the_sound(tmp_path):
    reel = make(script(TEXTS, pause_ms=200), tmp_path)
    assert max(map(abs, reel.onset_errors_ms)) <= 10
    for caption in reel.captions:
        assert caption.end_s - caption.start_s == pytest.approx(
            CHAR_S * len(caption.text), abs=0.02
        )
    track = Audio.read(reel.track_path)
    loud = np.zeros(len(track), bool)
    for caption in reel.captions:
        loud[round(caption.start_s * RATE_HZ) : round(caption.end_s * RATE_HZ)] = True
    assert np.abs(track.samples[~loud]).max() < 0.01


def test_a_second_run_speaks_nothing_and_says_the_same(tmp_path):
    first, engine = make(script(TEXTS), tmp_path), Tones()
    again = make(script(TEXTS), tmp_path, engine)
    assert engine.asked == []
    assert engine.warmed == 0
    assert (again.redone, again.kept, again.rtf) == (0, 4, None)
    assert np.array_equal(again.audio.samples, first.audio.samples)
    assert "nothing was to be spoken" in again.verdict
    fresh = make(script(TEXTS), tmp_path, engine, fresh=True)
    assert fresh.redone == len(engine.asked) == 4


def test_only_what_has_changed_is_spoken(tmp_path):
    make(script(TEXTS), tmp_path)
    engine = Tones()
    reel = make(script([TEXTS[0], "something else", *TEXTS[2:]]), tmp_path, engine)
    assert [asked[0] for asked in engine.asked] == ["something else"]
    assert (reel.redone, reel.kept) == (1, 3)
    pauses = make(script(TEXTS, pause_ms=900), tmp_path, Tones(fail_at=0))
    assert pauses.redone == 0  # a pause is no sound of anybody
    louder = Tones()
    louder.weights = "another model"
    assert make(script(TEXTS), tmp_path, louder).redone == 4


def test_what_was_finished_before_an_error_stays(tmp_path):
    with pytest.raises(RuntimeError, match="out of tones"):
        make(script(TEXTS), tmp_path, Tones(fail_at=2))
    engine = Tones()
    reel = make(script(TEXTS), tmp_path, engine)
    assert (reel.redone, reel.kept) == (2, 2)
    whole = make(script(TEXTS), tmp_path / "whole")
    assert np.array_equal(reel.audio.samples, whole.audio.samples)


def test_speakers_may_have_engines_of_their_own(tmp_path):
    speakers = {"anna": {"voice": 1}, "ben": {"engine": "others"}}
    other = Tones("others", rate_hz=16_000)
    reel = make(script(TEXTS, speakers=speakers), tmp_path, Tones(), other)
    assert len(other.asked) == 2
    assert reel.audio.rate_hz == RATE_HZ
    assert max(map(abs, reel.onset_errors_ms)) <= 10
    assert set(reel.engines) == {"tones", "others"}


def test_references_reach_the_engine(tmp_path):
    Audio(0.1 * np.ones(24_000), 24_000).write(tmp_path / "anna.wav")
    references = [{"audio": str(tmp_path / "anna.wav"), "text": "hello"}]
    said = script(TEXTS, speakers={"anna": {"references": references}, "ben": {}})
    engine = Tones()
    make(said, tmp_path / "out", engine)
    assert [[one.text for one in asked[3]] for asked in engine.asked] == [["hello"], []] * 2
    other = Tones()
    make(said.model_copy(update={"reference_s": 0.5}), tmp_path / "out", other)
    assert other.asked == []  # one chunk is always used: nothing has changed


def test_trouble_is_told(tmp_path):
    engine = Tones(ends=["cap", "eos", "loop", "silent", "loop", "silent"])
    reel = make(script(["one", "two", "three", "four"]), tmp_path, engine)
    notes = "\n".join(reel.notes)
    assert "segment 1 (anna: 'one') was cut at its frame limit" in notes
    assert "segment 3 (anna: 'three') was stopped in a loop" in notes
    assert "segment 4 (ben: 'four') is silent" in notes
    assert [row.attempt for row in reel.segments] == [1, 1, 2, 2]


def test_what_was_asked_for_and_can_t_be_had_is_told(tmp_path):
    settings = SpeechSettings(batch_size=1, cudnn_benchmark=True, device="cpu")
    reel = make_reel(script(TEXTS), tmp_path, settings, cache=cache_of(Tones()))
    assert any("cudnn_benchmark was asked for and left out" in note for note in reel.notes)


def test_formats(tmp_path):
    assert make(script(["one"]), tmp_path, track_format="flac").track_path.suffix == ".flac"
    with pytest.raises(InputError, match="mp3"):
        make(script(["one"]), tmp_path, track_format="mp3")


@pytest.mark.slow
def test_kill_9_in_the_middle_loses_nothing(tiny_folder, tmp_path):
    """The process dies without a word; the next run speaks the rest, and the track is the same."""
    texts = [f"room {number} is free" for number in range(8)]
    segments = [{"speaker": "a", "text": text} for text in texts]
    path = tmp_path / "script.yaml"
    given = {"engine": str(tiny_folder), "speakers": {"a": {}}, "segments": segments}
    path.write_text(yaml.safe_dump(given))
    folder, whole = tmp_path / "killed", tmp_path / "whole"
    process = subprocess.Popen(
        [sys.executable, "-m", "workbench", "reel", str(path), "--out", str(folder),
         "--batch-size", "1", "--device", "cpu", "--json"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    journal = folder / "segments" / JOURNAL
    deadline = time.monotonic() + 120
    while not (journal.exists() and journal.read_bytes().count(b"\n") >= 2):
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait(30) == -signal.SIGKILL
    assert not (folder / "reel.json").exists()
    finished = {one: one.stat().st_mtime_ns for one in (folder / "segments").glob("[!.]*.wav")}
    settings = SpeechSettings(batch_size=1, device="cpu")
    resumed = make_reel(read_script(path), folder, settings)
    assert 2 <= resumed.kept < 8
    assert resumed.kept + resumed.redone == 8
    unchanged = [one for one, at in finished.items() if one.stat().st_mtime_ns == at]
    assert len(unchanged) >= resumed.kept
    at_once = make_reel(read_script(path), whole, settings)
    assert at_once.redone == 8
    assert np.array_equal(resumed.audio.samples, at_once.audio.samples)
    assert resumed.captions == at_once.captions


def test_other_settings_of_the_engine_are_spoken_anew(tmp_path):
    loaded = []

    def load(name, **settings):
        loaded.append(settings["level"])
        engine = Tones(name)
        engine.options.settings = {"level": settings["level"]}
        return engine

    for level, redone in ((1, 4), (1, 0), (2, 4)):
        said = script(TEXTS, settings={"level": level})
        reel = make_reel(said, tmp_path, ALONE, cache=EngineCache(2, load))
        assert (loaded[-1], reel.redone) == (level, redone)
