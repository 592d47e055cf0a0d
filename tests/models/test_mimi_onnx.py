"""Mimi's decoder frame in ONNX: the same sound as PyTorch's, frame by frame."""

import numpy as np
import pytest
import torch

from tests.models.conftest import TINY, random_codec
from workbench.errors import InputError, ModelError
from workbench.models.mimi.onnx_frame import OnnxMimiDecoder, export_frame
from workbench.models.mimi.streaming import MimiDecoderStream

exporter = pytest.importorskip("onnxscript", reason="onnx and onnxscript are not installed")


def test_the_sound_is_pytorch_s_also_past_the_window(tmp_path):
    settings, codec = TINY, random_codec(TINY)
    decoder = OnnxMimiDecoder(export_frame(codec, tmp_path / "mimi.onnx"), threads=1)
    frames = 2 * settings["sliding_window"] + 3
    codes = torch.randint(settings["codebook_size"], (1, settings["num_quantizers"], frames))
    expected = MimiDecoderStream(codec).step(codes)[0].numpy()
    assert decoder.frame_samples * frames == len(expected)
    sound = decoder.decode(codes[0].numpy())
    assert np.abs(sound - expected).max() < 1e-4 * max(1, np.abs(expected).max())
    assert np.array_equal(decoder.decode(codes[0].numpy()), sound)  # it starts anew


def test_exporting_leaves_the_codec_as_it_was(tmp_path):
    codec = random_codec(TINY)
    codes = torch.randint(TINY["codebook_size"], (1, TINY["num_quantizers"], 9))
    before = MimiDecoderStream(codec).step(codes)
    export_frame(codec, tmp_path / "mimi.onnx", count=2)
    assert torch.equal(MimiDecoderStream(codec).step(codes), before)
    few = OnnxMimiDecoder(tmp_path / "mimi.onnx")
    expected = MimiDecoderStream(codec).step(codes[:, :2])[0].numpy()
    assert np.abs(few.decode(codes[0, :2].numpy()) - expected).max() < 1e-4
    with pytest.raises(InputError, match="pass \\[2\\] codes"):
        few.frame(codes[0, :, 0].numpy())


def test_files_that_are_no_decoder(tmp_path):
    with pytest.raises(ModelError, match="no ONNX file"):
        OnnxMimiDecoder(tmp_path / "none.onnx")
    (tmp_path / "torn.onnx").write_bytes(b"torn")
    with pytest.raises(ModelError, match="can't be loaded"):
        OnnxMimiDecoder(tmp_path / "torn.onnx")
    with pytest.raises(InputError, match="9 codebooks"):
        export_frame(random_codec(TINY), tmp_path / "mimi.onnx", count=9)
