"""The native codec's parts: what they refuse. Its sound is compared in tests/models."""

import pytest
import torch

from tests.models.conftest import TINY, random_codec, random_codes
from workbench.errors import InputError
from workbench.models.mimi.native_decoder import native_decoder
from workbench.native.codec import Decoder, Streams
from workbench.native.codec_parts import Filter

pytestmark = pytest.mark.usefixtures("built")


@pytest.fixture(scope="module")
def decoder():
    return native_decoder(random_codec(TINY))


def test_a_filter_has_outputs_inputs_and_taps():
    with pytest.raises(InputError, match=r"\[4, 3\]"):
        Filter(torch.zeros(4, 3))
    with pytest.raises(InputError, match="twice"):
        Filter(torch.zeros(4, 3, 5), repeat=2)


def test_weights_are_copied():
    weight, bias = torch.ones(4, 3, 2), torch.ones(4)
    made = Filter(weight, bias)
    assert made.c.weight != weight.data_ptr()
    assert made.c.bias != bias.data_ptr()
    assert (made.c.outputs, made.c.inputs, made.c.taps, made.c.repeat) == (4, 3, 2, 1)


def test_a_codec_of_parts_that_do_not_fit_is_refused(decoder):
    fitting = Filter(torch.zeros(8, 6, 1))
    with pytest.raises(InputError, match="fit together"):
        Decoder(
            torch.zeros(2, 4, 6),
            1,
            (fitting, fitting),
            Filter(torch.zeros(8, 1, 4), repeat=2, depthwise=True),
            [],
            decoder.attention,
            Filter(torch.zeros(16, 8, 3)),
            [],
            Filter(torch.zeros(1, 15, 3)),  # 16 channels come
        )


@pytest.mark.parametrize(("batch", "frames"), [(0, 1), (1, 0)])
def test_streams_and_frames_are_at_least_one(decoder, batch, frames):
    with pytest.raises(InputError, match="1 or more"):
        Streams(decoder, batch, frames)


def test_a_step_says_what_it_takes(decoder):
    streams = Streams(decoder, 2, 3)
    codes = random_codes(random_codec(TINY), 2, 3)
    for wrong in (
        codes[:1],
        codes[0],
        codes.int(),
        codes.repeat(1, 1, 2),  # six frames
        codes.repeat(1, 2, 1),  # ten codebooks
        codes[:, :0],
    ):
        with pytest.raises(InputError, match=r"pass int64 \[2, 1 to 5, 1 to 3\]"):
            streams.step(wrong)
    assert streams.step(codes).shape == (2, 3 * decoder.samples)


def test_threads_share_work_and_change_no_bit():
    codec = random_codec(TINY, num_filters=96, hidden_size=64, upsample_groups=64)
    codes = random_codes(codec, 2, 20)
    made = native_decoder(codec)
    one, two = (Streams(made, 2, 20, threads).step(codes) for threads in (1, 2))
    assert torch.equal(one, two)
