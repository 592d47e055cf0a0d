"""The frame step in native calls: the same codes as PyTorch's."""

from dataclasses import replace

import pytest
import torch

from tests import tiny
from workbench.errors import ModelError
from workbench.models.csm import native_layers
from workbench.models.csm.frame import FrameStep
from workbench.models.csm.native_layers import NativeLayers
from workbench.models.csm.networks import FrameNetworks
from workbench.models.csm.sampling import Sampling
from workbench.models.csm.settings import FrameSettings
from workbench.native import native_status

pytestmark = pytest.mark.skipif(
    not native_status().built, reason=f"native kernels: {native_status().reason}"
)

SETTINGS = FrameSettings(
    fused_projections=True, folded_depth_embedding=True, sync_free_sampling=True, native_layers=True
)


def prompts(lengths):
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(5, 40, (length,), generator=generator) for length in lengths]


def steps(model, batch_size, **changes):
    """PyTorch's frame step and the native one, over the same networks."""
    networks = FrameNetworks(model, replace(SETTINGS, **changes))
    plain, native = (FrameStep(networks, batch_size) for _ in range(2))
    NativeLayers()(native)
    return plain, native


@torch.inference_mode()
def run(step, ids, sampling=None, frames=70, seed=4):
    generator = torch.Generator().manual_seed(seed)
    sampling = sampling or Sampling.greedy()
    hidden = step.prefill([step.embed_text(one) for one in ids])
    codes = [step.frame(hidden, sampling, generator)]
    for _ in range(frames - 1):
        codes.append(step.following(codes[-1], sampling, generator))
    return torch.stack(codes, dim=1)


@pytest.mark.parametrize("lengths", [[9], [3, 30, 12], [5, 6, 7, 8, 9, 10, 11, 12, 13]])
@pytest.mark.parametrize("changes", [{}, {"codebooks": 3}])
def test_greedy_codes_are_pytorch_s(lengths, changes):
    ids = prompts(lengths)
    plain, native = steps(tiny.model(len(lengths)), len(lengths), **changes)
    assert torch.equal(run(native, ids), run(plain, ids))


@pytest.mark.parametrize(
    "sampling",
    [Sampling(0.9, 5, 0.7, 3), Sampling(1.0, 0, 0.0, 0), Sampling(0.0, 0, 1.3, 90)],
)
def test_drawn_codes_are_pytorch_s(sampling):
    ids = prompts([4, 11])
    plain, native = steps(tiny.model(1), 2)
    assert torch.equal(run(native, ids, sampling), run(plain, ids, sampling))
    assert not torch.equal(run(native, ids, sampling, seed=5), run(native, ids, sampling))


@torch.inference_mode()
def test_hidden_states_follow_float64():
    model = tiny.model(3)
    ids = prompts([6, 15])
    native = steps(model, 2)[1]
    codes = run(native, ids, frames=40)
    exact = FrameStep(FrameNetworks(tiny.model(3).double(), SETTINGS), 2)
    native.prefill([native.embed_text(one) for one in ids])
    exact.prefill([exact.embed_text(one) for one in ids])
    for frame in codes.unbind(1):
        assert (native.advance(frame) - exact.advance(frame)).abs().max() < 1e-5


def test_caches_are_the_frame_step_s_own():
    plain, native = steps(tiny.model(0), 1)
    for step in (plain, native):
        run(step, prompts([5]), frames=20)
    for ours, theirs in zip(native.caches(), plain.caches(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@torch.inference_mode()
@pytest.mark.parametrize("lengths", [[1], [40], [3, 30, 12]])
def test_prompts_are_read_as_pytorch_reads_them(lengths, monkeypatch):
    plain, native = steps(tiny.model(0), len(lengths))
    ids = [plain.embed_text(one) for one in prompts(lengths)]
    monkeypatch.setattr(type(native.backbone), "prefill", None)  # nobody else may read
    hidden = native.prefill(ids)
    monkeypatch.undo()
    torch.testing.assert_close(hidden, plain.prefill(ids), rtol=0, atol=1e-5)
    assert torch.equal(native.positions, plain.positions)


@torch.inference_mode()
def test_long_prompts_and_those_of_some_rows_are_pytorch_s(monkeypatch):
    plain, native = steps(tiny.model(0), 2)
    ids = [plain.embed_text(one) for one in prompts([9, 20])]
    rows = torch.tensor([1])
    assert torch.equal(native.prefill(ids[:1], rows), plain.prefill(ids[:1], rows))
    monkeypatch.setattr(native_layers, "_PROMPT_NUMBERS", 2 * 20 * 64 - 1)
    assert torch.equal(native.prefill(ids), plain.prefill(ids))


def test_frame_steps_share_weights():
    model = tiny.model(0)
    networks = FrameNetworks(model, SETTINGS)
    accelerate = NativeLayers()
    made = []
    for _ in range(2):
        step = FrameStep(networks)
        accelerate(step)
        made.append(accelerate._weights)
    assert made[0] is made[1]
    fused = networks.backbone.layers[0].projection.weight
    assert made[0].backbone[0].query_key_value.weight.data_ptr() == fused.data_ptr()


def test_bfloat16_networks_run():
    ids = prompts([5, 9])
    plain, native = steps(tiny.model(0).bfloat16(), 2)
    codes = run(native, ids, frames=30)
    assert codes.shape == (2, 30, tiny.CODEBOOKS)
    # bfloat16 activations round in PyTorch's step only, so that codes part: the first mostly don't.
    assert (codes[:, :1] == run(plain, ids, frames=1)).float().mean() > 0.5


def test_what_it_needs_is_said():
    networks = FrameNetworks(tiny.model(0), replace(SETTINGS, folded_depth_embedding=False))
    with pytest.raises(ModelError, match="folded depth embedding"):
        NativeLayers()(FrameStep(networks))
