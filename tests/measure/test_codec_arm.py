"""The codec's arms: all backends decode the same codes to the same sound, and tell their time."""

import numpy as np
import pytest
import torch

from workbench.errors import InputError
from workbench.measure.codec_arm import (
    BACKENDS,
    CodecArm,
    codec_called,
    first_metric,
    frame_metric,
    random_codes,
)
from workbench.studies.codec.study import missing


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_backend_decodes_the_same(backend, tiny_folder):
    if why := missing(backend):
        pytest.skip(f"{backend}: {why}")
    arm = CodecArm(str(tiny_folder), backend, frames=[3, 1, 3])
    with pytest.raises(InputError, match="no trial has run"):
        arm.last()
    assert arm.warm_up() > 0
    figures = arm.trial(1, seed=1)
    assert set(figures) == {
        "peak_rss_bytes", *(metric(n) for n in (1, 3) for metric in (frame_metric, first_metric))
    }  # fmt: skip
    assert all(value > 0 for value in figures.values())
    assert figures[first_metric(3)] <= 3.001 * figures[frame_metric(3)]
    assert arm.about()["implementation"] == backend
    codec, weights = codec_called(str(tiny_folder))
    assert arm.about()["weights"] == weights
    codes = torch.from_numpy(random_codes(codec.config, 3, 1))
    with torch.no_grad():
        expected = codec.decode(codes[None]).audio_values[0, 0].numpy()
    assert arm.last().shape == expected.shape
    assert np.abs(arm.last() - expected).max() < 1e-4 * max(1, np.abs(expected).max())


def test_what_can_t_be_decoded_is_named(tiny_folder):
    with pytest.raises(InputError, match="'tensorrt'"):
        CodecArm(str(tiny_folder), "tensorrt")
    for frames in ([], [0, 2]):
        with pytest.raises(InputError, match="at least one frame"):
            CodecArm(str(tiny_folder), "torch", frames=frames)
    with pytest.raises(InputError, match="has no Mimi"):
        codec_called("piper:a.onnx")
    with pytest.raises(InputError, match="'warbler'"):
        codec_called("warbler")
