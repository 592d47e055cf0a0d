"""Environment variables of VoiceReel and F5-TTS as switches."""

import pytest

from workbench.errors import InputError
from workbench.optimizations import Site, resolve
from workbench.optimizations.environment import (
    VARIABLES,
    SpeechSettings,
    from_environment,
    setting,
)
from workbench.paths import data_dir

CPU = Site(device="cpu", physical_cores=2, hardware_threads=2)
GPU = Site(device="cuda", capability=(9, 0), physical_cores=8, hardware_threads=16)
GOOD = {
    "VOICEREEL_USE_OPTIMIZED": ("false", {"optimized": False}),
    "FISH_SPEECH_COMPILE": ("on", {"compile": True}),
    "VOICEREEL_PARALLEL_SYNTHESIS": ("YES", {"parallel": True}),
    "VOICEREEL_MAX_WORKERS": ("4", {"workers": 4}),
    "VOICEREEL_BATCH_SIZE": ("0", {"batch_size": 0}),
    "FISH_SPEECH_DEVICE": ("cuda:1", {"device": "cuda:1"}),
    "FISH_SPEECH_PRECISION": ("Half", {"precision": "half"}),
    "ENABLE_TORCH_COMPILE": ("0", {"compile": False}),
    "ENABLE_CUDNN_BENCHMARK": ("1", {"cudnn_benchmark": True}),
    "TORCH_MATMUL_PRECISION": ("medium", {"matmul_precision": "medium"}),
}


def names(settings, site):
    chosen, _ = settings.optimizations(site)
    resolve(chosen, site)  # what is chosen goes together
    return set(chosen)


@pytest.mark.parametrize("name", [variable.name for variable in VARIABLES])
def test_each_variable_gives_its_setting(name):
    text, wanted = GOOD[name]
    assert from_environment({name: text}) == SpeechSettings(**wanted)
    assert setting(name, text) == wanted
    assert from_environment({name: " "}) == SpeechSettings()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("VOICEREEL_USE_OPTIMIZED", "maybe"),
        ("VOICEREEL_MAX_WORKERS", "0"),
        ("VOICEREEL_MAX_WORKERS", "many"),
        ("VOICEREEL_BATCH_SIZE", "-1"),
        ("FISH_SPEECH_DEVICE", "mps"),
        ("FISH_SPEECH_DEVICE", "cpu:1"),
        ("FISH_SPEECH_PRECISION", "fp8"),
        ("TORCH_MATMUL_PRECISION", "low"),
    ],
)
def test_an_unknown_value_is_refused_with_the_known_ones(name, text):
    with pytest.raises(InputError) as refused:
        from_environment({name: text})
    assert refused.value.what == f"{name}={text}"
    assert refused.value.remedy.startswith("use ")


def test_two_variables_may_agree_and_not_contradict():
    both = {"FISH_SPEECH_COMPILE": "1", "ENABLE_TORCH_COMPILE": "true"}
    assert from_environment(both).compile is True
    with pytest.raises(InputError, match="contradict"):
        from_environment({**both, "ENABLE_TORCH_COMPILE": "0"})


def test_unset_is_the_batch_preset_in_full_precision_on_a_cpu(monkeypatch):
    monkeypatch.delenv("WORKBENCH_TF32", raising=False)
    assert not {"hybrid_precision", "torch_compile"} & names(SpeechSettings(), CPU)
    assert {"frame_step", "batching", "sync_free_sampling"} <= names(SpeechSettings(), CPU)
    assert {"hybrid_precision", "torch_compile", "tf32"} <= names(SpeechSettings(), GPU)
    assert names(SpeechSettings(optimized=False), GPU) == set()


def test_what_is_asked_for_makes_others_give_way():
    chosen, left_out = SpeechSettings(compile=True).optimizations(CPU)
    if "torch_compile" in chosen:  # where there is a compiler
        assert "native_layers" not in chosen
    else:
        assert "compiler" in left_out["torch_compile"]
    assert "torch_compile" not in names(SpeechSettings(compile=False), GPU)
    assert "hybrid_precision" in names(SpeechSettings(precision="half"), CPU)
    assert "hybrid_precision" not in names(SpeechSettings(precision="full"), GPU)
    exact = SpeechSettings(matmul_precision="highest")
    assert not {"tf32", "matmul_precision"} & names(exact, GPU)
    assert "matmul_precision=high" in names(SpeechSettings(matmul_precision="high"), GPU)
    assert "cudnn_benchmark" not in names(SpeechSettings(cudnn_benchmark=False), GPU)
    chosen, left_out = SpeechSettings(cudnn_benchmark=True).optimizations(CPU)
    assert "CUDA" in left_out["cudnn_benchmark"]
    assert SpeechSettings(cudnn_benchmark=True, compile=False).asked == {"cudnn_benchmark"}


def test_the_documentation_has_every_variable():
    page = data_dir().parent / "docs" / "voicereel.md"
    if not page.is_file():
        pytest.skip("installed without docs")
    lines = page.read_text(encoding="utf-8").splitlines()
    for one in VARIABLES:
        row = f"| `{one.name}` | {one.values} | {one.does} | {one.system} |"
        assert row in lines, row
