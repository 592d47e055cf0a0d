import base64
from pathlib import Path

import nbformat.v4 as made

from workbench.runner.scrub import Scrubber

SECRETS = {
    "HF_TOKEN": "hf_abcdefghijk",
    "API_KEY": "hf_abcdefghijk-longer",
    "DB_PASSWORD": "short",
    "TOKENIZERS_PARALLELISM": "disabled",
    "KEY_FILE": "/etc/ssl/some.pem",
    "HOSTNAME": "not-a-secret",
}


def test_secrets_by_the_variables_name():
    scrubber = Scrubber({}, SECRETS)
    text = "hf_abcdefghijk-longer, hf_abcdefghijk; short disabled not-a-secret /etc/ssl/some.pem"
    assert scrubber.text(text) == (
        "[secret API_KEY], [secret HF_TOKEN]; short disabled not-a-secret /etc/ssl/some.pem"
    )
    assert scrubber.found == {"secret API_KEY": 1, "secret HF_TOKEN": 1}


def test_folders_only_where_they_are_paths():
    home = str(Path.home())
    scrubber = Scrubber({"/srv/run": "[outputs]"}, {})
    assert scrubber.text(f"{home} {home}/a, file://{home}/b") == "~ ~/a, file://~/b"
    assert scrubber.text("/srv/run/x.png \x1b[32m/srv/run\x1b[0m") == (
        "[outputs]/x.png \x1b[32m[outputs]\x1b[0m"
    )
    untouched = f"{home}less /srv/runner https://example.org/srv/run x/srv/running"
    assert scrubber.text(untouched) == untouched


def test_pictures_and_sound_stay_as_they_are():
    secret = "QUJDREVGR0hJSktM"
    scrubber = Scrubber({}, {"A_KEY": secret})
    sound = f'<audio src="data:audio/mpeg;base64,AAAA{secret}=="></audio>'
    assert scrubber.text(f"{secret} {sound}") == f"[secret A_KEY] {sound}"
    picture = made.new_output("display_data", {"image/png": secret, "text/plain": secret})
    node = made.new_notebook(cells=[made.new_code_cell("1", outputs=[picture])])
    scrubber.notebook(node)
    assert picture.data == {"image/png": secret, "text/plain": "[secret A_KEY]"}
    assert base64.b64decode(secret) == b"ABCDEFGHIJKL"


def test_papermills_traces_go_and_widgets_say_their_last_words():
    view = "application/vnd.jupyter.widget-view+json"
    state = {
        "box": {
            "model_name": "HBoxModel",
            "state": {"children": ["IPY_MODEL_text", "IPY_MODEL_bar", "IPY_MODEL_end"]},
        },
        "text": {"model_name": "HTMLModel", "state": {"value": "speaking:&nbsp;100%"}},
        "bar": {"model_name": "FloatProgressModel", "state": {"value": 3}},
        "end": {"model_name": "HTMLModel", "state": {"value": " 3/3 <b>[00:01]</b>"}},
    }
    data = {"text/plain": "speaking:   0%|  | 0/3", view: {"model_id": "box"}}
    marker = made.new_markdown_cell("An Exception", metadata={"tags": ["papermill-error-cell-tag"]})
    cell = made.new_code_cell("1", outputs=[made.new_output("display_data", data)])
    cell.metadata["papermill"] = {"status": "completed"}
    node = made.new_notebook(cells=[marker, cell])
    node.metadata.papermill = {"input_path": "/srv/run/a.ipynb"}
    node.metadata.widgets = {"application/vnd.jupyter.widget-state+json": {"state": state}}
    Scrubber({}, {}).notebook(node)
    assert [one.cell_type for one in node.cells] == ["code"]
    assert cell.outputs[0].data == {"text/plain": "speaking: 100% 3/3 [00:01]"}
    assert "papermill" not in cell.metadata
    assert list(node.metadata) == ["kernelspec"]
