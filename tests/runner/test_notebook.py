import pytest

from tests.runner.notebooks import write
from workbench.errors import InputError, OutputError
from workbench.runner import find, notebook, run


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    for name, tour in (("30_later", False), ("10_first", True), ("10a_second", True)):
        write(tmp_path, name, "1", tour=tour, smoke={"repeats": 1}, timeout_s=60)
    monkeypatch.setattr(notebook, "notebooks_dir", lambda: tmp_path)
    return tmp_path


def names(found):
    return [one.name for one in found]


def test_notebooks_are_found_by_name_number_and_path(shipped):
    assert names(find()) == ["10_first", "10a_second"]
    assert names(find(all=True)) == ["10_first", "10a_second", "30_later"]
    assert names(find(["30", "10_first", "10_first.ipynb"])) == ["30_later", "10_first"]
    assert names(find([str(shipped / "30_later.ipynb")])) == ["30_later"]
    first = find(["10"])[0]
    assert (first.title, first.cells, first.smoke) == ("The 10_first notebook", 2, {"repeats": 1})
    assert first.timeout_s == 60


def test_what_can_not_be_found_or_read_is_refused(shipped):
    with pytest.raises(InputError, match=r"no notebook '99'\n.*10_first, 10a_second, 30_later"):
        find(["99"])
    (shipped / "broken.ipynb").write_text("{")
    with pytest.raises(InputError, match="can't be read as a notebook"):
        find([str(shipped / "broken.ipynb")])
    other = shipped / "other"
    other.mkdir()
    with pytest.raises(InputError, match="two notebooks are called 10_first"):
        find(["10_first", write(other, "10_first", "1")])
    with pytest.raises(InputError, match="smoke parameters name speed"):
        find([write(other, "20_bad", "1", smoke={"speed": 1})])


def test_a_source_hash_tells_cells_apart_not_metadata(tmp_path):
    one = find([write(tmp_path, "a", "1", tour=True)])[0].sha256
    assert find([write(tmp_path, "a", "1")])[0].sha256 == one
    assert find([write(tmp_path, "a", "2")])[0].sha256 != one


def test_an_unwritable_folder_is_refused_before_anything_runs(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="can't write to"):
        run([write(tmp_path, "a", "1")], out=tmp_path / "file" / "out")


def test_resume_without_a_batch(tmp_path, monkeypatch):
    from workbench.measure import record

    monkeypatch.setattr(record, "outputs_dir", lambda: tmp_path)
    with pytest.raises(InputError, match="no batch to resume"):
        run([write(tmp_path, "a", "1")], resume=True)
