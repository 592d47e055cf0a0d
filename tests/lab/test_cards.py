"""The environment card with and without a GPU, and on a busy machine."""

from __future__ import annotations

import copy

from workbench.hardware.fingerprint import fingerprint
from workbench.lab.cards import environment_card

MACHINE = {
    "workbench": {"version": "0.1.0", "git_revision": "0123456789abcdef", "git_dirty": True},
    "os": {"system": "Linux", "architecture": "x86_64"},
    "python": {"version": "3.12.1"},
    "cpu": {
        "model": "A <fast> CPU",
        "physical_cores": 4,
        "logical_cores": 8,
        "usable_cores": 4,
        "torch_threads": 4,
        "instructions": ["avx2"],
    },
    "memory": {"total_bytes": 16 * 2**30},
    "libraries": {"torch": "2.13.0", "cuda": None, "transformers": "5.23.0"},
    "driver": None,
    "gpus": [],
    "load": {"average": [0.5, 0.5, 0.5]},
}


def test_a_card_of_this_machine_names_the_figures():
    card = environment_card()
    environment = fingerprint()
    assert environment["cpu"]["model"] in card.text
    assert environment["libraries"]["torch"] in card.text
    assert "GPU" in card.text


def test_a_card_without_a_gpu_is_calm_and_escaped():
    card = environment_card(MACHINE)
    assert "GPU: none" in card.text
    assert "commit 0123456789 with uncommitted changes" in card.text
    assert "16.0 GiB" in card.text
    assert "⚠" not in card.html
    assert "A &lt;fast&gt; CPU" in card.html
    assert "<fast>" not in card.html


def test_a_card_with_a_gpu_tells_what_limits_it():
    machine = copy.deepcopy(MACHINE)
    machine["libraries"]["cuda"] = "13.0"
    machine["driver"] = "580.1"
    machine["gpus"] = [
        {
            "name": "NVIDIA H200",
            "torch_index": 0,
            "memory_bytes": 141 * 2**30,
            "compute_capability": "9.0",
            "power_limit_w": 700.0,
        }
    ]
    card = environment_card(machine)
    assert card.text.startswith("NVIDIA H200\n")
    assert "141.0 GiB, compute capability 9.0, 700 W limit" in card.text
    assert "CUDA 13.0" in card.text
    assert "Driver: 580.1" in card.text


def test_a_busy_machine_is_pointed_out():
    machine = copy.deepcopy(MACHINE)
    machine["load"]["average"][0] = 9.0
    card = environment_card(machine)
    assert "9.0 tasks share 4 cores" in card.text
    assert "⚠" in card.html
