"""``workbench reel`` as a user meets it."""

import json
from pathlib import Path

import pytest
import yaml

from workbench.audio import Audio
from workbench.cli import main


@pytest.fixture
def script(tiny_folder, tmp_path):
    path = tmp_path / "script.yaml"
    segments = [{"speaker": "anna", "text": "hi"}, {"speaker": "ben", "text": "yes"}]
    given = {"engine": str(tiny_folder), "speakers": {"anna": {"voice": 1}, "ben": {}}}
    path.write_text(yaml.safe_dump({**given, "segments": segments}))
    return path


def last_json(capsys):
    return json.loads(capsys.readouterr().out.strip().splitlines()[-1])


def test_it_speaks_once_and_keeps(script, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("FISH_SPEECH_DEVICE", "cpu")
    arguments = ["reel", str(script), "--out", str(tmp_path / "out"), "--format", "flac", "--json"]
    assert main(arguments) == 0
    told = last_json(capsys)
    assert (told["redone"], told["kept"]) == (2, 0)
    assert told["rtf"] == pytest.approx(told["synthesis_s"] / told["spoken_s"])
    assert Audio.read(told["track"]).duration_s == pytest.approx(told["audio_s"])
    assert "anna: hi" in Path(told["captions"]["srt"]).read_text(encoding="utf-8")
    assert main(arguments[:-1]) == 0
    shown = capsys.readouterr().out
    assert "0 spoken now, 2 kept" in shown
    assert "anna: hi" in shown


def test_errors_are_words_and_codes(script, tmp_path, capsys, monkeypatch):
    assert main(["reel", str(tmp_path / "none.yaml"), "--json"]) == 2
    assert "none.yaml" in last_json(capsys)["error"]
    arguments = ["reel", str(script), "--out", str(tmp_path / "out"), "--json"]
    assert main([*arguments, "--workers", "0"]) == 2
    assert "VOICEREEL_MAX_WORKERS=0" in last_json(capsys)["error"]
    monkeypatch.setenv("FISH_SPEECH_PRECISION", "quarter")
    assert main(arguments) == 2
    said = last_json(capsys)
    assert said["error"] == "FISH_SPEECH_PRECISION=quarter"
    assert "half or full" in said["remedy"]


def test_speak_by_mode(tmp_path, capsys, monkeypatch):
    from tests.engines.test_speak import Rooms
    from workbench.engines import speak

    monkeypatch.setattr(speak, "House", Rooms)
    out = tmp_path / "a.wav"
    arguments = ["speak", "hello", "--mode", "cinematic", "--seed", "1", "--out", str(out)]
    assert main([*arguments, "--json"]) == 0
    shown = capsys.readouterr()
    told = json.loads(shown.out.strip().splitlines()[-1])
    assert (told["engine"], told["mode"], told["asked"]) == ("csm-nano", "cinematic", "cinematic")
    assert len(told["fallbacks"]) == 2
    assert "fell back: chatterbox can't be had" in shown.err
    assert Audio.read(out).duration_s == pytest.approx(told["audio_s"])
    assert main(arguments) == 0
    assert "csm-nano, cinematic: cinematic was asked for" in capsys.readouterr().out
    assert main([*arguments, "--engine", "csm-nano", "--json"]) == 2
    assert "--mode beside --engine" in last_json(capsys)["error"]
