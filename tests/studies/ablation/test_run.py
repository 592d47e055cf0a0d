"""A whole ablation on a tiny engine: measured, heard, written, read back and gone on with."""

import json

import pytest

from workbench.cli import main
from workbench.errors import InputError, RecordError
from workbench.studies.ablation import run as ablation
from workbench.studies.ablation.result import FILE
from workbench.studies.ablation.run import read_ablation, run_ablation
from workbench.studies.ablation.settings import AblationSettings

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def settings(tiny_folder):
    return AblationSettings(
        engine=str(tiny_folder),
        optimizations=("inference_mode", "tf32"),
        texts=("hello",),
        max_frames=4,
        trials=4,
        starts=2,
        sentences=1,
        device="cpu",
    )


@pytest.fixture(scope="module")
def folder(settings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ablation")
    run_ablation(settings, folder)
    return folder


def test_it_is_read_back_as_it_was(folder):
    found = read_ablation(folder)
    rows = {row.name: row for row in found.rows}
    assert rows["inference_mode"].verdict is not None
    assert rows["inference_mode"].kept is True  # exact: codes and samples bit for bit
    assert "equal in 2 of 2" in rows["inference_mode"].sound_words
    assert "CUDA" in rows["tf32"].reason
    assert list(found.clips_of("inference_mode")) == [
        "without inference_mode",
        "with inference_mode",
    ]
    assert found.answered
    assert list(found.samples())


def test_a_second_run_measures_nothing_again(folder, settings, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("measured again")

    monkeypatch.setattr(ablation, "run_study", refuse)
    monkeypatch.setattr(ablation, "listen", refuse)
    assert run_ablation(settings, folder).row("inference_mode").ratio is not None


def test_another_ablation_does_not_mix_in(folder, settings):
    with pytest.raises(InputError, match="other settings"):
        run_ablation(settings.model_copy(update={"trials": 6}), folder)


def test_the_command_line_tells_each_switch(folder, settings, capsys):
    arguments = ["--engine", settings.engine, "--optimizations", "inference_mode,tf32"]
    arguments += ["--text", "hello", "--max-frames", "4", "--trials", "4", "--starts", "2"]
    arguments += ["--sentences", "1", "--device", "cpu", "--out", str(folder), "--json"]
    assert main(["ablate", *arguments]) == 0
    told = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    by_name = {arm["name"]: arm for arm in told["arms"]}
    assert by_name["inference_mode"]["verdict"]
    assert len(by_name["inference_mode"]["interval"]) == 2
    assert "CUDA" in by_name["tf32"]["reason"]


def test_a_torn_file_is_named(folder, settings, tmp_path):
    with pytest.raises(RecordError, match="no ablation"):
        read_ablation(tmp_path)
    (tmp_path / FILE).write_text((folder / FILE).read_text()[:-40])
    with pytest.raises(RecordError, match="torn"):
        read_ablation(tmp_path)
