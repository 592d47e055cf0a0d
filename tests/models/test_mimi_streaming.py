"""Streams against transformers' offline passes, for any chunking and any order of streams."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from tests.models.conftest import NANO, TINY, random_codec, random_codes
from workbench.errors import InputError
from workbench.models.mimi.streaming import MimiDecoderStream, MimiEncoderStream

TOLERANCE = 1e-5  # of sounds with peaks of about 1
chunkings = st.lists(st.integers(1, 12), min_size=1, max_size=8)
quick = settings(max_examples=40, deadline=None)


@torch.no_grad()
def offline_sound(codec, codes):
    return codec.decode(codes).audio_values[:, 0]


@torch.no_grad()
def offline_codes(codec, sound, codebooks=None):
    return codec.encode(sound[:, None], num_quantizers=codebooks).audio_codes


def streamed_sound(stream, codes, chunks):
    return torch.cat([stream.step(part) for part in codes.split(chunks, -1)], -1)


def streamed_codes(stream, sound, chunks):
    parts = [stream.step(part) for part in sound.split(chunks, -1)]
    return torch.cat([*parts, stream.flush()], -1)


def random_sound(batch, samples, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, samples, generator=generator)


def difference(a, b):
    assert a.shape == b.shape
    return (a.double() - b.double()).abs().max().item()


# --- decoding -------------------------------------------------------------------------------


@quick
@given(
    chunks=chunkings,
    batch=st.integers(1, 3),
    codebooks=st.integers(1, 5),
    longest=st.integers(1, 9),
    seed=st.integers(0, 1000),
)
def test_decoding_any_chunks_equals_offline(tiny_codec, chunks, batch, codebooks, longest, seed):
    codes = random_codes(tiny_codec, batch, sum(chunks), codebooks, seed)
    stream = MimiDecoderStream(tiny_codec, batch, longest)
    sound = streamed_sound(stream, codes, chunks)
    assert difference(sound, offline_sound(tiny_codec, codes)) <= TOLERANCE


@settings(max_examples=30, deadline=None)
@given(
    schedule=st.lists(
        st.tuples(
            st.lists(st.booleans(), min_size=3, max_size=3),  # active
            st.integers(1, 5),  # frames
            st.lists(st.booleans(), min_size=3, max_size=3),  # reset before, where all true twice
        ),
        min_size=1,
        max_size=14,
    ),
    seed=st.integers(0, 1000),
)
def test_streams_join_and_leave(tiny_codec, schedule, seed):
    """Each row equals the offline decode of its own codes since its last reset."""
    stream = MimiDecoderStream(tiny_codec, 3, 4)
    codes = random_codes(tiny_codec, 3, sum(frames for _, frames, _ in schedule), seed=seed)
    heard = [[] for _ in range(3)]
    given_codes = [[] for _ in range(3)]
    finished = []
    for (active, _, leave), part in zip(
        schedule, codes.split([frames for _, frames, _ in schedule], -1), strict=True
    ):
        leaving = [row for row in range(3) if leave[row] and seed % 2]
        stream.reset(leaving)
        for row in leaving:
            finished.append((given_codes[row], heard[row]))
            given_codes[row], heard[row] = [], []
        sound = stream.step(part, torch.tensor(active))
        for row in range(3):
            if active[row]:
                given_codes[row].append(part[row : row + 1])
                heard[row].append(sound[row : row + 1])
            else:
                assert not sound[row].any()
    for row_codes, row_sound in [*finished, *zip(given_codes, heard, strict=True)]:
        if row_codes:
            expected = offline_sound(tiny_codec, torch.cat(row_codes, -1))
            assert difference(torch.cat(row_sound, -1), expected) <= TOLERANCE


@pytest.mark.parametrize("chunks", [1, 5, 8, 420, [3, 1, 250, 7, 159]])
def test_nano_beyond_the_window(nano_codec, chunks):
    codes = random_codes(nano_codec, 1, 420)  # 840 positions, a window of 250
    expected = nano_offline(nano_codec)
    if chunks == 1:
        codes, expected = codes[..., :150], expected[:, : 150 * 1920]
    sound = streamed_sound(MimiDecoderStream(nano_codec), codes, chunks)
    assert difference(sound, expected) <= TOLERANCE
    assert 0.5 < expected.abs().max() < 5


_offline = {}


def nano_offline(codec):
    if "nano" not in _offline:
        _offline["nano"] = offline_sound(codec, random_codes(codec, 1, 420))
    return _offline["nano"]


def test_nano_streams_at_their_own_positions(nano_codec):
    codes = random_codes(nano_codec, 2, 24, seed=3)
    stream = MimiDecoderStream(nano_codec, 2)
    first = stream.step(codes[..., :9], torch.tensor([True, False]))[:1]
    both = stream.step(torch.stack((codes[0, :, 9:], codes[1, :, :15])))
    assert (
        difference(torch.cat((first, both[:1]), -1), offline_sound(nano_codec, codes[:1])) <= 1e-5
    )
    assert difference(both[1:], offline_sound(nano_codec, codes[1:, :, :15])) <= 1e-5


def test_positions_grow_past_the_configured_limit(tiny_codec):
    codes = random_codes(tiny_codec, 1, 1500)  # 3000 positions, max_position_embeddings 16
    sound = streamed_sound(MimiDecoderStream(tiny_codec), codes, 97)
    assert difference(sound, offline_sound(tiny_codec, codes)) <= TOLERANCE


@pytest.mark.parametrize(
    "changes",
    [
        {"pad_mode": "replicate"},
        {"use_conv_shortcut": True},
        {"attention_bias": True},
        {"upsample_groups": 16, "upsampling_ratios": [5, 4, 2]},
        {"num_semantic_quantizers": 1, "kernel_size": 1, "sliding_window": 1},
        {"vector_quantization_hidden_dimension": 16, "codebook_dim": 16},  # no projections
    ],
)
def test_other_architectures(changes):
    codec = random_codec(TINY, **changes)
    codes = random_codes(codec, 2, 30)
    sound = streamed_sound(MimiDecoderStream(codec, 2, 4), codes, [1, 1, 5, 9, 14])
    assert difference(sound, offline_sound(codec, codes)) <= TOLERANCE
    pcm = random_sound(2, 17 * codec.config.frame_size + 5)
    got = streamed_codes(MimiEncoderStream(codec, 2), pcm, 7)
    assert_same_codes(codec, pcm, got)


@pytest.mark.parametrize("settings", [TINY, NANO])
def test_the_algebra_is_exact(settings):
    """In float64 nothing but rounding is left, so that float32's differences are rounding too."""
    exact = random_codec(settings, dtype=torch.float64)
    codes = random_codes(exact, 1, 40)
    expected = offline_sound(exact, codes)
    got = streamed_sound(MimiDecoderStream(exact), codes, [1, 1, 2, 30, 6])
    assert difference(got, expected) <= 1e-10
    single = random_codec(settings)
    error = difference(streamed_sound(MimiDecoderStream(single), codes, [1, 1, 2, 30, 6]), expected)
    assert error <= 2 * difference(offline_sound(single, codes), expected) + 1e-6


