"""Whole batches, through papermill and a kernel."""

import base64
import io
import os
import re
import signal
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import nbformat
import psutil
import pytest
from PIL import Image

from tests.runner.notebooks import concluding, read_record, record, write
from workbench.errors import InputError
from workbench.measure import record as records
from workbench.runner import page, run

pytestmark = pytest.mark.slow


def red_dot():
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), "red").save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


SHOWING = f"""
import os, sys
from IPython.display import HTML, display
display({{"image/png": "{red_dot()}", "text/plain": "a dot"}},
        metadata={{"image/png": {{"alt": "One red dot"}}}}, raw=True)
display(HTML('<audio controls src="data:audio/mpeg;base64,AAAA"></audio>'))
display(HTML('<script src="https://cdn.example.org/a.js"></script><img src=//example.org/b.png>'))
print(os.environ["DEMO_API_KEY"], os.environ["WORKBENCH_RECORD"], os.path.expanduser("~/x"))
print(sys.executable == {sys.executable!r}, engine, repeats)
files = {"{"}**os.environ{"}"}["WORKBENCH_RECORD"].replace(".record.json", "_files")
os.makedirs(files)
_ = open(files + "/rows.csv", "w").write("key," + os.environ["DEMO_API_KEY"])
"""
ARTIFACT = {"kind": "table", "name": "rows", "path": "10_ok_files/rows.csv", "alt": "A row"}


@pytest.fixture(scope="module")
def batch(tmp_path_factory):
    """Every kind of end in one batch, as (result, folder of notebooks, output on stderr)."""
    folder = tmp_path_factory.mktemp("notebooks")
    made = [
        write(folder, "10_ok", SHOWING, concluding(artifacts=[ARTIFACT]), smoke={"repeats": 1}),
        write(folder, "20_fails", "print('so far')", "raise ValueError('no voice <7>')", "1"),
        write(folder, "30_silent", "# Nothing is concluded"),
        write(folder, "40_invalid", concluding(duration_s="long")),
        write(folder, "50_killed", "import os", "os._exit(9)"),
        write(folder, "60_endless", "import time", "time.sleep(100)", timeout_s=3),
        write(folder, "70_short", concluding(status="failed", deliverables=[
            {"name": "a clip", "ok": False}])),
        write(folder, "80_no_file", concluding(artifacts=[ARTIFACT])),
    ]  # fmt: skip
    patch = pytest.MonkeyPatch()
    patch.setenv("DEMO_API_KEY", "a-secret-of-this-machine")
    patch.setenv("JUPYTER_PATH", "/nowhere")
    patch.setattr("sys.stderr", io.StringIO())  # no terminal
    lines = []
    patch.setattr("workbench.runner.progress.Progress.say", lambda self, text: lines.append(text))
    try:
        result = run(made, {"engine": "csm-1b"}, out=folder / "out", smoke=True)
        assert os.environ["JUPYTER_PATH"] == "/nowhere"
    finally:
        patch.undo()
    return result, folder, lines


def by_name(result, name):
    return next(one for one in result.notebooks if one.name == name)


def test_one_failure_does_not_stop_the_others(batch):
    result, _, _ = batch
    assert result.exit_code == 1
    assert {one.name: one.error.split(":")[0] for one in result.notebooks} == {
        "10_ok": "",
        "20_fails": "ValueError",
        "30_silent": "RecordError",
        "40_invalid": "RecordError",
        "50_killed": "DeadKernel",
        "60_endless": "Timeout",
        "70_short": "MissingDeliverable",
        "80_no_file": "MissingDeliverable",
    }
    assert [one.status for one in result.notebooks] == ["ok"] + ["failed"] * 7
    assert "duration_s must be a finite number" in by_name(result, "40_invalid").error
    assert "limit of 3 s" in by_name(result, "60_endless").error
    assert "a clip" in by_name(result, "70_short").error
    assert "10_ok_files/rows.csv" in by_name(result, "80_no_file").error


def test_records_are_valid_and_complete(batch):
    result, _, _ = batch
    for one in result.notebooks:
        record = records.read(one.record_path)
        assert record.name == one.name
        assert record.source == f"{one.name}.ipynb"
        assert record.duration_s > 0
        assert record.parameters["engine"] == "csm-1b"
    ok = records.read(by_name(result, "10_ok").record_path)
    assert ok.parameters == {"engine": "csm-1b", "repeats": 1, "scale": None}
    failed = records.read(by_name(result, "20_fails").record_path)
    assert failed.error.message == "no voice <7>"
    assert "\x1b" not in failed.error.traceback
    assert failed.environment_before["cpu"]


