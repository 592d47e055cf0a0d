"""Seconds of conversation in real time with faults; the command runs minutes."""

import json
from dataclasses import replace

import numpy as np
import pytest

from tests.turn_sounds import buzz
from workbench.audio import Audio
from workbench.cli import main
from workbench.conversation.endurance import Endurance, Held, endure
from workbench.conversation.scripted import ScriptedRecognition, scripted_stages, spoken
from workbench.errors import InputError


def test_a_quarter_of_a_minute_with_faults():
    seen = []
    found = endure(scripted_stages(silence_s=0.2), [spoken([2]), spoken([1])], 0.25, seed=1,
                   faults=0.05, progress=seen.append)  # fmt: skip
    assert found.turns >= 3
    assert found.outcomes["spoken"] >= 1
    assert found.injected
    assert len(found.held) >= 3
    assert all(one.processes >= 1 and one.tasks >= 1 for one in found.held)
    assert [one.at_s for one in found.held] == sorted(one.at_s for one in found.held)
    assert json.dumps(found.to_dict(), allow_nan=False)
    with pytest.raises(InputError, match="nothing to ask"):
        endure(scripted_stages(), [], 0.1)


def test_nothing_heard_is_a_problem():
    mute = scripted_stages(silence_s=0.2, recognizer=ScriptedRecognition(words=lambda count: ""))
    found = endure(mute, [spoken([1])], 0.05, faults=0.0)
    assert "nothing was answered" in found.problems
    assert any("too few" in problem for problem in found.problems)


def test_growth_of_each_kind_is_said():
    steady = tuple(Held(float(at), 400 << 20, 40, 20, 4, 2) for at in range(20))
    fine = Endurance(
        minutes=5, seed=0, mode="overlapped", stages={}, turns=20, outcomes={"spoken": 20},
        injected={"chat hangs": 1}, failures={"chat": 1}, barge_ins=2, longest_answer_s=3.0,
        longest_stop_ms=5.0, held=steady,
    )  # fmt: skip
    assert fine.problems == []
    assert "5 minutes in real time: 20 turns, 2 barge-ins, 1 fault, 1 failure told" in fine.sentence
    assert "no crash, no growth" in fine.sentence
    for what, of, named in (
        ("resident_bytes", 4 << 20, "memory grew by"),
        ("descriptors", 1, "more descriptors"),
        ("threads", 1, "more threads"),
        ("processes", 1, "more processes"),
        ("tasks", 1, "more tasks"),
    ):
        growing = tuple(
            replace(one, **{what: getattr(one, what) + of * at}) for at, one in enumerate(steady)
        )
        (problem,) = replace(fine, held=growing).problems
        assert named in problem
    assert "81 ms" in replace(fine, longest_stop_ms=81.0).problems[0]


def test_the_command_asks_real_engines(tiny_folder, monkeypatch, capsys):
    """Echo and a tiny voice, whose noise is no speech: what is asked is a buzz."""
    from workbench.conversation import arm

    question = Audio.concatenate([Audio(np.zeros(3200), 16_000), buzz(0.6)])
    monkeypatch.setattr(arm, "said", lambda stage, text: question)
    given = ["--preset", "echo", "--silence", "0.2", "--engine", str(tiny_folder), "--json"]
    code = main(["converse", "--soak", "0.1", "--real", *given])
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert code == (1 if told["problems"] else 0)
    assert told["stages"]["chat"] == "echo"
    assert told["held"][0]["processes"] >= 2, "the recognizer has a process of its own"
    assert main(["converse", "--real", "a.wav", "--json"]) == 2