def test_bfloat16_is_as_near_to_the_truth_as_offline():
    codes = random_codes(random_codec(TINY), 2, 30)
    truth = offline_sound(random_codec(TINY), codes)
    codec = random_codec(TINY, dtype=torch.bfloat16)
    sound = streamed_sound(MimiDecoderStream(codec, 2), codes, 3)
    assert sound.dtype == torch.bfloat16
    offline_error = (offline_sound(codec, codes) - truth).std().item()
    assert (sound - truth).std().item() <= 1.3 * offline_error


def test_an_early_code_is_heard_late(tiny_codec):
    """The tests above have teeth: attention carries a code through the window, and no further."""
    codes = random_codes(tiny_codec, 1, 30)
    other = codes.clone()
    other[..., 0] = (other[..., 0] + 1) % 32
    changed = (offline_sound(tiny_codec, codes) - offline_sound(tiny_codec, other)).abs()
    by_frame = changed.view(30, -1).amax(1)
    assert by_frame[5] > 1e-3
    assert by_frame[20:].max() == 0
    assert torch.nonzero(by_frame).max() >= 6


def test_reset_starts_anew(tiny_codec):
    codes = random_codes(tiny_codec, 2, 12)
    stream = MimiDecoderStream(tiny_codec, 2)
    fresh = stream.step(codes)
    stream.reset()
    assert torch.equal(stream.step(codes), fresh)
    stream.reset(torch.tensor([False, True]))
    again = stream.step(codes)
    assert torch.equal(again[1], fresh[1])
    assert not torch.equal(again[0], fresh[0])


