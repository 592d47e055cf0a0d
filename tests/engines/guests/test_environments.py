"""Environments of guests: whole or not at all, and what is said where one is broken."""

import json
import re
import shutil

import pytest
import six

from tests.engines.guests.conftest import local_guest
from tests.engines.guests.wheels import wheel
from workbench.cli import main
from workbench.engines.guests import GUESTS, environments, install, installed, status
from workbench.errors import InputError, ModelError, OutputError
from workbench.worker import Worker


@pytest.fixture
def copy(made_once, tmp_path, monkeypatch):
    """A copy of the speaker's environment that a test may spoil; returns its folder."""
    guest, cache = made_once
    home = shutil.copytree(
        cache / "engines" / "speaker", tmp_path / "engines/speaker", symlinks=True
    )
    told = json.loads((home / "environment.json").read_text())
    (folder,) = home.glob("env-*")
    told["python"] = str(folder / "bin" / "python")
    (home / "environment.json").write_text(json.dumps(told))
    monkeypatch.setitem(GUESTS, "speaker", guest)
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path))
    return home


def test_every_guest_has_a_requirement_set_of_exact_versions():
    for guest in GUESTS.values():
        lines = guest.requirements.read_text(encoding="utf-8").splitlines()
        wanted = [line for line in lines if line and not line.startswith("#")]
        assert wanted
        assert all("==" in line for line in wanted), guest.name
        assert f"{guest.distribution}==" in "\n".join(wanted)


def test_what_is_not_installed_is_said_with_the_command(monkeypatch, tmp_path):
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path))
    assert not installed("piper")
    found = status("piper")
    assert (found.state, found.remedy) == ("missing", "workbench engines install piper")
    assert environments.doctor("piper") == found
    with pytest.raises(ModelError, match="workbench engines install piper"):
        environments.required("piper")
    with pytest.raises(InputError, match="no guest engine called 'parrot'"):
        status("parrot")


def test_an_environment_has_its_own_packages_first_and_shares_the_rest(speaker):
    found = environments.doctor("speaker")
    assert found.ready
    assert found.versions["guestvoice"] == "1.2"
    assert found.versions["numpy"] == __import__("numpy").__version__
    with Worker("importlib:import_module", "six", python=found.python) as worker:
        own = worker.call("__getattribute__", "__version__")
    assert own == "0.1"
    assert six.__version__ != own


def test_installing_twice_does_nothing_and_again_makes_it_anew(copy):
    (before,) = copy.glob("env-*")
    said = []
    assert install("speaker", tell=said.append).ready
    assert not said
    (copy / "env-left").mkdir()  # what an interrupted installation leaves
    assert install("speaker", again=True, tell=said.append).ready
    assert said
    (after,) = copy.glob("env-*")
    assert after != before


def test_a_failed_installation_leaves_the_one_before_in_use(copy, monkeypatch):
    missing = local_guest(copy.parent / "new")
    monkeypatch.setitem(GUESTS, "speaker", missing)
    (copy.parent / "new" / "speaker.txt").write_text(f"{copy}/no-such-1.0-py3-none-any.whl\n")
    held = (copy / "environment.json").read_text()
    with pytest.raises(ModelError, match=r"could not be installed: pip failed: .*no-such"):
        install("speaker", again=True, tell=lambda words: None)
    assert (copy / "environment.json").read_text() == held
    assert len(list(copy.glob("env-*"))) == 1


def test_an_engine_that_does_not_import_is_not_installed(copy, monkeypatch):
    broken = local_guest(copy.parent / "new", modules=("guestvoice.missing",))
    monkeypatch.setitem(GUESTS, "speaker", broken)
    with pytest.raises(ModelError, match=r"guestvoice.missing can't be imported"):
        install("speaker", again=True, tell=lambda words: None)
    assert len(list(copy.glob("env-*"))) == 1


