"""Codes, batches and the loss, against transformers and the engine's own prompt."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.finetune.sounds import recordings
from workbench.audio import Audio
from workbench.errors import InputError
from workbench.finetune.lora.batches import Loading, Recordings, loader, plan
from workbench.finetune.lora.codes import encode
from workbench.finetune.lora.loss import speech_loss
from workbench.finetune.recordings import Recording, read_recordings
from workbench.models.csm.prompt import Segment, token_ids

CPU = torch.device("cpu")


def test_codes_are_the_codec_s_and_made_once(csm, tmp_path):
    data = recordings(tmp_path / "a", 2)
    first = encode(csm.model.codec_model, 4, data, tmp_path / "codes")
    sound = torch.from_numpy(Audio.read(data[0].path).samples)[None, None]
    wanted = csm.model.codec_model.encode(sound).audio_codes[0].T.numpy()
    assert np.array_equal(first[0].codes(), wanted)
    assert first[0].frames == len(wanted)
    made = [one.path.stat().st_mtime_ns for one in first]
    again = encode(csm.model.codec_model, 4, data, tmp_path / "codes")
    assert [one.path.stat().st_mtime_ns for one in again] == made
    with torch.no_grad():
        next(csm.model.codec_model.parameters()).add_(0.1)
    changed = encode(csm.model.codec_model, 4, data, tmp_path / "codes")
    assert {one.path for one in changed}.isdisjoint({one.path for one in first})


@pytest.mark.parametrize("seconds", [0.03, 31.0])
def test_recordings_of_no_use_are_named(csm, tmp_path, seconds):
    Audio(np.zeros(round(8_000 * seconds), np.float32), 8_000).write(tmp_path / "a.wav")
    with pytest.raises(InputError, match=r"a\.wav lasts"):
        encode(csm.model.codec_model, 4, [Recording(tmp_path / "a.wav", "hello")], tmp_path)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(1, 99), min_size=1, max_size=40),
    st.integers(1, 9),
    st.integers(1, 4),
    st.integers(0, 9),
)
def test_every_epoch_has_each_recording_once(lengths, batch, epochs, seed):
    steps = plan(lengths, batch, epochs, seed)
    assert steps == plan(lengths, batch, epochs, seed)
    assert all(1 <= len(step) <= batch for step in steps)
    an_epoch = len(steps) // epochs
    for epoch in range(epochs):
        some = steps[epoch * an_epoch : (epoch + 1) * an_epoch]
        assert sorted(index for step in some for index in step) == list(range(len(lengths)))


def test_a_batch_is_laid_out_as_the_engine_s_prompt(csm, spoken, coded):
    batch = spoken.collate([spoken[0], spoken[1]])
    for row, one in enumerate(coded[:2]):
        codes = torch.from_numpy(one.codes().astype(np.int64)).T
        ids = token_ids(csm, [Segment(one.text, 0, codes)])
        size = len(ids)
        frames = (ids == csm.model.config.audio_token_id) | (
            ids == csm.model.config.audio_eos_token_id
        )
        assert torch.equal(batch.is_frame[row, :size], frames)
        assert not batch.is_frame[row, size:].any()
        assert torch.equal(batch.text[row, :size][~frames], ids[~frames])
        assert torch.equal(batch.codes[row, :size][frames][:-1], codes.T)
        assert (batch.codes[row, size - 1] == csm.model.config.codebook_eos_token_id).all()


def test_the_loss_is_transformers_own(csm, data, coded, spoken):
    """Their forward pass encodes the sound itself; ours reads cached codes."""
    sound = torch.from_numpy(Audio.read(read_recordings(data)[0].path).samples)
    codes = torch.from_numpy(coded[0].codes().astype(np.int64)).T
    ids = token_ids(csm, [Segment(coded[0].text, 0, codes)])[None]
    config = csm.model.config
    said = (ids == config.audio_token_id) | (ids == config.audio_eos_token_id)
    with torch.no_grad():
        wanted = csm.model(
            input_ids=ids,
            input_values=sound[None, None],
            input_values_cutoffs=torch.tensor([[len(sound)]]),
            labels=ids.masked_fill(~said, -100),
        )
        loss, parts = speech_loss(csm.model, spoken.collate([spoken[0]]), 1.0)
    torch.testing.assert_close(loss, wanted.loss)
    torch.testing.assert_close(parts["depth"], wanted.depth_decoder_loss)


def test_padding_and_neighbours_change_nothing(csm, spoken):
    rows = [spoken[index] for index in range(len(spoken))]
    with torch.no_grad():
        together = speech_loss(csm.model, spoken.collate(rows), 1.0)[1]
        alone = [speech_loss(csm.model, spoken.collate([row]), 1.0)[1] for row in rows]
    frames = torch.tensor([len(codes) + 1.0 for _, codes in rows])
    for name in ("first", "depth"):
        values = torch.stack([one[name] for one in alone])
        torch.testing.assert_close((values * frames).sum() / frames.sum(), together[name])


def test_the_depth_decoder_sees_the_share_it_is_given(csm, spoken, monkeypatch):
    seen = []
    forward = csm.model.depth_decoder.forward

    def counted(*args, **kwargs):
        seen.append(len(kwargs["labels"]))
        return forward(*args, **kwargs)

    monkeypatch.setattr(csm.model.depth_decoder, "forward", counted)
    batch = spoken.collate([spoken[index] for index in range(len(spoken))])
    frames = int(batch.is_frame.sum())
    losses = []
    for seed in (0, 0, 1):
        source = torch.Generator().manual_seed(seed)
        losses.append(float(speech_loss(csm.model, batch, 1 / 16, source)[1]["depth"]))
    assert seen == [-(-frames // 16)] * 3
    assert losses[0] == losses[1] != losses[2]


@pytest.mark.slow
def test_workers_bring_the_same_batches(csm, coded):
    spoken = Recordings(csm, coded, 0)
    steps = plan(spoken.lengths, 2, 2, seed=0)
    here = list(loader(spoken, steps, Loading(0), CPU))
    there = list(loader(spoken, steps, Loading(1, prefetch=3), CPU))
    for mine, theirs in zip(here, there, strict=True):
        assert torch.equal(mine.codes, theirs.codes)
        assert torch.equal(mine.text, theirs.text)