def test_a_stream_recovers_from_nan_by_reset(tiny_codec):
    codes = random_codes(tiny_codec, 2, 12)
    stream = MimiDecoderStream(tiny_codec, 2)
    fresh = stream.step(codes)
    stream._bank.flat[0] = math.nan
    stream.step(codes)
    stream.reset([0])
    assert torch.equal(stream.step(codes)[0], fresh[0])


# --- the one-frame step ---------------------------------------------------------------------


class NoHostReads(TorchDispatchMode):
    """Fails on operations that wait for the device or whose shapes depend on values."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert func.overloadpacket.__name__ not in (
            "_local_scalar_dense",
            "nonzero",
            "masked_select",
            "_unique2",
            "repeat_interleave",
        ), func
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("active", [None, torch.tensor([True, False])])
def test_one_frame_reads_nothing_on_the_host_and_moves_no_buffer(tiny_codec, active):
    codes = random_codes(tiny_codec, 2, 12)
    stream = MimiDecoderStream(tiny_codec, 2, 1)
    transformer = stream._transformer
    buffers = [stream._bank.flat, transformer.keys, transformer.values, transformer.position]
    addresses = [buffer.data_ptr() for buffer in buffers]
    with NoHostReads():
        sound = torch.cat([stream.frame(codes[..., i], active) for i in range(12)], -1)
    assert [buffer.data_ptr() for buffer in buffers] == addresses
    assert buffers[0] is stream._bank.flat
    assert transformer.position.tolist() == [24, 24 if active is None else 0]
    assert difference(sound[:1], offline_sound(tiny_codec, codes[:1])) <= TOLERANCE


def test_one_frame_is_one_graph(tiny_codec):
    codes = random_codes(tiny_codec, 1, 3)
    stream = MimiDecoderStream(tiny_codec)
    frame = torch.compile(stream.frame, backend="eager", fullgraph=True)
    sound = torch.cat([frame(codes[..., i]) for i in range(3)], -1)
    assert difference(sound, offline_sound(tiny_codec, codes)) <= TOLERANCE


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_one_frame_in_a_cuda_graph():
    codec = random_codec(NANO).cuda()
    codes = random_codes(codec, 1, 40).cuda()
    stream = MimiDecoderStream(codec, 1, 1)
    current = codes[..., 0].clone()
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            stream.frame(current)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        sound = stream.frame(current)
    stream.reset()
    eager = MimiDecoderStream(codec, 1, 1)
    for frame in codes.unbind(-1):
        current.copy_(frame)
        graph.replay()
        torch.testing.assert_close(sound, eager.frame(frame), atol=1e-4, rtol=0)


def test_made_under_inference_mode_used_outside(tiny_codec):
    codes = random_codes(tiny_codec, 1, 4)
    with torch.inference_mode():
        stream = MimiDecoderStream(tiny_codec)
        encoder = MimiEncoderStream(tiny_codec)
        first = stream.step(codes[..., :2])
        encoder.step(first[:, :5])
    sound = torch.cat((first, stream.step(codes[..., 2:])), -1)
    assert difference(sound, offline_sound(tiny_codec, codes)) <= TOLERANCE
    encoder.step(first[:, 5:])
    encoder.reset()
    assert not sound.requires_grad


# --- encoding -------------------------------------------------------------------------------


def assert_same_codes(codec, sound, got, codebooks=None):
    """Equal codes, but for ties: where both choices are equally near within rounding."""
    expected = offline_codes(codec, sound, codebooks)
    assert got.shape == expected.shape
    quantizer, semantic = codec.quantizer, codec.config.num_semantic_quantizers
    with torch.no_grad():
        latents = codec.encoder(sound[:, None]).latents
    groups = (
        (quantizer.semantic_residual_vector_quantizer, slice(0, semantic)),
        (quantizer.acoustic_residual_vector_quantizer, slice(semantic, None)),
    )
    for part, group in groups:
        for row, frame in torch.nonzero((got[:, group] != expected[:, group]).any(1)).tolist():
            a, b = got[row, group, frame], expected[row, group, frame]
            first = int(torch.nonzero(a != b)[0])
            residual = latents[row : row + 1, :, frame : frame + 1]
            if part.input_proj is not None:
                residual = part.input_proj(residual)
            residual = residual[0, :, 0].double()
            for layer, code in zip(part.layers, b[:first], strict=False):
                residual = residual - layer.codebook.embed[code]
            book = part.layers[first].codebook.embed.double()
            near, far = ((residual - book[choice[first]]).norm() for choice in (a, b))
            assert abs(near - far) <= 1e-4 * far, (row, first, frame)


@quick
@given(
    chunks=st.lists(st.integers(0, 60), min_size=1, max_size=10).filter(sum),
    batch=st.integers(1, 3),
    codebooks=st.integers(2, 5),
    longest=st.integers(1, 4),
    seed=st.integers(0, 1000),
)
def test_encoding_any_chunks_equals_offline(tiny_codec, chunks, batch, codebooks, longest, seed):
    sound = random_sound(batch, sum(chunks), seed)
    stream = MimiEncoderStream(tiny_codec, batch, codebooks, longest)
    got = streamed_codes(stream, sound, chunks)
    assert_same_codes(tiny_codec, sound, got, codebooks)


def test_native_encoding_equals_offline(tiny_codec):
    sound = random_sound(2, 500)
    stream = MimiEncoderStream(tiny_codec, 2, native_rvq=True)
    assert_same_codes(tiny_codec, sound, streamed_codes(stream, sound, 37))


@pytest.mark.parametrize("samples", range(1, 26))
def test_every_length_of_the_last_frame(tiny_codec, samples):
    """Offline pads layer by layer: zeros for SEANet, the last value for the downsampling."""
    sound = random_sound(2, samples, seed=samples)
    stream = MimiEncoderStream(tiny_codec, 2)
    assert_same_codes(tiny_codec, sound, streamed_codes(stream, sound, 5))
    assert stream.waiting_samples == 0


@pytest.mark.parametrize("samples", [200 * 1920, 30 * 1920 + 777])
def test_nano_encoding(nano_codec, samples):
    sound = random_sound(1, samples)
    got = streamed_codes(MimiEncoderStream(nano_codec), sound, 4801)
    assert_same_codes(nano_codec, sound, got)
    assert len(got.unique()) > 100


def test_encoding_streams_join_and_leave(tiny_codec):
    sound = random_sound(2, 20 * 12)
    whole = offline_codes(tiny_codec, sound)
    stream = MimiEncoderStream(tiny_codec, 2)
    first = stream.step(sound[:, :60], torch.tensor([True, False]))[:1]
    both = stream.step(torch.stack((sound[0, 60:], sound[1, :180])))
    assert torch.equal(torch.cat((first, both[:1]), -1), whole[:1])
    assert torch.equal(both[1:], whole[1:, :, :15])
    stream.reset([0])
    assert torch.equal(stream.step(sound[:, :60])[0], whole[0, :, :5])


def test_there_and_back_again(tiny_codec):
    """What one stream encodes frame by frame, another decodes at once."""
    sound = random_sound(1, 12 * 8)
    encoder, decoder = MimiEncoderStream(tiny_codec), MimiDecoderStream(tiny_codec)
    heard = [decoder.step(encoder.step(part)) for part in sound.split(12, -1)]
    expected = offline_sound(tiny_codec, offline_codes(tiny_codec, sound))
    assert difference(torch.cat(heard, -1), expected) <= TOLERANCE


# --- what can't be done ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("codes", "words"),
    [
        (torch.zeros(2, 5), "shape"),
        (torch.zeros(2, 5, 3), "float32"),
        (torch.zeros(1, 5, 3, dtype=torch.int64), "1 rows"),
        (torch.zeros(2, 6, 3, dtype=torch.int64), "6 codebooks"),
        (torch.zeros(2, 0, 3, dtype=torch.int64), "0 codebooks"),
        (torch.zeros(2, 5, 0, dtype=torch.int64), "0 frames"),
        (torch.full((2, 5, 3), 32), "32 to 32"),
        (torch.full((2, 5, 3), -1), "-1 to -1"),
        (torch.zeros(2, 5, 3, dtype=torch.int64, device="meta"), "meta"),
    ],
)
def test_wrong_codes_are_refused_and_leave_the_state(tiny_codec, codes, words):
    stream = MimiDecoderStream(tiny_codec, 2)
    with pytest.raises(InputError, match=words) as caught:
        stream.step(codes)
    assert caught.value.remedy
    assert not stream._bank.flat.any()
    assert not stream._transformer.position.any()


@pytest.mark.parametrize("active", [torch.tensor([True]), torch.tensor([1, 0])])
def test_wrong_masks_are_refused(tiny_codec, active):
    with pytest.raises(InputError, match="active mask"):
        MimiDecoderStream(tiny_codec, 2).step(random_codes(tiny_codec, 2, 1), active)
    with pytest.raises(InputError, match="active mask"):
        MimiEncoderStream(tiny_codec, 2).step(random_sound(2, 12), active)


@pytest.mark.parametrize("rows", [[2], [-1], torch.tensor([True])])
def test_wrong_rows_are_refused(tiny_codec, rows):
    with pytest.raises(InputError):
        MimiDecoderStream(tiny_codec, 2).reset(rows)


@pytest.mark.parametrize(
    "sound", [torch.zeros(12), torch.zeros(1, 12), torch.zeros(2, 12).double()]
)
def test_wrong_sound_is_refused(tiny_codec, sound):
    with pytest.raises(InputError, match="sound of shape"):
        MimiEncoderStream(tiny_codec, 2).step(sound)


def test_rows_go_their_own_way_only_between_frames(tiny_codec):
    stream = MimiEncoderStream(tiny_codec, 2)
    with pytest.raises(InputError, match="partial frame"):
        stream.step(random_sound(2, 13), torch.tensor([True, False]))
    stream.step(random_sound(2, 13))
    with pytest.raises(InputError, match="1 samples wait"):
        stream.reset([0])
    stream.reset()
    assert stream.waiting_samples == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"use_causal_conv": False},
        {"trim_right_ratio": 0.5},
        {"pad_mode": "reflect"},
        {"audio_channels": 2},
        {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}},
    ],
)
def test_codecs_that_cannot_stream_are_refused(changes):
    from transformers import MimiConfig, MimiModel

    codec = MimiModel(MimiConfig(**{**TINY, **changes}))
    with pytest.raises(InputError):
        MimiDecoderStream(codec)
    if "trim_right_ratio" not in changes:  # concerns transposed convolutions only
        with pytest.raises(InputError):
            MimiEncoderStream(codec)


@pytest.mark.parametrize("sizes", [{"batch_size": 0}, {"max_step_frames": 0}])
def test_wrong_sizes_are_refused(tiny_codec, sizes):
    with pytest.raises(InputError):
        MimiDecoderStream(tiny_codec, **sizes)
    with pytest.raises(InputError):
        MimiEncoderStream(tiny_codec, num_quantizers=1)
