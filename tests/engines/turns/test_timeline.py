"""A recording heard as if it were live: the speech in it and the ends of its turns."""

import json

import numpy as np
import pytest

from tests import tiny_chat
from tests.turn_sounds import RATE_HZ, LevelVad, WordJudge, buzz
from workbench.audio import Audio
from workbench.cli import main
from workbench.engines.turns.detectors import Policy, SemanticTurnDetector, SilenceTurnDetector
from workbench.engines.turns.timeline import heard_words, timeline
from workbench.errors import InputError


def silence(seconds: float) -> Audio:
    return Audio(np.zeros(round(seconds * RATE_HZ), np.float32), RATE_HZ)


@pytest.fixture(scope="module")
def recording():
    """Speech from 0.3 to 1.3 s and from 1.8 to 2.6 s."""
    return Audio.concatenate([silence(0.3), buzz(1.0), silence(0.5), buzz(0.8), silence(0.1)])


def test_speech_lies_where_the_sound_is(recording):
    found = timeline(recording, LevelVad(), {"silence": SilenceTurnDetector(0.7)})
    assert [(part.start_s, part.end_s) for part in found.spoken] == [
        pytest.approx((0.3, 1.3), abs=0.05),
        pytest.approx((1.8, 2.6), abs=0.05),
    ]
    assert found.duration_s == pytest.approx(2.7)
    assert len(found.probabilities) * found.frame_s == pytest.approx(2.7 + 2.0, abs=found.frame_s)
    (end,) = found.ends["silence"]
    assert end.at_s == pytest.approx(2.6 + 0.7, abs=0.05)


def test_a_short_wait_cuts_the_pause_and_words_avoid_it(recording):
    heard = []

    def transcribe(audio):
        heard.append(audio.duration_s)
        return "where is the" if audio.duration_s < 2 else "where is the market"

    judge = WordJudge(["where is the market"])
    found = timeline(
        recording,
        LevelVad(),
        {
            "short": SilenceTurnDetector(0.3),
            "semantic": SemanticTurnDetector(judge, Policy(0.5, 0.2, 1.5)),
        },
        heard_words(recording, transcribe),
    )
    assert [end.at_s for end in found.ends["short"]] == pytest.approx([1.6, 2.9], abs=0.05)
    (end,) = found.ends["semantic"]
    assert end.at_s == pytest.approx(2.8, abs=0.05)
    assert end.transcript == "where is the market"
    assert judge.asked == ["where is the", "where is the market"]
    # Words of a turn begin after the last one's end, and nothing is transcribed twice.
    assert sorted(heard) == pytest.approx([2.7 - 1.6, 1.4, 2.7], abs=0.06)


def test_a_turn_needs_silence_to_end(recording):
    found = timeline(recording, LevelVad(), {"silence": SilenceTurnDetector(0.7)}, tail_s=0.0)
    assert found.ends["silence"] == ()
    with pytest.raises(InputError, match="silence"):
        timeline(recording, LevelVad(), {}, tail_s=-1)


@pytest.fixture
def file(recording, tmp_path, monkeypatch):
    # The detectors' models are not what is tested here.
    monkeypatch.setattr("workbench.cli.turns.load_vad", lambda name: LevelVad())
    return recording.write(tmp_path / "question.wav")


def test_the_command_says_when_each_detector_ends_the_turn(file, capsys):
    assert main(["turns", str(file), "--silence", "0.3", "--json"]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert len(said["segments"]) == 2
    assert [end["wait_s"] for end in said["turn_ends"]["silence"]] == [0.3, 0.3]
    assert said["frame_ms"] > 0
    assert main(["turns", str(file), "--tail", "0"]) == 0
    assert "no turn ended" in capsys.readouterr().out


def test_the_command_with_a_judge(file, whisper_folder, tmp_path, capsys):
    chat = str(tiny_chat.folder(tmp_path / "chat"))
    options = ["--judge", chat, "--engine", str(whisper_folder), "--threshold", "0"]
    options += ["--action-delay", "0.6", "--timeout", "0.9"]
    assert main(["turns", str(file), *options, "--json"]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    (end,) = said["turn_ends"]["semantic"]
    assert end["wait_s"] == 0.6
    assert 0 <= end["probability"] <= 1
    assert main(["turns", str(file), "--judge", "chat-huge", "--json"]) == 2
    assert main(["turns", str(file), "--silence", "0", "--json"]) == 2


def test_a_file_without_sound(tmp_path, capsys):
    file = silence(0.0).write(tmp_path / "empty.wav")
    assert main(["turns", str(file), "--json"]) == 2
    assert "no sound" in capsys.readouterr().out
