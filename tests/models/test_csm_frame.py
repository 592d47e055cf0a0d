"""The frame step against transformers, layer arithmetic and sampling."""

import pytest
import torch
from transformers import AutoConfig

from tests import tiny
from workbench.models.csm.frame import FrameStep
from workbench.models.csm.networks import FrameNetworks
from workbench.models.csm.sampling import Sampling, choose, choose_multinomial, gumbel_

GREEDY = Sampling.greedy()


def prompt(length, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(5, 40, (length,), generator=generator)


def teacher_forced(model, ids, codes):
    """transformers' logits for every codebook of every frame, from one uncached forward."""
    embeds = torch.cat(
        [model.embed_text_tokens(ids), model.backbone_model.embed_tokens(codes[None])[0]]
    )
    hidden = model.backbone_model(inputs_embeds=embeds[None]).last_hidden_state[0, len(ids) - 1 :]
    logits = [model.lm_head(hidden)]
    frames = codes.shape[0]
    inputs = torch.nn.functional.pad(codes[:, :-1], (1, 0))
    depth = model.depth_decoder(
        input_ids=inputs,
        backbone_last_hidden_state=hidden[:frames],
        attention_mask=torch.ones(inputs.shape[0], inputs.shape[1]),
    ).logits
    return logits[0][:frames], depth


@torch.inference_mode()
def run(step, prompts, frames, sampling=GREEDY, generator=None):
    hidden = step.prefill([step.embed_text(ids) for ids in prompts])
    made = []
    for _ in range(frames):
        made.append(step.frame(hidden, sampling, generator))
        hidden = step.advance(made[-1])
    return torch.stack(made, dim=1)  # [B, T, K]


@pytest.mark.parametrize("seed", range(3))
def test_greedy_codes_are_the_argmax_of_transformers_in_float64(seed):
    model = tiny.model(seed).double()
    ids = prompt(9, seed)
    with torch.inference_mode():
        codes = run(FrameStep(FrameNetworks(model)), [ids], frames=80)[0]
        first, depth = teacher_forced(model, ids, codes)
    assert torch.equal(first[:, : tiny.CODES].argmax(-1), codes[:, 0])
    assert torch.equal(depth[..., : tiny.CODES].argmax(-1), codes[:, 1:])


def test_rows_of_different_lengths_don_t_touch_each_other():
    model = tiny.model(1).double()
    prompts = [prompt(length, length) for length in (3, 17, 8)]
    together = run(FrameStep(FrameNetworks(model), batch_size=3), prompts, frames=70)
    for row, ids in enumerate(prompts):
        alone = run(FrameStep(FrameNetworks(model)), [ids], frames=70)[0]
        assert torch.equal(together[row], alone)


def test_caches_keep_their_address_and_start_anew():
    model = tiny.model(2).double()
    step = FrameStep(FrameNetworks(model))
    addresses = [keys.data_ptr() for keys in step.backbone.keys]
    first = run(step, [prompt(30, 1)], frames=40)
    run(step, [prompt(5, 2)], frames=90)
    assert torch.equal(run(step, [prompt(30, 1)], frames=40), first)
    assert [keys.data_ptr() for keys in step.backbone.keys] == addresses
    assert step.frames_left == 256 - 30 - 40


def test_parameters_are_shared_not_copied():
    model = tiny.model(0)
    step = FrameStep(FrameNetworks(model))
    before = run(step, [prompt(4, 0)], frames=5)
    with torch.no_grad():
        model.lm_head.weight.neg_()
    assert not torch.equal(run(step, [prompt(4, 0)], frames=5), before)


def test_undecodable_codes_are_never_chosen():
    model = tiny.model(0)
    with torch.no_grad():
        model.lm_head.weight[tiny.CODES :] = 1e3
        model.depth_decoder.codebooks_head.weight[..., tiny.CODES :] = 1e3
    assert int(run(FrameStep(FrameNetworks(model)), [prompt(4, 0)], frames=30).max()) < tiny.CODES


def test_csm_1b_shapes_are_taken_from_the_config():
    from transformers import CsmConfig

    config = CsmConfig()
    assert (config.num_codebooks, config.num_hidden_layers) == (32, 16)
    assert AutoConfig.for_model("csm").depth_decoder_config.num_hidden_layers == 4


def drawn(shares, temperature, top_k, way):
    logits = torch.log(torch.tensor(shares)).repeat(40_000, 1)
    generator = torch.Generator().manual_seed(0)
    warmth = torch.tensor(temperature)
    if way == "gumbel":
        codes = choose(logits, warmth, top_k, gumbel_(torch.empty_like(logits), generator))
    else:
        codes = choose_multinomial(logits, warmth, top_k, generator)
    return (torch.bincount(codes, minlength=3) / len(codes)).tolist()


@pytest.mark.parametrize("way", ["gumbel", "multinomial"])
def test_sampling_draws_from_the_softmax(way):
    assert drawn([0.5, 0.3, 0.2], 1.0, 0, way) == pytest.approx([0.5, 0.3, 0.2], abs=0.01)


@pytest.mark.parametrize("way", ["gumbel", "multinomial"])
def test_temperature_sharpens_and_top_k_cuts(way):
    # Squared and renormalized over the two largest: 0.25 and 0.09.
    expected = pytest.approx([0.735, 0.265, 0.0], abs=0.01)
    assert drawn([0.5, 0.3, 0.2], 0.5, 2, way) == expected


def test_greedy_takes_the_lowest_of_equals():
    assert choose(torch.tensor([[1.0, 3.0, 3.0]]), None, 0, None).tolist() == [1]


def test_end_of_audio_ignores_the_last_codebook():
    step = FrameStep(FrameNetworks(tiny.model(0)), batch_size=3)
    codes = torch.tensor([[0, 0, 0, 0], [0, 0, 0, 7], [0, 1, 0, 0]])
    assert step.ended(codes).tolist() == [True, True, False]
