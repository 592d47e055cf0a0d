"""The codec's arms: both backends decode the same codes to the same sound, and tell their time."""

import numpy as np
import pytest

from workbench.errors import InputError
from workbench.measure.codec_arm import BACKENDS, CodecArm

pytest.importorskip("onnxscript", reason="onnx and onnxscript are not installed")


def test_both_backends_decode_the_same(tiny_folder):
    arms = [CodecArm(str(tiny_folder), backend, frames=3) for backend in BACKENDS]
    for arm, backend in zip(arms, BACKENDS, strict=True):
        assert arm.warm_up() > 0
        assert arm.trial(1, seed=1)["frame_ms"] > 0
        assert arm.about()["implementation"] == backend
    sounds = [arm.decoded(seed=2) for arm in arms]
    assert len(sounds[0]) > 0
    assert np.abs(sounds[0] - sounds[1]).max() < 1e-4 * max(1, np.abs(sounds[0]).max())


def test_an_unknown_backend_is_named(tiny_folder):
    with pytest.raises(InputError, match="'tensorrt'"):
        CodecArm(str(tiny_folder), "tensorrt")
