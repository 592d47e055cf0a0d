"""The native decoder against transformers' offline pass, and against itself in other chunks."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models.conftest import NANO, TINY, random_codec, random_codes
from tests.models.test_mimi_streaming import (
    TOLERANCE,
    chunkings,
    difference,
    nano_offline,
    offline_sound,
    streamed_sound,
)
from workbench.errors import InputError, ModelError
from workbench.models.mimi.native_decoder import NativeDecoderStream, native_decoder
from workbench.native import library, native_status
from workbench.native.library import ISAS, using_isa

pytestmark = pytest.mark.skipif(
    not native_status().built, reason=f"native kernels: {native_status().reason}"
)

quick = settings(max_examples=30, deadline=None)


@pytest.fixture(scope="module")
def tiny(tiny_codec):
    return native_decoder(tiny_codec)


@pytest.fixture(scope="module")
def nano(nano_codec):
    return native_decoder(nano_codec)


@pytest.fixture(params=ISAS)
def isa(request):
    try:
        with using_isa(request.param):
            yield request.param
    except InputError:
        pytest.skip(f"{request.param} is not on this machine")


@quick
@given(
    chunks=chunkings,
    batch=st.integers(1, 3),
    codebooks=st.integers(1, 5),
    longest=st.integers(1, 9),
    seed=st.integers(0, 1000),
)
def test_any_chunks_equal_offline_and_each_other(
    tiny_codec, tiny, chunks, batch, codebooks, longest, seed
):
    codes = random_codes(tiny_codec, batch, sum(chunks), codebooks, seed)
    sound = streamed_sound(NativeDecoderStream(tiny, batch, longest), codes, chunks)
    assert difference(sound, offline_sound(tiny_codec, codes)) <= TOLERANCE
    whole = NativeDecoderStream(tiny, batch, sum(chunks)).step(codes)
    assert torch.equal(sound, whole)


@quick
@given(
    schedule=st.lists(
        st.tuples(
            st.lists(st.booleans(), min_size=3, max_size=3),  # active
            st.integers(1, 5),  # frames
            st.lists(st.booleans(), min_size=3, max_size=3),  # reset before
        ),
        min_size=1,
        max_size=14,
    ),
    seed=st.integers(0, 1000),
)
def test_streams_join_and_leave(tiny_codec, tiny, schedule, seed):
    """Each row has the bits that its codes since its last reset have alone."""
    stream = NativeDecoderStream(tiny, 3, 4)
    codes = random_codes(tiny_codec, 3, sum(frames for _, frames, _ in schedule), seed=seed)
    heard = [[] for _ in range(3)]
    taken = [[] for _ in range(3)]
    finished = []
    for (active, _, leave), part in zip(
        schedule, codes.split([frames for _, frames, _ in schedule], -1), strict=True
    ):
        leaving = [row for row in range(3) if leave[row] and seed % 2]
        stream.reset(leaving)
        for row in leaving:
            finished.append((taken[row], heard[row]))
            taken[row], heard[row] = [], []
        sound = stream.step(part, torch.tensor(active))
        for row in range(3):
            if active[row]:
                taken[row].append(part[row : row + 1])
                heard[row].append(sound[row : row + 1])
            else:
                assert not sound[row].any()
    for row_codes, row_sound in [*finished, *zip(taken, heard, strict=True)]:
        if row_codes:
            alone = NativeDecoderStream(tiny, 1).step(torch.cat(row_codes, -1))
            assert torch.equal(torch.cat(row_sound, -1), alone)


def test_nano_beyond_the_window(nano_codec, nano):
    codes = random_codes(nano_codec, 1, 420)  # 840 positions, a window of 250
    sound = NativeDecoderStream(nano).step(codes)
    assert difference(sound, nano_offline(nano_codec)) <= TOLERANCE
    stream = NativeDecoderStream(nano, 1, 1)
    frames = torch.cat([stream.frame(codes[..., index]) for index in range(300)], -1)
    assert torch.equal(frames, sound[:, : frames.shape[1]])


def test_positions_grow_past_the_configured_limit(tiny_codec, tiny):
    codes = random_codes(tiny_codec, 1, 1500)  # 3000 positions, max_position_embeddings 16
    sound = streamed_sound(NativeDecoderStream(tiny), codes, 97)
    assert difference(sound, offline_sound(tiny_codec, codes)) <= TOLERANCE


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"pad_mode": "replicate"},
        {"use_conv_shortcut": True},
        {"attention_bias": True},
        {"upsample_groups": 16, "upsampling_ratios": [5, 4, 2]},
        {"upsample_groups": 1, "num_residual_layers": 3},  # dilations 1, 2 and 4
        {"num_semantic_quantizers": 1, "kernel_size": 1, "sliding_window": 1},
        {"vector_quantization_hidden_dimension": 16, "codebook_dim": 16},  # no projections
        {"num_residual_layers": 0, "num_filters": 20},
    ],
)
def test_other_architectures(changes, isa):
    codec = random_codec(TINY, **changes)
    codes = random_codes(codec, 2, 30)
    stream = NativeDecoderStream(native_decoder(codec), 2, 4)
    sound = streamed_sound(stream, codes, [1, 1, 5, 9, 14])
    assert difference(sound, offline_sound(codec, codes)) <= TOLERANCE


def test_instruction_sets_speak_mimi_nano_alike(nano_codec, nano, isa):
    codes = random_codes(nano_codec, 2, 12, seed=3)
    sound = NativeDecoderStream(nano, 2, 5).step(codes)
    assert difference(sound, offline_sound(nano_codec, codes)) <= TOLERANCE


def test_rounding_is_all_that_differs():
    """In float64 offline is the truth: the kernels are as near to it as PyTorch in float32."""
    exact = random_codec(NANO, dtype=torch.float64)
    codes = random_codes(exact, 1, 40)
    truth = offline_sound(exact, codes)
    single = random_codec(NANO)
    ours = NativeDecoderStream(native_decoder(single)).step(codes)
    theirs = difference(offline_sound(single, codes), truth)
    assert difference(ours, truth) <= 2 * theirs + 1e-6


def test_bfloat16_weights_are_read_as_they_are():
    codes = random_codes(random_codec(TINY), 2, 30)
    truth = offline_sound(random_codec(TINY), codes)
    codec = random_codec(TINY, dtype=torch.bfloat16)
    sound = NativeDecoderStream(native_decoder(codec), 2).step(codes)
    assert sound.dtype == torch.float32
    assert (sound - truth).std() <= (offline_sound(codec, codes) - truth).std()


def test_reset_starts_anew(tiny_codec, tiny):
    codes = random_codes(tiny_codec, 2, 12)
    stream = NativeDecoderStream(tiny, 2)
    fresh = stream.step(codes)
    stream.reset()
    assert torch.equal(stream.step(codes), fresh)
    stream.reset(torch.tensor([False, True]))
    again = stream.step(codes)
    assert torch.equal(again[1], fresh[1])
    assert not torch.equal(again[0], fresh[0])


def test_a_stream_goes_on_from_a_copy_of_its_state(tiny_codec, tiny):
    codes = random_codes(tiny_codec, 2, 90)  # keys move to the front in between
    stream, other = (NativeDecoderStream(tiny, 2) for _ in range(2))
    stream.step(codes[..., :20])
    for mine, theirs in zip(other.state(), stream.state(), strict=True):
        mine.copy_(theirs)
    expected = stream.step(codes[..., 20:])
    assert torch.equal(other.step(codes[..., 20:]), expected)


def test_a_stream_recovers_from_nan_by_reset(tiny_codec, tiny):
    codes = random_codes(tiny_codec, 2, 12)
    stream = NativeDecoderStream(tiny, 2)
    fresh = stream.step(codes)
    stream.state()[0][0] = math.nan
    sound = stream.step(codes)
    assert sound[0].isnan().any()
    assert not sound[1].isnan().any()
    stream.reset([0])
    assert torch.equal(stream.step(codes)[0], fresh[0])


def test_codes_that_there_are_not_change_nothing(tiny_codec, tiny):
    codes = random_codes(tiny_codec, 1, 6)
    stream, other = (NativeDecoderStream(tiny) for _ in range(2))
    wrong = codes.clone()
    wrong[0, 2, 1] = 32
    for call in (stream.step, lambda codes: stream.frame(codes[..., 1])):
        with pytest.raises(InputError, match="0 to 31"):
            call(wrong)
    assert torch.equal(stream.step(codes), other.step(codes))


def test_idle_streams_may_have_any_codes(tiny_codec, tiny):
    codes = random_codes(tiny_codec, 2, 3)
    codes[1] = -7
    sound = NativeDecoderStream(tiny, 2).step(codes, torch.tensor([True, False]), check=False)
    assert torch.equal(sound[:1], NativeDecoderStream(tiny).step(codes[:1]))


def test_made_under_inference_mode_used_outside(tiny_codec, tiny):
    codes = random_codes(tiny_codec, 1, 4)
    with torch.inference_mode():
        stream = NativeDecoderStream(tiny)
        first = stream.step(codes[..., :2])
    sound = torch.cat((first, stream.step(codes[..., 2:])), -1)
    assert difference(sound, offline_sound(tiny_codec, codes)) <= TOLERANCE
    stream.reset([0])


def test_what_it_cannot_decode_is_said(tiny_codec):
    with pytest.raises(ModelError, match="relu"):
        native_decoder(random_codec(TINY, hidden_act="relu"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(library, "_folders", list)
        library._loaded.cache_clear()
        with pytest.raises(ModelError, match="not built"):
            native_decoder(tiny_codec)
    library._loaded.cache_clear()
