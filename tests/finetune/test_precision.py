"""What training asks of the machine: sound bfloat16, and a clock that others can't run down."""

import time
from types import SimpleNamespace

import pytest
import torch

from workbench.finetune.nano import checkpoints
from workbench.finetune.nano.codec import HALF_ERROR, half_is_sound


class Encoder:
    """Latents of ones; in bfloat16 ``error`` more."""

    encoder_seanet = None  # as in new versions of transformers

    def __init__(self, error):
        self.error = error

    def __call__(self, audio):
        off = self.error if torch.is_autocast_enabled("cpu") else 0.0
        return SimpleNamespace(latents=torch.full((1, 4, 3), 1.0 + off))


@pytest.mark.parametrize(("error", "sound"), [(0.5 * HALF_ERROR, True), (2 * HALF_ERROR, False)])
def test_bfloat16_that_gives_other_latents_is_not_sound(error, sound):
    model = SimpleNamespace(encoder=Encoder(error))
    assert half_is_sound(model, torch.zeros(1, 1, 1920)) is sound


@pytest.mark.parametrize("enabled", [True, False])
def test_autocast_is_off_where_it_is_not_sound(enabled):
    one = torch.ones(2, 2)
    with checkpoints.autocast("cpu", enabled):
        assert (one @ one).dtype == (torch.bfloat16 if enabled else torch.float32)


def test_on_one_thread_waiting_is_no_training():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        clock = checkpoints.Clock()
        clock.start()
        time.sleep(0.2)
        clock.tick()
        waited_s = clock.elapsed_s
        ends = time.process_time() + 0.1
        while time.process_time() < ends:
            pass
        clock.tick()
    finally:
        torch.set_num_threads(threads)
    assert waited_s < 0.15
    assert clock.elapsed_s >= 0.1
    assert clock.step == 2