def test_only_whole_files_remain(batch):
    result, folder, _ = batch
    names = {path.name for path in (folder / "out").iterdir()}
    assert names == {"index.html", "10_ok_files"} | {
        one.name + suffix
        for one in result.notebooks
        for suffix in (".html", ".ipynb", ".record.json")
    }


def test_secrets_and_folders_stay_on_the_machine(batch):
    _, folder, lines = batch
    for path in (folder / "out").rglob("*.*"):
        text = path.read_text()
        assert "a-secret-of-this-machine" not in text, path
        for private in (str(folder), str(Path.home()) + "/", str(Path(__file__).parents[2])):
            assert private not in text, path
    printed = nbformat.read(folder / "out" / "10_ok.ipynb", 4).cells[-2].outputs[3].text
    assert printed.splitlines() == [
        "[secret DEMO_API_KEY] [outputs]/10_ok.record.json ~/x",
        "True csm-1b 1",
    ]
    assert any("took out of 10_ok's outputs: secret DEMO_API_KEY" in line for line in lines)


class Page(HTMLParser):
    def __init__(self, path):
        super().__init__()
        self.tags = []
        self.feed(path.read_text())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def of(self, *names):
        return [attributes for tag, attributes in self.tags if tag in names]


def test_pages_need_no_network(batch):
    _, folder, _ = batch
    for path in (folder / "out").glob("*.html"):
        page = Page(path)
        assert page.of("script", "link", "iframe") == []
        for attributes in page.of("img", "audio", "source"):
            assert attributes["src"].startswith("data:")
            assert "alt" in attributes or "controls" in attributes
        assert not re.search(r"url\(|@import", path.read_text())
        policy = next(meta for meta in page.of("meta") if "http-equiv" in meta)
        assert policy["content"].startswith("default-src 'none'")
        for attributes in page.of("a"):
            target = unquote(attributes["href"])
            assert target.startswith("#") or (path.parent / target).is_file(), target


def test_page_shows_the_outcome(batch):
    _, folder, _ = batch
    text = (folder / "out" / "10_ok.html").read_text()
    assert "It is &lt;tiny&gt; &amp; quick." in text
    assert 'alt="One red dot"' in text
    assert "left out: it would be loaded from the network" in text
    assert "<h1>A tiny notebook</h1>" in text
    assert text.count("<h1") == 1
    failed = (folder / "out" / "20_fails.html").read_text()
    assert "no voice &lt;7&gt;" in failed
    assert "so far" in failed


def test_gallery_has_a_card_each(batch):
    _, folder, _ = batch
    text = (folder / "out" / "index.html").read_text()
    assert text.count('<li class="card ') == 8
    assert text.count('<li class="card failed"') == 7
    assert 'alt="One red dot"' in text
    assert "8 notebooks, 7 failed" in text
    assert "no voice &lt;7&gt;" in text
    assert "workbench run 10_ok.ipynb" in text
    assert "-p engine csm-1b --smoke" in text


def test_progress_reads_well_in_a_log(batch):
    _, _, lines = batch
    assert "[1/8] 10_ok: The 10_ok notebook" in lines
    assert any(re.match(r"    cell  4 of 4 +\d+\.\d s  import json, os", line) for line in lines)
    assert any(line.startswith("✗ 20_fails: failed in ") for line in lines)


