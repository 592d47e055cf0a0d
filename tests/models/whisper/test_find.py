"""Whisper checkpoints by name: which repository, which layout, which files are missing."""

import pytest

from workbench.errors import InputError, ModelError
from workbench.files import sha256_of, write_text
from workbench.models.hub import HubSnapshot
from workbench.models.whisper import find
from workbench.models.whisper.find import SIZES, find_whisper


@pytest.mark.parametrize(
    ("name", "layout", "repository"),
    [
        ("tiny", "ctranslate2", "Systran/faster-whisper-tiny"),
        ("base.en", "ctranslate2", "Systran/faster-whisper-base.en"),
        ("large-v3", "transformers", "openai/whisper-large-v3"),
        ("large-v1", "transformers", "openai/whisper-large"),
        ("large-v3-turbo", "ctranslate2", "mobiuslabsgmbh/faster-whisper-large-v3-turbo"),
        ("large-v3-turbo", "transformers", "openai/whisper-large-v3-turbo"),
        ("maker/own", "ctranslate2", "maker/own"),
    ],
)
def test_names_of_the_hub(name, layout, repository, monkeypatch, tmp_path):
    weights = {"ctranslate2": "model.bin", "transformers": "model.safetensors"}[layout]
    (tmp_path / weights).write_bytes(b"")
    asked = []

    def snapshot(repo_id, revision, *, wanted):
        asked.append((repo_id, revision, weights.split(".")[0] in " ".join(wanted)))
        return HubSnapshot(tmp_path, repo_id, "abc")

    monkeypatch.setattr(find, "snapshot", snapshot)
    found = find_whisper(name, layout, "v1")
    assert asked == [(repository, "v1", True)]
    assert (found.name, found.folder, found.revision) == (name, tmp_path, "abc")


def test_every_size_is_known_to_faster_whisper():
    from faster_whisper import available_models

    assert set(SIZES) <= set(available_models())


def test_a_repository_of_the_other_layout(monkeypatch, tmp_path):
    monkeypatch.setattr(find, "snapshot", lambda *_, **__: HubSnapshot(tmp_path, "a/b", "abc"))
    with pytest.raises(ModelError, match=r"model\.bin"):
        find_whisper("openai/whisper-tiny", "ctranslate2")


def test_checksums_are_verified(tmp_path):
    weights = tmp_path / "model.bin"
    weights.write_bytes(b"weights")
    write_text(tmp_path / "SHA256SUMS", f"{sha256_of(weights)}  model.bin\n")
    assert find_whisper(str(tmp_path), "ctranslate2").revision == sha256_of(weights)[:12]
    weights.write_bytes(b"others")
    with pytest.raises(ModelError, match="damaged"):
        find_whisper(str(tmp_path), "ctranslate2")


def test_unknown_names():
    with pytest.raises(InputError, match="huge"):
        find_whisper("huge", "ctranslate2")
    with pytest.raises(InputError, match="huge"):
        find_whisper("huge", "transformers", random=True)
