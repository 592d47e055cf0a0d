"""The command line as a user meets it: exit codes, the last line of stdout, clear errors."""

import json
import os
import signal
import subprocess
import sys
import time
from argparse import Namespace

import numpy as np
import pytest

from tests.signals import heeding_ctrl_c
from workbench.audio import Audio
from workbench.cli import COMMANDS, main, speak


def last_json(capsys):
    return json.loads(capsys.readouterr().out.strip().splitlines()[-1])


def test_help_teaches(capsys):
    names = [module.__name__.rpartition(".")[2] for module in COMMANDS]
    for command in ([], *([name] for name in names)):
        with pytest.raises(SystemExit) as ended:
            main([*command, "--help"])
        assert ended.value.code == 0
        shown = capsys.readouterr().out
        assert "workbench" in shown
        assert not command or "examples:" in shown


def test_speak_says_how_fast_it_was(tiny_folder, tmp_path, capsys):
    out = tmp_path / "new" / "a.wav"
    arguments = ["--engine", str(tiny_folder), "--voice", "1", "--seed", "0", "--max-frames", "9"]
    assert main(["speak", "good morning", *arguments, "--out", str(out), "--json"]) == 0
    said = last_json(capsys)
    assert said["frames"] == 9
    assert said["ended"] == "cap"
    assert said["implementation"] == "frame"
    assert said["weights"] not in ("", "random")
    assert 0 < said["ttfa_ms"] < 1000 * said["rtf"] * said["audio_s"] + 1
    sound = Audio.read(out)
    assert sound.duration_s == pytest.approx(said["audio_s"]) == pytest.approx(0.72)


