"""``workbench converse`` as a user meets it."""

import json

import numpy as np
import pytest

from tests.measure.arms import Spinner
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


@pytest.fixture
def scripted(monkeypatch):
    """Arms that spin in processes of their own, instead of talking."""
    from workbench.conversation import arm
    from workbench.measure.arm import Arm

    def arms(name, engines, questions, **settings):
        work_ms = 2.0 if settings["mode"] == "serial" else 1.0
        kwargs = {"work_ms": work_ms, "questions": list(questions), "vad": engines.vad}
        return Arm(name, "tests.conversation.test_converse_command:Talks", kwargs)

    monkeypatch.setattr(arm, "_arm", arms)


class Talks(Spinner):
    """Stands for a conversation."""

    def __init__(self, work_ms, questions, vad):
        super().__init__(work_ms)

    def trial(self, index, seed):
        return {"first_audio_ms": super().trial(index, seed)["told_ms"]}


def test_a_comparison_is_written_as_a_study(tmp_path, scripted, monkeypatch, capsys):
    from workbench.measure import record
    from workbench.measure.study_record import read_study

    monkeypatch.setattr(record, "outputs_dir", lambda: tmp_path / "outputs")
    assert main(["converse", "--compare", "4", "--json"]) == 0
    told = last_json(capsys)
    (folder,) = (tmp_path / "outputs").iterdir()  # without --out as well
    assert folder.name.startswith("converse-")
    kept = read_study(folder)
    assert (kept.name, kept.plan.trials) == ("conversation", 4)
    assert (told["verdict"], told["rounds"]) == (kept.verdict, 4)
    assert told["arms"]["overlapped"]["p50"]["n"] == 4


def test_a_comparison_that_is_interrupted_goes_on(tmp_path, scripted, monkeypatch, capsys):
    from workbench.measure import trials
    from workbench.measure.study_record import read_study

    where = ["converse", "--compare", "4", "--out", str(tmp_path / "talks")]
    go_on = trials._Run._go_on

    def ctrl_c(run):
        if len(run.orders) == 2:
            raise KeyboardInterrupt
        return go_on(run)

    with monkeypatch.context() as patched:
        patched.setattr(trials._Run, "_go_on", ctrl_c)
        assert main([*where, "--json"]) == 130
    told = capsys.readouterr()
    assert f"after 2 of 4 rounds; the same command with --out {tmp_path / 'talks'}" in told.err
    summary = json.loads(told.out.splitlines()[-1])
    assert (summary["stopped"], summary["rounds"]) == ("interrupted", 2)
    assert summary["arms"]["serial"]["p50"]["n"] == 2
    assert len(read_study(tmp_path / "talks").baseline.rounds) == 2
    assert main(where) == 0
    told = capsys.readouterr()
    assert "going on after 2 of 4 rounds" in told.err
    assert "overlapped: first audio p50" in told.out
    assert read_study(tmp_path / "talks").baseline.rounds == (0, 1, 2, 3)
    assert not (tmp_path / "talks" / "checkpoint.json").exists()
    assert main([*where[:2], "5", *where[3:]]) == 2
    assert "another plan" in capsys.readouterr().err


def test_a_machine_without_sound_says_so(monkeypatch, capsys):
    import sys

    monkeypatch.setitem(sys.modules, "sounddevice", None)
    assert main(["converse", "--microphone", "--json"]) == 3
    assert "sounddevice" in last_json(capsys)["error"]
