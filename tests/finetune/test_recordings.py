import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.finetune.sounds import recordings
from workbench.audio import Audio
from workbench.errors import InputError
from workbench.finetune.recordings import digest, from_hub, read_recordings, write_recordings

TEXTS = st.lists(
    st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Zl", "Zp")), min_size=1)
    .map(str.strip)
    .filter(lambda text: text and "|" not in text),
    min_size=1,
    max_size=4,
)
SOUND = Audio(np.full(100, 0.1, np.float32), 8_000)


@settings(max_examples=20, deadline=None)
@given(TEXTS)
def test_what_is_written_is_read(tmp_path_factory, texts):
    folder = tmp_path_factory.mktemp("recordings")
    written = write_recordings(folder, [(text, SOUND) for text in texts])
    assert [one.text for one in written] == texts
    assert all(one.path.is_file() for one in written)


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("metadata.csv", ["file_name,text", "a.wav,good morning", 'b.wav,"yes, please"']),
        ("metadata.csv", ["a|good morning", "b|Yes|yes, please"]),
        (
            "train.jsonl",
            [
                json.dumps({"audio": "a.wav", "text": "good morning"}),
                json.dumps({"audio": "b.wav", "text": "yes, please"}),
            ],
        ),
        (None, []),
    ],
)
def test_each_layout_is_read(tmp_path, name, lines):
    folder = tmp_path / "wavs" if name == "metadata.csv" and "|" in lines[0] else tmp_path
    for letter, text in (("a", "good morning"), ("b", "yes, please")):
        SOUND.write(folder / f"{letter}.wav")
        if name is None:
            (tmp_path / f"{letter}.txt").write_text(f"{text}\n")
    if name is not None:
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    found = read_recordings(tmp_path)
    assert [one.text for one in found] == ["good morning", "yes, please"]
    assert [one.path.stem for one in found] == ["a", "b"]


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        ([], "is empty"),
        (["file_name,text", "none.wav,hello"], "none.wav"),
        (["file_name,text", "0000.flac, "], "empty text"),
        (["file_name,text", "0000.flac,a", "0000.flac,b"], "twice"),
        (["file_name,words", "0000.flac,a"], "text"),
        (["sound,text", "0000.flac,a"], "file_name"),
        (["0000.flac|a", "0001.flac"], "line 2"),
    ],
)
def test_bad_lists_are_named(tmp_path, lines, named):
    recordings(tmp_path, 1)
    (tmp_path / "metadata.csv").write_text("".join(f"{line}\n" for line in lines))
    with pytest.raises(InputError, match=named):
        read_recordings(tmp_path)


def test_folders_without_recordings_are_named(tmp_path):
    with pytest.raises(InputError, match="no folder"):
        read_recordings(tmp_path / "none")
    SOUND.write(tmp_path / "a.wav")
    with pytest.raises(InputError, match="no recording"):
        read_recordings(tmp_path)
    (tmp_path / "a.jsonl").write_text("{}\n[]\n")
    with pytest.raises(InputError, match="line 1"):
        read_recordings(tmp_path)
    (tmp_path / "b.jsonl").touch()
    with pytest.raises(InputError, match=r"a\.jsonl and b\.jsonl"):
        read_recordings(tmp_path)


def test_the_digest_knows_sounds_and_texts(tmp_path):
    first = recordings(tmp_path / "a", 2)
    assert digest(first) == digest(recordings(tmp_path / "b", 2))
    assert digest(first) != digest(first[:1])
    (tmp_path / "a" / "metadata.csv").write_text("file_name,text\n0000.flac,other\n")
    assert digest(read_recordings(tmp_path / "a")) != digest(first[:1])


def test_the_hub_needs_datasets(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(InputError, match="datasets is not installed"):
        from_hub("someone/something", tmp_path)
