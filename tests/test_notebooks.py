"""The shipped notebooks: their shape, and that each runs with its smoke parameters."""

import ast
from pathlib import Path

import nbformat
import pytest

from workbench.measure import record as records
from workbench.paths import notebooks_dir
from workbench.runner.batch import run
from workbench.runner.notebook import find

NOTEBOOKS = sorted(notebooks_dir().glob("*.ipynb"))
MAX_STATEMENTS = 8


def cells(path: Path, kind: str) -> list[nbformat.NotebookNode]:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == kind]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_shape(path):
    """Title and promise, parameters, short cells without logic, a verdict; nothing kept."""
    all_cells = nbformat.read(path, as_version=4).cells
    title, parameters = all_cells[:2]
    assert title.cell_type == "markdown"
    assert title.source.startswith("# ")
    assert len(title.source.splitlines()) > 2, "a promise stands below the title"
    assert parameters.metadata.tags == ["parameters"]
    for cell in cells(path, "code"):
        assert cell.outputs == []
        assert cell.execution_count is None
        tree = ast.parse(cell.source)
        if cell is not parameters and "parameters" not in cell.metadata.get("tags", []):
            statements = [s for s in tree.body if not isinstance(s, ast.Import | ast.ImportFrom)]
            assert len(statements) <= MAX_STATEMENTS, cell.source
        logic = ast.FunctionDef | ast.ClassDef | ast.While | ast.Try | ast.If
        assert not [node for node in ast.walk(tree) if isinstance(node, logic)], cell.source
    assert "report.conclude(" in cells(path, "code")[-1].source


def test_the_tour_is_part_of_what_is_shipped():
    assert NOTEBOOKS
    assert {one.name for one in find()} <= {one.name for one in find(all=True)}
    assert {"00_hardware_validation", "10_baseline", "30_streaming_tts"} <= {
        one.name for one in find()
    }


def test_a_batch_of_all_is_all_of_them_in_order():
    assert [one.name for one in find(all=True)] == [path.stem for path in NOTEBOOKS]


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_with_its_smoke_parameters(path, tmp_path):
    result = run([path.stem], out=tmp_path, smoke=True)
    (one,) = result.notebooks
    assert one.status == "ok", one.error
    record = records.read(one.record_path)
    assert record.verdict
    assert record.metrics
    assert record.deliverables
    page = one.page_path.read_text(encoding="utf-8")
    assert record.verdict.split(".")[0].split("(")[0][:20] in page
    assert "<img" in page
    assert result.index_path.is_file()