def test_speak_with_a_reference(tiny_folder, tmp_path, capsys):
    reference = str(tmp_path / "reference.wav")
    common = ["--engine", str(tiny_folder), "--seed", "0", "--max-frames", "9", "--json"]
    main(["speak", "hello", *common, "--out", reference])
    capsys.readouterr()
    out = str(tmp_path / "a.wav")
    clone = ["--reference", reference, "--reference-text", "hello", "--out", out]
    assert main(["speak", "good morning", *common, *clone]) == 0
    assert main(["speak", "good morning", *common, *clone[:2], "--out", out]) == 2
    assert "--reference-text" in last_json(capsys)["error"]
    given = Namespace(reference=reference, reference_text=None, engine="chatterbox:a", voice=0)
    (prompt,) = speak._context(given)  # an engine that needs no words
    assert (prompt.text, prompt.audio.duration_s) == ("", pytest.approx(0.72))


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        (["speak", ""], 2, "empty"),
        (["speak", "x" * 100_000], 2, "100,000"),
        (["speak", "a\x07b"], 2, "U+0007"),
        (["speak", "hi", "--engine", "csm-huge"], 2, "csm-huge"),
        (["speak", "hi", "--engine", "./missing"], 2, "missing"),
        (["speak", "hi", "--out", "a.xyz"], 2, "suffix"),
        (["speak", "hi", "--out", "/proc/none/a.wav"], 4, "can't write"),
        (["speak", "hi", "--reference", "none.wav", "--reference-text", "a"], 2, "none.wav"),
        (["run", "no_such_notebook"], 2, "no_such_notebook"),
        (["run", "-p", "no_such_parameter", "1"], 2, "no_such_parameter"),
        (["run", "-p", "seed", "1", "-p", "seed", "2"], 2, "twice"),
    ],
)
def test_bad_input_is_named_and_leaves_nothing(
    arguments, code, named, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert main([*arguments, "--json"]) == code
    said = last_json(capsys)
    assert named in said["error"]
    assert said["remedy"]
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_unknown_voice_names_the_known_ones(tiny_folder, tmp_path, capsys):
    out = tmp_path / "a.wav"
    arguments = ["--engine", str(tiny_folder), "--voice", "55", "--out", str(out), "--json"]
    assert main(["speak", "hi", *arguments]) == 2
    said = last_json(capsys)
    assert "no voice 55" in said["error"]
    assert "speaker 0" in said["remedy"]
    assert not out.exists()


@pytest.mark.slow
def test_ctrl_c_leaves_nothing_and_says_so(tiny_folder, tmp_path):
    out = tmp_path / "a.wav"
    text = "good morning to you all. " * 150
    arguments = ["--engine", str(tiny_folder), "--out", str(out), "--temperature", "0"]
    # Native kernels would have said it all before the signal comes.
    arguments += ["--optimizations", "frame_step,true_streaming"]
    process = subprocess.Popen(
        [sys.executable, "-m", "workbench", "speak", text, *arguments],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        preexec_fn=heeding_ctrl_c,
    )
    assert process.stderr is not None
    assert "ready" in process.stderr.readline()
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in errors
    assert os.listdir(tmp_path) == []


def test_optimizations_are_listed_and_explained(capsys, monkeypatch):
    from workbench.optimizations import NAMES

    monkeypatch.setenv("WORKBENCH_WARMUP", "0")
    assert main(["optimizations", "--device", "cpu", "--json"]) == 0
    rows = {row["name"]: row for row in last_json(capsys)["optimizations"]}
    assert tuple(rows) == NAMES
    assert rows["tf32"]["works_here"] is False
    assert "CUDA" in rows["tf32"]["reason"]
    assert "WORKBENCH_WARMUP=0" in rows["warmup"]["reason"]
    assert rows["frame_step"]["works_here"] is True
    assert main(["optimizations", "tf32", "--device", "cpu"]) == 0
    shown = capsys.readouterr().out
    for line in ("What:", "When not:", "Contract: lossy", "WORKBENCH_TF32=0", "CUDA GPUs only"):
        assert line in shown
    assert main(["optimizations", "--device", "cpu"]) == 0
    assert "preset conversation: " in capsys.readouterr().out
    assert main(["optimizations", "tf23", "--json"]) == 2
    assert "tf32" in last_json(capsys)["remedy"]
    assert main(["optimizations", "default", "--json"]) == 2
    assert "is a preset" in last_json(capsys)["error"]


@pytest.mark.parametrize(
    ("given", "on", "implementation"),
    [
        ("none", [], "transformers"),
        ("frame_step,matmul_precision=medium", ["frame_step", "matmul_precision=medium"], "frame"),
        ("training", ["matmul_precision", "bf16"], "transformers"),
    ],
)
def test_speak_with_optimizations(given, on, implementation, tiny_folder, tmp_path, capsys):
    out = tmp_path / "a.wav"
    arguments = ["--engine", str(tiny_folder), "--seed", "0", "--max-frames", "3", "--json"]
    switches = ["--optimizations", given, "--device", "cpu"]
    assert main(["speak", "hi", *arguments, *switches, "--out", str(out)]) == 0
    said = last_json(capsys)
    assert said["optimizations"] == on
    assert said["implementation"] == implementation
    assert set(said["left_out"]) == ({"tf32", "cudnn_benchmark"} if given == "training" else set())


def test_speak_refuses_what_can_t_work_here(tiny_folder, tmp_path, capsys):
    out = tmp_path / "a.wav"
    arguments = ["--engine", str(tiny_folder), "--device", "cpu", "--out", str(out), "--json"]
    for given, named in (("tf32", "CUDA"), ("true_streaming", "needs frame_step"), ("a", "'a'")):
        assert main(["speak", "hi", *arguments, "--optimizations", given]) == 2
        assert named in last_json(capsys)["error"]
    assert not out.exists()


def test_transcribe_says_what_it_heard_and_how_fast(whisper_folder, tmp_path, capsys):
    file = tmp_path / "a.wav"
    noise = np.random.default_rng(0).standard_normal(32_000).astype(np.float32) * 0.1
    Audio(noise, 16_000).write(file)
    common = ["transcribe", str(file), "--engine", str(whisper_folder), "--device", "cpu"]
    common += ["--threads", "1", "--beam-size", "1", "--window", "trimmed"]
    assert main([*common, "--words", "--partials", "0.5", "--compute-type", "int8", "--json"]) == 0
    said = last_json(capsys)
    assert said["implementation"] == "faster-whisper"
    assert said["compute_type"] == "int8_float32"
    assert said["text"] == " ".join(said["text"].split()) != ""
    assert said["segments"][0]["words"]
    assert said["rtf"] == pytest.approx(said["latency_ms"] / 2000)
    assert [partial["final"] for partial in said["partials"]] == [False] * 4 + [True]
    assert main(["transcribe", str(file), *common[2:6], "--implementation", "transformers"]) == 0
    shown = capsys.readouterr().out
    assert "window 30 s" in shown
    assert main([*common[:6], "--implementation", "transformers", "--json"]) == 0
    assert last_json(capsys)["segments"][0]["average_logprob"] is None


def test_transcribe_refuses_what_it_cannot_read(whisper_folder, tmp_path, capsys):
    assert main(["transcribe", str(tmp_path / "none.wav"), "--json"]) == 2
    assert "none.wav" in last_json(capsys)["error"]
    text = tmp_path / "text.wav"
    text.write_text("no sound")
    assert main(["transcribe", str(text), "--engine", str(whisper_folder), "--json"]) == 2
    assert "text.wav" in last_json(capsys)["error"]


def test_train_names_the_stages_of_its_model(tmp_path, capsys):
    arguments = ["--out", str(tmp_path), "--stage", "codec", "--json"]
    assert main(["train", "whisper-nano", *arguments]) == 2
    assert "recognizer" in last_json(capsys)["remedy"]


def test_bench_streams_tells_each_load(tiny_folder, capsys):
    arguments = ["--engine", str(tiny_folder), "--seconds", "1", "--max-frames", "5"]
    assert main(["bench", "streams", *arguments, "--streams", "2,1", "--json"]) == 0
    told = last_json(capsys)
    assert [load["streams"] for load in told["loads"]] == [1, 2]
    assert told["token_share"] == 1.0
    assert all(load["audio_s_per_s"] > 0 for load in told["loads"])
    assert main(["bench", "streams", *arguments, "--streams", "two", "--json"]) == 2
    assert "two" in last_json(capsys)["error"]


def test_bench_soak_answers_in_figures_and_code(tiny_folder, capsys):
    arguments = ["--engine", str(tiny_folder), "--max-frames", "3"]
    code = main(["bench", "soak", *arguments, "--texts", "10", "--json"])
    told = last_json(capsys)
    assert code == (not told["ok"])
    assert told["same"]
    assert len(told["resident_bytes"]) == told["texts"] == 10
    assert main(["bench", "soak", *arguments, "--texts", "3", "--json"]) == 2


def test_train_lora_makes_an_adapter_that_speaks(tiny_folder, tmp_path, capsys):
    from tests.finetune.sounds import recordings

    data, out = tmp_path / "voice", tmp_path / "out"
    recordings(data, 3)
    common = [str(data), "--out", str(out), "--base", str(tiny_folder), "--device", "cpu"]
    settings = ["--epochs", "1", "--rank", "2", "--voice", "1", "--voice-name", "Anna", "--json"]
    assert main(["train", "lora", *common, *settings, "--batch", "auto"]) == 0
    assert last_json(capsys)["stages"]["adapter"]["finished"]
    assert (out / "adapter" / "adapter_model.safetensors").is_file()
    assert main(["train", "lora", *common, *settings, "--batch", "many"]) == 2
    assert "many" in last_json(capsys)["error"]
    assert main(["train", "lora", str(tmp_path / "none"), "--json"]) == 2
    assert "no folder" in last_json(capsys)["error"]


def test_train_names_bad_data(tmp_path, capsys):
    assert main(["train", "chat", str(tmp_path / "none.jsonl"), "--json"]) == 2
    assert "none.jsonl" in last_json(capsys)["error"]
    assert main(["train", "whisper", str(tmp_path), "--base", "./missing", "--json"]) == 2
    assert "missing" in last_json(capsys)["error"]
    arguments = [str(tmp_path), "--settings", "warp", "--device", "cpu", "--json"]
    assert main(["bench", "training", *arguments]) == 2
    assert "warp" in last_json(capsys)["error"]