@pytest.mark.parametrize(
    ("spoil", "state", "words"),
    [
        ("interpreter", "broken", "its interpreter .* is gone"),
        ("pointer", "broken", "can't be read"),
        ("host", "broken", "no longer in /no/such/place"),
        ("set", "outdated", "another requirement set"),
        ("module", "broken", "guestvoice can't be imported"),
    ],
)
def test_what_is_broken_is_said_with_what_mends_it(
    copy, monkeypatch, tmp_path, spoil, state, words
):
    pointer = copy / "environment.json"
    (folder,) = copy.glob("env-*")
    if spoil == "interpreter":
        (folder / "bin" / "python").unlink()
    elif spoil == "pointer":
        pointer.write_text(pointer.read_text()[:20])
    elif spoil == "host":
        told = json.loads(pointer.read_text())
        pointer.write_text(json.dumps({**told, "host_paths": ["/no/such/place"]}))
    elif spoil == "set":
        other = local_guest(tmp_path / "other")
        (tmp_path / "other" / "speaker.txt").write_text("guestvoice==2.0\n")
        monkeypatch.setitem(GUESTS, "speaker", other)
    else:
        shutil.rmtree(next(folder.glob("lib/*/site-packages/guestvoice")))
    found = environments.doctor("speaker")
    assert found.state == state
    assert found.remedy == "workbench engines install speaker --again"
    assert re.search(words, found.detail)


def test_a_compiled_library_that_does_not_load_is_left_out(tmp_path, monkeypatch):
    """As torchaudio's beside PyTorch for the CPU."""
    source = (
        "from pathlib import Path\n"
        "if list(Path(__file__).with_name('lib').glob('*.so')):\n"
        "    raise OSError('libc10_cuda.so: cannot open shared object file')\n"
    )
    files = {"halfaudio/__init__.py": source, "halfaudio/lib/half.so": "not a library"}
    half = wheel(tmp_path, "halfaudio", "1.0", files)
    guest = local_guest(tmp_path, modules=("halfaudio",), python_only=("halfaudio",))
    guest.requirements.write_text(f"{guest.requirements.read_text()}{half}\n")
    monkeypatch.setitem(GUESTS, "speaker", guest)
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    said = []
    assert install("speaker", tell=said.append).ready
    assert "halfaudio: its compiled library doesn't load" in said[-2]


def test_two_installations_at_a_time(copy):
    busy = pytest.raises(OutputError, match="being installed by another process")
    with environments._alone(copy, "speaker"), busy:
        install("speaker", again=True)


def test_a_cache_that_can_not_be_written(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "file"))
    with pytest.raises(OutputError, match="WORKBENCH_CACHE"):
        install("piper")


def test_the_command_lists_installs_and_examines(copy, capsys):
    def said(*arguments):
        code = main(["engines", *arguments, "--json"])
        return code, json.loads(capsys.readouterr().out.strip().splitlines()[-1])

    code, listed = said("list")
    assert code == 0
    states = {row["name"]: row["state"] for row in listed["engines"]}
    assert states["speaker"] == "ready"
    assert states["piper"] == "missing"
    code, _ = said("doctor")  # what isn't installed is no fault
    assert code == 0
    code, named = said("doctor", "piper")  # but where it was asked for
    assert code == 1
    assert named["engines"][0]["remedy"] == "workbench engines install piper"
    code, installed_again = said("install", "speaker")
    assert code == 0
    assert installed_again["engines"][0]["versions"]["guestvoice"] == "1.2"
    shutil.rmtree(next(copy.glob("env-*/lib/*/site-packages/guestvoice")))
    code, broken = said("doctor")
    assert code == 1
    row = next(row for row in broken["engines"] if row["name"] == "speaker")
    assert row["state"] == "broken"


@pytest.mark.parametrize(
    "arguments", [["install"], ["install", "parrot"], ["list", "--again"], ["doctor", "parrot"]]
)
def test_commands_that_make_no_sense(arguments):
    assert main(["engines", *arguments]) == 2


def test_the_list_says_what_to_do(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path))
    assert main(["engines"]) == 0
    shown = capsys.readouterr().out
    assert "- piper" in shown
    assert "→ workbench engines install piper" in shown
    assert "licence: MIT" in shown
