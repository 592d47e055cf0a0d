"""The native switches in an engine."""

import numpy as np
import pytest
import torch

import workbench
from workbench.audio import Audio
from workbench.engines.speech import Reference
from workbench.errors import InputError
from workbench.native import library, native_status
from workbench.native.int4 import Int4Linear, widen_int4
from workbench.native.linear import Int8Linear
from workbench.optimizations import EngineOptions, Site, closure, resolve

pytestmark = pytest.mark.skipif(
    not native_status().built, reason=f"native kernels: {native_status().reason}"
)


@pytest.fixture(scope="module")
def reference():
    samples = np.random.default_rng(0).normal(0, 0.1, 24_000 * 2).astype(np.float32)
    return Reference(Audio(samples, 24_000), "a reference")


def test_a_reference_has_the_same_codes(reference):
    native = workbench.load("csm-nano", optimizations=["native_rvq"])
    plain = workbench.load("csm-nano", optimizations=[])
    assert native.options.native_rvq
    ours, theirs = native.requests._encoded(reference), plain.requests._encoded(reference)
    assert torch.equal(ours.codes, theirs.codes)
    assert ours.codes.unique().numel() > 10


def test_int8_weights_speak(tiny_folder, tiny_engine):
    native = workbench.load(str(tiny_folder), optimizations=["native_int8"])
    layers = [part for network in native.networks for part in network.modules()]
    converted = [part for part in layers if isinstance(part, Int8Linear)]
    assert len(converted) >= 28  # two stacks of two layers of seven projections
    assert not any(type(part) is torch.nn.Linear for part in layers)
    speech = native.synthesize("hello", seed=1, max_frames=3)
    assert speech.codes.shape[1] == 3
    x = torch.randn(1, 4, 64)
    plain = tiny_engine.csm.model.backbone_model(inputs_embeds=x).last_hidden_state
    ours = native.csm.model.backbone_model(inputs_embeds=x).last_hidden_state
    assert 0 < (ours - plain).norm() / plain.norm() < 0.05


@pytest.mark.parametrize(
    "more", [(), ("fused_projections", "folded_depth_embedding", "inference_mode")]
)
def test_int8_weights_speak_by_the_frame_step(tiny_folder, more):
    native = workbench.load(str(tiny_folder), optimizations=["frame_step", "native_int8", *more])
    layers = [part for network in native.networks for part in network.modules()]
    assert not any(type(part) is torch.nn.Linear for part in layers)
    assert any(isinstance(part, Int8Linear) for part in layers)
    first = native.synthesize("hello", seed=1, max_frames=3)
    again = native.synthesize("hello", seed=1, max_frames=3)
    assert np.array_equal(first.codes, again.codes)
    assert first.codes.shape[1] == 3


def test_int8_weights_speak_in_native_calls(tiny_folder):
    base = ["frame_step", "sync_free_sampling", "fused_projections", "folded_depth_embedding"]
    plain, native = (
        workbench.load(str(tiny_folder), optimizations=[*base, "native_int8", *more])
        for more in ([], ["native_layers"])
    )
    a, b = (engine.synthesize("hello", seed=1, max_frames=8) for engine in (plain, native))
    assert np.array_equal(a.codes, b.codes)


def test_int4_weights_are_the_depth_decoders_and_near_the_original(tiny_folder, tiny_engine):
    native = workbench.load(str(tiny_folder), optimizations=["native_int4"])
    backbone, depth = native.networks
    assert not any(isinstance(part, Int4Linear) for part in backbone.modules())
    assert not any(type(part) is torch.nn.Linear for part in depth.modules())
    layers = [part for part in depth.modules() if isinstance(part, (Int4Linear, Int8Linear))]
    assert len(layers) >= 14  # two layers of seven projections
    assert any(isinstance(part, Int4Linear) for part in layers)
    for part in layers:  # 32 doesn't divide the inputs of some
        assert isinstance(part, Int4Linear) == (part.in_features % 32 == 0)
    first = tiny_engine.csm.model.depth_decoder.model.layers[0].mlp.up_proj.weight
    ours = depth.layers[0].mlp.up_proj
    wide = widen_int4(ours.weight, ours.scales)
    assert 0 < (wide - first).norm() / first.norm() < 0.15
    assert native.synthesize("hello", seed=1, max_frames=3).codes.shape[1] == 3


def test_int4_weights_speak_alike_in_native_calls(tiny_folder):
    base = ["frame_step", "sync_free_sampling", "fused_projections", "folded_depth_embedding"]
    plain, native = (
        workbench.load(str(tiny_folder), optimizations=[*base, "native_int4", *more])
        for more in ([], ["native_layers"])
    )
    a, b = (engine.synthesize("hello", seed=1, max_frames=8) for engine in (plain, native))
    assert np.array_equal(a.codes, b.codes)
    again = native.synthesize("hello", seed=1, max_frames=8)
    assert np.array_equal(b.codes, again.codes)


def test_int4_and_int8_exclude_each_other():
    with pytest.raises(InputError, match="exclude each other"):
        resolve(["native_int4", "native_int8"], Site())


def test_where_the_kernels_are_missing_the_switches_say_so():
    assert resolve(["native_rvq"], Site()) == EngineOptions(native_rvq=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(library, "_folders", list)
        library._loaded.cache_clear()
        for name in ("native_rvq", "native_int8", "native_int4", "native_codec"):
            with pytest.raises(InputError, match="not built"):
                resolve([name], Site())
        with pytest.raises(InputError, match="not built"):
            resolve([*closure("native_layers"), "native_layers"], Site())
    library._loaded.cache_clear()