def test_resume_runs_only_what_does_not_hold(batch, monkeypatch):
    result, folder, _ = batch
    lines = []
    monkeypatch.setattr(
        "workbench.runner.progress.Progress.say", lambda self, text: lines.append(text)
    )
    ok, fails = str(folder / "10_ok.ipynb"), write(folder, "20_fails", concluding())
    before = read_record(folder / "out" / "10_ok.record.json")
    again = run([ok, fails], {"engine": "csm-1b"}, out=folder / "out", smoke=True, resume=True)
    assert [one.skipped for one in again.notebooks] == [True, False]
    assert again.exit_code == 0
    assert read_record(folder / "out" / "10_ok.record.json") == before
    assert lines[0].startswith("[1/2] 10_ok: skipped, its record of ")
    assert lines[1] == "20_fails runs, because it failed: ValueError"
    assert result.exit_code == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda out, notebook: None, "parameter repeats differs"),
        (lambda out, notebook: (out / "a.html").unlink(), "a.html is missing"),
        (lambda out, notebook: write(notebook.parent, "a", "2"), "the notebook has changed"),
        (lambda out, notebook: (out / "a.record.json").write_text("{"), "is not JSON"),
    ],
)
def test_reasons_to_run_again(tmp_path, monkeypatch, change, reason):
    from workbench.runner import batch as module
    from workbench.runner.notebook import Notebook

    out = tmp_path / "out"
    out.mkdir()
    path = Path(write(tmp_path, "a", "1"))
    notebook = Notebook.read(path)
    parameters = {name: one.default for name, one in notebook.parameters.items()}
    made = records.Record(
        "notebook", "a", "A", "ok", "Good.", records.utc_now(), 1.0, parameters,
        source="a.ipynb", source_sha256=notebook.sha256,
    )  # fmt: skip
    records.write(out / "a.record.json", made)
    (out / "a.html").write_text("")
    lines = []
    monkeypatch.setattr(
        "workbench.runner.progress.Progress.say", lambda self, text: lines.append(text)
    )
    batch = module._Batch(out, module.Progress(1), None)
    assert batch.still_valid(notebook, {}).skipped
    change(out, path)
    given = {"repeats": 5} if reason.startswith("parameter") else {}
    assert batch.still_valid(Notebook.read(path), given) is None
    assert reason in lines[-1]


def test_interrupted_batch_keeps_what_is_finished(tmp_path):
    write(tmp_path, "10_ok", concluding())
    write(tmp_path, "20_endless", "import time  # endless", "time.sleep(100)")
    write(tmp_path, "30_never", "1")
    code = f"""
import signal, sys
from pathlib import Path
from workbench.runner import page, run
signal.signal(signal.SIGINT, signal.default_int_handler)
folder = Path({str(tmp_path)!r})
sys.exit(run([str(path) for path in sorted(folder.glob("*.ipynb"))], out=folder / "out").exit_code)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code], stderr=subprocess.PIPE, text=True,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    said = []
    for line in process.stderr:
        said.append(line)
        if "time.sleep" in line:
            kernels = psutil.Process(process.pid).children(recursive=True)
            process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130, "".join(said)
    assert said[-1] == "Interrupted: the kernel is stopped, what was finished stays.\n"
    assert kernels
    assert not any(kernel.is_running() for kernel in kernels)
    out = tmp_path / "out"
    assert {path.name for path in out.iterdir()} == {
        "index.html", "10_ok.html", "10_ok.ipynb", "10_ok.record.json",
    }  # fmt: skip
    assert "Not run: 20_endless, 30_never." in (out / "index.html").read_text()


def test_a_sweep_makes_a_page_for_each_value(tmp_path):
    swept = write(tmp_path, "20_swept", concluding())
    result = run([swept], out=tmp_path / "out", sweep=("repeats", ["1", "2"]))
    assert [one.name for one in result.notebooks] == ["20_swept-1", "20_swept-2"]
    assert result.exit_code == 0
    for one, value in zip(result.notebooks, (1, 2), strict=True):
        record = records.read(one.record_path)
        assert record.parameters["repeats"] == value
        assert record.title == f"The 20_swept notebook: {value}"
        assert one.page_path.is_file()
    again = run([swept], out=tmp_path / "out", resume=True, sweep=("repeats", ["1", "2", "3"]))
    assert [one.skipped for one in again.notebooks] == [True, True, False]


@pytest.mark.parametrize(
    ("sweep", "named"),
    [(("none", ["1"]), "none"), (("repeats", []), "repeats"), (("repeats", ["x"]), "repeats"),
     (("repeats", ["1", "1"]), "repeats")],
)  # fmt: skip
def test_a_wrong_sweep_is_refused_before_anything_runs(tmp_path, sweep, named):
    swept = write(tmp_path, "20_swept", concluding())
    with pytest.raises(InputError, match=named):
        run([swept], out=tmp_path / "out", sweep=sweep)
    assert not (tmp_path / "out").exists()


def test_a_line_that_was_written_over_is_not_shown():
    made = nbformat.v4
    streams = ["working 1\rworking 2\r         \r", "half\rwhole\nnext"]
    outputs = [made.new_output("stream", name="stderr", text=text) for text in streams]
    node = made.new_notebook(cells=[made.new_code_cell("1", outputs=outputs)])
    shown = page.render(node, records.checked(record(), "x"))
    assert "whole\nnext" in shown
    assert "half" not in shown
    assert "working" not in shown
    assert len(node.cells[0].outputs) == 1
