"""CSM's frame step: one 80 ms frame of codes from static caches, without ``generate``."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from workbench.models.csm.sampling import Sampling, choose
from workbench.models.csm.transformer import CachedTransformer

if TYPE_CHECKING:
    from transformers import CsmForConditionalGeneration

_LENGTH_STEP = 64  # positions; the cache is read in whole steps, so that few lengths occur

Stage = Callable[[str], AbstractContextManager[None]]


def _untimed(_name: str) -> AbstractContextManager[None]:
    return nullcontext()


class FrameStep:
    """Generates frames for ``batch_size`` rows, each at a position of its own.

    The model's parameters are shared, not copied. Architecture: a Llama backbone reads text and
    audio embeddings and predicts codebook 0; a small depth decoder predicts the others in turn
    from the backbone's hidden state (Sesame CSM, https://github.com/SesameAILabs/csm).
    """

    def __init__(
        self,
        model: CsmForConditionalGeneration,
        batch_size: int = 1,
        positions: int | None = None,
    ) -> None:
        config = model.config
        self.codebooks: int = config.num_codebooks
        self.codes_per_book: int = config.codec_config.codebook_size
        self.eos: int = config.codebook_eos_token_id
        self.batch_size = batch_size
        self.positions_limit: int = positions or config.max_position_embeddings
        self.backbone = CachedTransformer(model.backbone_model, batch_size, self.positions_limit)
        self.depth = CachedTransformer(model.depth_decoder.model, batch_size, self.codebooks)
        self._text_table = model.embed_text_tokens
        self._audio_table = model.backbone_model.embed_tokens.embed_audio_tokens
        self._depth_table = model.depth_decoder.model.embed_tokens
        self._depth_projector = model.depth_decoder.model.inputs_embeds_projector
        self._head = model.lm_head
        self._depth_heads = model.depth_decoder.codebooks_head.weight  # [K-1, H, V]
        self._offsets = model.backbone_model.embed_tokens.audio_tokens_offsets  # [K]
        self._vocabulary: int = config.vocab_size
        self.positions = torch.zeros(batch_size, dtype=torch.int64, device=self._head.weight.device)
        self._furthest = 0  # the furthest row's position, known on the host

    def embed_text(self, ids: torch.Tensor) -> torch.Tensor:
        """Text token ids ``[T]`` → ``[T, H]``."""
        return self._text_table(ids)

    def embed_audio(self, codes: torch.Tensor) -> torch.Tensor:
        """Codes ``[N, K]`` → the sum of their embeddings ``[N, H]``."""
        return F.embedding_bag(codes + self._offsets, self._audio_table.weight, mode="sum")

    def prefill(self, prompts: list[torch.Tensor]) -> torch.Tensor:
        """Starts every row anew from its prompt ``[T, H]``; returns the last hidden ``[B, H]``."""
        lengths = [len(prompt) for prompt in prompts]
        x = torch.nn.utils.rnn.pad_sequence(prompts, batch_first=True)
        hidden = self.backbone.prefill(x)
        self.positions.copy_(torch.tensor(lengths))
        self._furthest = max(lengths)
        return hidden[self.backbone.rows, self.positions - 1]

    @property
    def frames_left(self) -> int:
        """Frames that still fit the caches."""
        return self.positions_limit - self._furthest

    def advance(self, codes: torch.Tensor) -> torch.Tensor:
        """Reads a frame's codes ``[B, K]``; returns the backbone's hidden state ``[B, H]``."""
        furthest = self._furthest + 1
        length = min(-(-furthest // _LENGTH_STEP) * _LENGTH_STEP, self.positions_limit)
        hidden = self.backbone.step(self.embed_audio(codes)[:, None], self.positions, length)
        self.positions += 1
        self._furthest = furthest
        return hidden[:, 0]

    def frame(
        self,
        hidden: torch.Tensor,
        sampling: Sampling,
        generator: torch.Generator | None,
        stage: Stage = _untimed,
    ) -> torch.Tensor:
        """The next frame's codes ``[B, K]`` int64 from the backbone's hidden state ``[B, H]``."""
        with stage("backbone"):
            logits = self._head(hidden)[:, : self.codes_per_book]
            code = choose(logits, sampling.temperature, sampling.top_k, generator)
        codes = [code]
        with stage("depth"):
            first = self._depth_table(code)
            x = self._depth_projector(torch.stack((hidden, first), dim=1))
            out = self.depth.block(x, start=0)
            for book in range(1, self.codebooks):
                # Vocabulary entries past the codec's codebook can't be decoded.
                head = self._depth_heads[book - 1, :, : self.codes_per_book]
                code = choose(
                    out[:, -1] @ head, sampling.depth_temperature, sampling.depth_top_k, generator
                )
                codes.append(code)
                if book + 1 < self.codebooks:
                    embedded = self._depth_table(code + book * self._vocabulary)
                    out = self.depth.block(self._depth_projector(embedded)[:, None], book + 1)
        return torch.stack(codes, dim=1)

    def ended(self, codes: torch.Tensor) -> torch.Tensor:
        """Which rows of ``codes`` ``[B, K]`` are the end-of-audio frame, ``[B]`` bool.

        As in transformers' ``generate``, the last codebook isn't looked at.
        """
        return (codes[:, :-1] == self.eos).all(dim=-1)
