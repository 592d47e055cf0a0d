"""``--set KEY=VALUE``: what is understood, and what is refused."""

import json

import pytest

from workbench.cli import main
from workbench.cli.own_settings import parsed
from workbench.engines.guests.catalogue import guest
from workbench.engines.guests.load import _settings
from workbench.errors import InputError


def test_values_are_json_and_bare_words_texts():
    given = ["nfe_step=7", "speed=1.5", "epss=false", "sway=null", "language=es", "text=a=b"]
    assert parsed(given) == {
        "nfe_step": 7, "speed": 1.5, "epss": False, "sway": None, "language": "es", "text": "a=b"
    }  # fmt: skip
    assert parsed(['architecture="7"', "vocoder="]) == {"architecture": "7", "vocoder": ""}
    assert parsed(None) == {}


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (["nfe_step"], "--set nfe_step\n.*KEY=VALUE"),
        (["=7"], "--set =7"),
        (["nfe_step=7", "nfe_step=8"], "--set nfe_step is given twice"),
        (["device=cuda"], "'device' among.*\n.*option"),
        (["weights=random", "adapter=a"], "'weights', 'adapter'"),
    ],
)
def test_what_is_no_setting_is_refused(given, named):
    with pytest.raises(InputError, match=named):
        parsed(given)


@pytest.mark.parametrize(
    ("engine", "given", "named"),
    [
        ("f5", {"warp": 1}, "f5 has no setting 'warp'\n.*nfe_step"),
        ("chatterbox", {"nfe_step": 7}, "exaggeration"),
        ("piper", {"exaggeration": 1}, "length_scale"),
        ("f5", {"nfe_step": "seven"}, "f5 with nfe_step='seven'\n.*a whole number"),
        ("f5", {"nfe_step": 7.5}, "a whole number"),
        ("f5", {"nfe_step": True}, "a whole number"),
        ("f5", {"epss": 1}, "true or false"),
        ("f5", {"sway": "flat"}, "a number or None"),
        ("f5", {"language": None}, "a text"),
        ("piper", {"length_scale": float("nan")}, "a number or None"),
        ("piper", {"volume": float("inf")}, "a number"),
        ("f5", {"nfe_step": 500}, "use 1 to 128"),
    ],
)
def test_a_guest_names_what_it_knows_and_of_what_type(engine, given, named):
    with pytest.raises(InputError, match=named):
        _settings(guest(engine), given)


def test_what_fits_is_taken():
    made = _settings(guest("f5"), {"nfe_step": 7, "speed": 2, "sway": None, "language": "es"})
    assert (made["nfe_step"], made["speed"], made["sway"], made["language"]) == (7, 2, None, "es")
    assert made["epss"] is True


@pytest.mark.parametrize("command", ["speak", "reel"])
def test_commands_name_unknown_settings(command, tmp_path, capsys):
    script = tmp_path / "script.yaml"
    script.write_text("{speakers: {anna: {}}, segments: [{speaker: anna, text: hi}]}")
    given = ["speak", "hi"] if command == "speak" else ["reel", str(script)]
    out = str(tmp_path / ("a.wav" if command == "speak" else "out"))
    common = ["--out", out, "--device", "cpu", "--json", "--set"]
    assert main([*given, "--engine", "f5", *common, "warp=1"]) == 2
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert "'warp'" in told["error"]
    assert "nfe_step" in told["remedy"]
    assert main([*given, "--engine", "csm-nano", *common, "nfe_step=7"]) == 2
    assert "'nfe_step'" in json.loads(capsys.readouterr().out.splitlines()[-1])["error"]


def test_a_mode_has_settings_of_its_own(tmp_path, capsys):
    arguments = ["speak", "hi", "--mode", "fast", "--out", str(tmp_path / "a.wav"), "--json"]
    assert main([*arguments, "--set", "volume=2"]) == 2
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert "--mode beside --set" in told["error"]
