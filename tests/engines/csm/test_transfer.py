"""Staged copies give the same bytes, from buffers that are reused."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from workbench.engines.csm.tokens import TextTokens
from workbench.engines.csm.transfer import StagedTransfer, Transfer

CPU = torch.device("cpu")


@given(st.lists(st.integers(0, 50), max_size=12))
def test_copies_keep_their_values_while_buffers_are_reused(lengths):
    staged = StagedTransfer(CPU, pin=False)
    sent = [torch.arange(length) + 100 * n for n, length in enumerate(lengths)]
    arrived = [staged.to_device(one) for one in sent]
    back = [staged.to_host(one) for one in arrived]
    for one, there, home in zip(sent, arrived, back, strict=True):
        assert torch.equal(one, there)
        assert torch.equal(one, home)


def test_a_buffer_grows_and_stays():
    staged = StagedTransfer(CPU, pin=False)
    staged.to_device(torch.zeros(8))
    (first,) = staged._buffers.values()
    staged.to_device(torch.zeros(2, 3))
    assert next(iter(staged._buffers.values())) is first
    staged.to_device(torch.zeros(9))
    assert len(next(iter(staged._buffers.values()))) == 9


def test_buffers_made_in_inference_mode_can_be_used_outside():
    staged = StagedTransfer(CPU, pin=False)
    with torch.inference_mode():
        staged.to_host(torch.zeros(4))
    assert torch.equal(staged.to_host(torch.ones(4)), torch.ones(4))


def test_batched_tokens_are_those_made_one_by_one_in_one_copy(tiny_engine):
    class Counted(Transfer):
        copies = 0

        def to_device(self, tensor):
            self.copies += 1
            return super().to_device(tensor)

    said = [(0, "good morning"), (3, "hi"), (0, "how are you?")]
    singly, together = Counted(CPU), Counted(CPU)
    one_by_one = TextTokens(tiny_engine.csm, singly, batched=False)(said)
    batched = TextTokens(tiny_engine.csm, together, batched=True)(said)
    assert (singly.copies, together.copies) == (3, 1)
    for one, other in zip(one_by_one, batched, strict=True):
        assert torch.equal(one, other)
        assert one.dtype == torch.int64
