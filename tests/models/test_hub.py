"""Hub checkpoints, against a hub on loopback and in a process of their own.

huggingface_hub reads its endpoint and cache once, at import.
"""

import json
import os
import subprocess
import sys

import pytest

from tests.models import hub_server

COMMIT = "a" * 40
LOAD = """
import sys, workbench
from workbench.errors import WorkbenchError
try:
    engine = workbench.load(sys.argv[1], revision=sys.argv[2] or None)
except WorkbenchError as problem:
    sys.exit(f"{type(problem).__name__}: {problem}")
print(engine.weights, engine.synthesize("hi", seed=0, max_frames=2).frames)
"""


@pytest.fixture
def load(tmp_path):
    def run(endpoint, name=hub_server.REPO, revision=""):
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("HF_")},
            "HF_ENDPOINT": endpoint,
            "HF_HOME": str(tmp_path / "hf"),
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "WORKBENCH_CACHE": str(tmp_path / "cache"),
        }
        return subprocess.run(
            [sys.executable, "-c", LOAD, name, revision],
            capture_output=True,
            text=True,
            env=environment,
            timeout=120,
        )

    return run


@pytest.mark.slow
def test_first_download_is_pinned_and_later_loads_need_no_network(load, tiny_folder, tmp_path):
    with hub_server.serve(tiny_folder, COMMIT) as (endpoint, requests):
        first = load(endpoint)
        assert first.stdout.split() == [COMMIT, "2"], first.stderr
        assert requests
        pins = json.loads((tmp_path / "cache" / "pins.json").read_text())
        assert pins[hub_server.REPO]["revision"] == COMMIT
        assert set(pins[hub_server.REPO]["sha256"]) == {"model.safetensors"}
    # The hub moves on, or is gone: what was measured before is what loads again.
    again = load("http://127.0.0.1:9")
    assert again.stdout.split() == [COMMIT, "2"], again.stderr


@pytest.mark.slow
def test_weights_without_the_hub_s_checksum_are_refused(load, tiny_folder, tmp_path):
    served = hub_server.serve(tiny_folder, COMMIT, lie_about="model.safetensors")
    with served as (endpoint, _):
        done = load(endpoint)
    assert "ModelError" in done.stderr
    assert "checksum" in done.stderr
    assert not (tmp_path / "cache" / "pins.json").exists()


@pytest.mark.slow
def test_unreachable_unknown_and_gated_hubs_are_told_apart(load, tiny_folder):
    assert "can't be reached" in load("http://127.0.0.1:9").stderr
    with hub_server.serve(tiny_folder, COMMIT) as (endpoint, _):
        assert "knows no model" in load(endpoint, "maker/other").stderr
        assert "knows no model" in load(endpoint, revision="b" * 40).stderr
    with hub_server.serve(tiny_folder, COMMIT, gated=True) as (endpoint, _):
        assert "HF_TOKEN" in load(endpoint).stderr
