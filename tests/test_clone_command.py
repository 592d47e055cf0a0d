"""``workbench clone`` as a user meets it."""

import json

import pytest

from tests import tiny_speaker
from tests.studies.cloning.test_reference_faults import EXPECTED as VERDICTS
from workbench.audio import Audio
from workbench.cli import main
from workbench.cloning.mark import read_mark
from workbench.cloning.voices import sample_voices
from workbench.files import sha256_of
from workbench.quality.naturalness import Opinion
from workbench.studies.cloning.reference_faults import faulty_recordings, good_recording


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """A sentence of a sample voice."""
    folder = tmp_path_factory.mktemp("recordings")
    clips = sample_voices()[0].clips[:1]
    path = Audio.concatenate([clip.audio for clip in clips]).write(folder / "me.wav")
    return path, ", ".join(clip.text for clip in clips)


@pytest.fixture
def arguments(tiny_folder, recording, tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    path, text = recording
    said = ["--reference", str(path), "--reference-text", text, "--trust-transcript"]
    how = ["--engine", str(tiny_folder), "--max-frames", "12", "--out", str(tmp_path / "a.wav")]
    return ["clone", *said, *how, "--text", "good morning", "--json"]


def last_json(capsys):
    return json.loads(capsys.readouterr().out.strip().splitlines()[-1])


def test_a_clone_names_its_voice_and_is_marked(arguments, recording, tmp_path, capsys):
    assert main([*arguments, "--consent", "my own voice", "--trials", "0"]) == 0
    shown = capsys.readouterr()
    said = json.loads(shown.out.strip().splitlines()[-1])
    digest = sha256_of(recording[0])
    assert "cloning the voice of me.wav" in shown.err
    assert digest[:12] in shown.err
    assert said["references"][0]["sha256"] == digest
    assert said["references"][0]["consent"] == "my own voice"
    assert said["similarity"] is None
    mark = read_mark(tmp_path / "a.wav")
    assert mark["synthetic"] is True
    assert mark["references"] == [{"sha256": digest, "consent": "my own voice"}]
    assert json.loads((tmp_path / "a.clone.json").read_text()) == said
    assert len(list((tmp_path / "cache" / "references").glob("*.npz"))) == 1


def test_without_a_note_of_consent_it_asks_for_one(arguments, capsys):
    assert main([*arguments, "--trials", "0"]) == 0
    shown = capsys.readouterr()
    assert "note it with --consent" in shown.err
    assert (
        json.loads(shown.out.strip().splitlines()[-1])["references"][0]["consent"] == "not stated"
    )


def test_similarity_has_its_interval(arguments, tmp_path, capsys):
    encoder = tiny_speaker.folder(tmp_path / "encoder")
    assert main([*arguments, "--trials", "2", "--speaker-encoder", str(encoder)]) == 0
    found = last_json(capsys)["similarity"]
    assert found["encoder"] == "encoder"
    own = found["to_reference"]
    assert -1 <= own["low"] <= own["value"] <= own["high"] <= 1
    assert own["n"] == found["nearest_is_reference"]["n"] == 2
    assert "reference" in found["mean_by_voice"]


def test_unusable_references_end_it_before_any_model_is_loaded(tmp_path, capsys):
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"nothing")
    common = ["clone", "--text", "hi", "--engine", "none", "--json"]
    assert main([*common, "--reference", str(broken)]) == 2
    assert "broken.wav" in last_json(capsys)["error"]
    two = ["--reference", str(broken), "--reference", str(broken), "--reference-text", "a"]
    assert main([*common, *two]) == 2
    assert "one text for each" in last_json(capsys)["remedy"]


@pytest.mark.slow
def test_every_bad_reference_gets_its_verdict(tiny_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "a.wav"
    how = ["--engine", str(tiny_folder), "--max-frames", "4", "--trials", "0", "--out", str(out)]
    seen = {}
    for one in faulty_recordings(tmp_path, good_recording(), long_s=600):
        said = ["--reference", str(one.path), "--reference-text", one.text]
        code = main(["clone", *said, *how, "--text", "good morning", "--json"])
        found = last_json(capsys)
        if code:
            assert one.path.name in found["error"]
            assert found["remedy"]
        seen[one.fault] = "refused" if code else found["references"][0]["verdict"]
    assert seen == VERDICTS


class Rater:
    """Rates every sound by its length."""

    def rate(self, audio):
        return Opinion(audio.duration_s, 2.0, 3.0)


def test_naturalness_is_rated_where_asked_for(arguments, monkeypatch, capsys):
    monkeypatch.setattr("workbench.cli.clone.load_naturalness", Rater)
    assert main([*arguments, "--trials", "0", "--naturalness"]) == 0
    found = last_json(capsys)
    assert found["naturalness"]["clone"]["signal"] == pytest.approx(found["audio_s"])
    used_s = found["references"][0]["used_s"]
    assert found["naturalness"]["reference"]["signal"] == pytest.approx(used_s, abs=0.01)
    assert main([*arguments, "--trials", "0"]) == 0
    assert last_json(capsys)["naturalness"] is None
