"""Lists of names to options: order, requirements, conflicts, values, the environment, presets."""

from dataclasses import fields

import pytest
import torch

from workbench.errors import InputError, ModelError
from workbench.optimizations import (
    NAMES,
    PRESETS,
    EngineOptions,
    Site,
    all_switches,
    applied,
    closure,
    ordered,
    preset,
    resolve,
    switch,
)
from workbench.optimizations.dtypes import auto_dtype, half_dtype

CPU = Site()
HOPPER = Site(device="cuda", capability=(9, 0))
TURING = Site(device="cuda", capability=(7, 5))
PASCAL = Site(device="cuda", capability=(6, 1))
MAXWELL = Site(device="cuda", capability=(5, 2))


def test_nothing_is_every_switch_off():
    assert resolve([], CPU) == EngineOptions()
    assert EngineOptions().generator == "transformers"
    assert EngineOptions().dtype == "float32"


def test_exactly_the_named_ones_are_on():
    options = resolve(["frame_step", "matmul_precision=medium", "sdpa_math"], CPU)
    assert options == EngineOptions(
        generator="frame", process=("sdpa_math", "matmul_precision=medium")
    )


def test_every_engine_switch_changes_a_field_and_no_other_switch_s():
    """Beside what it requires: `frame_step` contains what `static_kv_cache` does, say."""
    for one in all_switches():
        if one.change is None:
            continue
        start = EngineOptions()
        for name in closure(one.name):
            change = switch(name).change
            assert change is not None
            start = change(start, (*switch(name).values, "")[0])
        changed = one.change(start, (*one.values, "")[0])
        different = [
            field.name
            for field in fields(start)
            if getattr(start, field.name) != getattr(changed, field.name)
        ]
        assert different, one.name


@pytest.mark.parametrize(
    ("names", "named"),
    [
        (["warp"], "no optimization called 'warp'"),
        (["tf23"], "tf32"),  # the nearest is in the remedy
        (["frame_step", "frame_step"], "twice"),
        (["true_streaming"], "true_streaming needs frame_step"),
        (["bf16", "fp16"], "exclude each other"),
        (["autocast", "hybrid_precision"], "exclude each other"),
        (["sdpa_math", "sdpa_flash"], "exclude each other"),
        (["frame_step", "torch_compile", "int8", "int8_dynamic"], "exclude each other"),
        (["frame_step", "int8"], "int8 needs torch_compile"),
        (["matmul_precision=low"], "no value 'low'"),
        (["warmup=3"], "takes no value"),
        (["tf32"], "CUDA GPUs only"),
        (["pinned_memory"], "CUDA GPUs only"),
    ],
)
def test_bad_lists_are_refused_and_named(names, named):
    with pytest.raises(InputError, match=named):
        resolve(names, CPU)


def test_order_is_the_registry_s():
    names = ["bf16", "true_streaming", "frame_step", "inference_mode"]
    known = [choice.switch.name for choice in ordered(names)]
    assert known == sorted(names, key=NAMES.index)


def test_closure_is_all_that_is_required():
    assert closure("true_streaming") == ("frame_step",)
    assert set(closure("cuda_graphs")) >= {"frame_step", "buffer_pool"}
    assert closure("inference_mode") == ()


def test_the_environment_keeps_a_switch_off(monkeypatch):
    monkeypatch.setenv("WORKBENCH_INFERENCE_MODE", "0")
    with pytest.raises(InputError, match="WORKBENCH_INFERENCE_MODE=0"):
        resolve(["inference_mode"], CPU)
    used, left_out = preset("default", CPU)
    assert "inference_mode" not in used
    assert "WORKBENCH_INFERENCE_MODE=0" in left_out["inference_mode"]
    monkeypatch.setenv("WORKBENCH_INFERENCE_MODE", "1")
    assert resolve(["inference_mode"], CPU).inference_mode


def test_the_environment_keeps_a_process_wide_switch_off(monkeypatch):
    monkeypatch.setenv("WORKBENCH_BF16_DEFAULT", "off")
    with pytest.raises(InputError, match="WORKBENCH_BF16_DEFAULT"), applied("bf16_default"):
        pass


def test_what_needs_a_left_out_switch_is_left_out_too(monkeypatch):
    monkeypatch.setenv("WORKBENCH_FRAME_STEP", "false")
    used, left_out = preset("default", CPU)
    assert "frame_step" not in used
    assert left_out["true_streaming"] == "it needs frame_step"
    resolve(used, CPU)


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("site", [CPU, HOPPER, TURING, PASCAL, MAXWELL])
def test_presets_resolve_everywhere(name, site):
    used, left_out = preset(name, site)
    ordered(used)  # no conflicts, nothing missing
    resolve(used, site)
    assert {text.partition("=")[0] for text in PRESETS[name]} == {*left_out, *used}
    assert all(left_out.values())


def test_the_default_preset_changes_no_type_and_all_of_it_works_here():
    used, left_out = preset("default", CPU)
    options = resolve(used, CPU)
    kernels = not switch("native_layers").supported(CPU)
    assert set(left_out) == (set() if kernels else {"native_layers", "native_codec"})
    assert options.native_layers is kernels
    assert (options.dtype, options.codec_dtype, options.autocast_dtype) == ("float32",) * 2 + (
        None,
    )
    assert options.streaming == "true"


def test_of_two_that_exclude_each_other_a_preset_uses_the_first():
    library = not switch("native_layers").supported(CPU)
    used, left_out = preset("conversation", CPU)
    assert ("native_layers" in used) is library
    assert ("torch_compile" in used) is not library
    assert not library or "native_layers takes its place" in left_out["torch_compile"]
    used, left_out = preset("conversation", Site(device="cuda", capability=(9, 0)))
    assert {"torch_compile", "cuda_graphs"} <= set(used)
    assert "native_layers" in left_out


def test_an_unknown_preset_names_the_known():
    with pytest.raises(InputError, match="conversation"):
        preset("talk", CPU)


@pytest.mark.parametrize(
    ("site", "half"),
    [
        (CPU, "bfloat16"),
        (HOPPER, "bfloat16"),
        (TURING, "float16"),
        (PASCAL, "float16"),
        (MAXWELL, "float32"),
    ],
)
def test_types_follow_the_compute_capability(site, half):
    assert half_dtype(site) == half
    assert auto_dtype(site, small=False) == half
    assert auto_dtype(site, small=True) == (half if site.cuda else "float32")


def test_engines_switches_are_none_for_a_block():
    with pytest.raises(InputError, match="switch of engines"), applied("frame_step"):
        pass


def test_one_that_fails_is_named(monkeypatch):
    def broken(_: bool) -> None:
        raise RuntimeError("no such flag")

    monkeypatch.setattr(torch, "set_default_dtype", broken)
    named = "optimization bf16_default failed: no such flag"
    with pytest.raises(ModelError, match=named), applied("bf16_default"):
        pass
