"""A frame's two calls; their codes are compared with the model's in ``tests/models``."""

import pytest
import torch

from tests.native.stacks import Problem
from workbench.errors import InputError
from workbench.native.frame import Frame
from workbench.native.matrix import Matrix


@pytest.fixture
def frame(built):
    def matrix(outputs, inputs):
        return Matrix(torch.randn(outputs, inputs))

    torch.manual_seed(0)
    return Frame(
        backbone=Problem(batch=2).stack,
        depth=Problem(batch=2, hidden=16).stack,
        head=matrix(11, 48),
        projector=matrix(16, 48),
        depth_heads=[matrix(11, 16) for _ in range(3)],
        audio_table=torch.randn(4, 12, 48),
        depth_table=torch.randn(3, 12, 16),
    )


def test_a_frame_refuses_what_it_can_not_read_or_write(frame):
    codes, positions = torch.zeros(2, 4, dtype=torch.int64), torch.zeros(2, dtype=torch.int64)
    hidden = frame.read(codes, positions)
    assert hidden.shape == (2, 48)
    noise = torch.zeros(4, 2, 11)
    assert frame.write(hidden, (1.0, 1.0), (3, 0), noise).shape == (2, 4)
    assert torch.equal(frame.write(hidden, (1.0, 1.0), (0, 0), noise), frame.write(hidden))
    with pytest.raises(InputError, match="beyond the vocabulary"):
        frame.read(codes + 12, positions)
    with pytest.raises(InputError, match="beyond the caches"):
        frame.read(codes, positions + 8)
    with pytest.raises(InputError, match="codes of shape"):
        frame.read(codes[:, :3], positions)
    with pytest.raises(InputError, match="hidden states of shape"):
        frame.write(hidden[:, :4])
    with pytest.raises(InputError, match="without noise"):
        frame.write(hidden, (1.0, 0.0))
    with pytest.raises(InputError, match="below 0"):
        frame.write(hidden, (-1.0, 0.0), noise=noise)
    with pytest.raises(InputError, match="noise of shape"):
        frame.write(hidden, (1.0, 0.0), noise=noise[:2])
    hidden[1, 0] = float("nan")
    with pytest.raises(InputError, match="NaN, infinity"):
        frame.write(hidden)
