"""``workbench converse`` as a user meets it."""

import json

import numpy as np
import pytest

from tests.turn_sounds import buzz
from workbench.audio import Audio
from workbench.cli import main

ECHO = ["--preset", "echo", "--silence", "0.2"]


@pytest.fixture(scope="module")
def question(tmp_path_factory):
    path = tmp_path_factory.mktemp("sounds") / "question.wav"
    return Audio.concatenate([Audio(np.zeros(3200), 16_000), buzz(0.8)]).write(path)


def last_json(capsys):
    return json.loads(capsys.readouterr().out.strip().splitlines()[-1])


def test_a_file_is_answered(question, tiny_folder, tmp_path, capsys):
    both, trace = tmp_path / "both.wav", tmp_path / "trace.json"
    more = ["--engine", str(tiny_folder), "--out", str(both), "--trace", str(trace)]
    code = main(["converse", str(question), "--mode", "serial", *ECHO, *more, "--json"])
    told = last_json(capsys)
    assert told["mode"] == "serial"
    assert told["events"] == json.loads(trace.read_text())
    assert told["stages"]["chat"] == "echo"
    (turn,) = told["turns"]
    # a buzz may be heard as words or not; either way the answer says which
    assert code == (0 if turn["outcome"] == "spoken" else 1)
    assert (told["first_audio_ms"] is None) == (turn["outcome"] != "spoken")
    assert Audio.read(both).duration_s >= 1.0


def test_the_soak_says_what_it_found(capsys):
    assert main(["converse", "--soak", "1", "--seed", "2"]) == 0
    shown = capsys.readouterr().out
    assert "1 simulated minutes" in shown
    assert "nothing left open" in shown
    assert main(["converse", "--soak", "0.5", "--mode", "serial", "--json"]) == 0
    assert last_json(capsys)["problems"] == []


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "nothing to talk to"),
        (["a.wav", "--microphone"], "FILE and --microphone"),
        (["missing.wav"], "missing.wav"),
        (["question", "--turn", "semantic", "--preset", "echo"], "can't judge"),
    ],
)
def test_bad_input_is_named(arguments, named, question, capsys):
    given = [str(question) if one == "question" else one for one in arguments]
    assert main(["converse", *given, "--json"]) == 2
    assert named in last_json(capsys)["error"]


def test_presets_are_told_and_can_be_changed():
    from workbench.cli import converse, parser
    from workbench.conversation.presets import PRESETS, preset
    from workbench.errors import InputError

    assert set(converse._PRESETS) == set(PRESETS)
    given = ["converse", "a.wav", "--preset", "fern", "--recognizer", "base", "--vad", "silero"]
    engines = converse._engines(parser().parse_args(given))
    assert (engines.recognizer, engines.vad, engines.chat) == (
        "base",
        "silero",
        "gemini-flash-latest",
    )
    assert engines.recognizer_settings == {}
    assert preset("nano", silence_s=None) is not None
    assert preset("nano").turn == "semantic"
    given = ["converse", "a.wav", "--silence", "0.4"]
    assert converse._engines(parser().parse_args(given)).turn == "silence"
    with pytest.raises(InputError, match="nobody"):
        preset("nobody")


def test_a_comparison_is_written_as_a_study(tmp_path, monkeypatch, capsys):
    from tests.measure import studies
    from workbench.conversation import arm
    from workbench.measure import record
    from workbench.measure.study_record import read_study

    asked = {}

    def compared(engines, questions, **settings):
        asked.update(settings, questions=questions)
        arms = {"serial": 1.0, "A/A control": 1.0, "overlapped": 0.5}
        study = studies.made(arms, name="conversation", rounds=12, metric="first_audio_ms")
        for one in study.results.values():
            one.samples["first_audio_ms"] = one.samples["frame_ms"]
        return study

    monkeypatch.setattr(arm, "compare_in_processes", compared)
    monkeypatch.setattr(record, "outputs_dir", lambda: tmp_path / "outputs")
    assert main(["converse", "--compare", "12", "--json"]) == 0
    told = last_json(capsys)
    assert asked["plan"].trials == 12
    assert told["machine"] == "Zeta 1, 2 cores"
    (folder,) = (tmp_path / "outputs").iterdir()  # without --out as well
    assert folder.name.startswith("converse-")
    kept = read_study(folder)
    assert told["verdict"] == kept.verdict
    assert told["arms"]["overlapped"]["p50"]["n"] == 12
    assert main(["converse", "--compare", "12", "--out", str(tmp_path / "mine")]) == 0
    assert read_study(tmp_path / "mine").name == "conversation"


def test_a_machine_without_sound_says_so(monkeypatch, capsys):
    import sys

    monkeypatch.setitem(sys.modules, "sounddevice", None)
    assert main(["converse", "--microphone", "--json"]) == 3
    assert "sounddevice" in last_json(capsys)["error"]
