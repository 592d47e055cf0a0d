"""CSM's frame step: one 80 ms frame of codes from static caches, without ``generate``."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F

from workbench.models.csm.networks import FrameNetworks
from workbench.models.csm.sampling import Sampling, choose, choose_multinomial, gumbel_
from workbench.models.csm.transformer import CachedTransformer

_LENGTH_STEP = 64  # positions; the cache is read in whole steps, so that few lengths occur

Function = Callable[..., torch.Tensor]
Stage = Callable[[str], AbstractContextManager[None]]


def untimed(_name: str) -> AbstractContextManager[None]:
    """A ``Stage`` that does nothing."""
    return nullcontext()


class FrameStep:
    """Generates frames for ``batch_size`` rows, each at a position of its own.

    Architecture: a Llama backbone reads text and audio embeddings and predicts codebook 0; a
    small depth decoder predicts the others in turn from the backbone's hidden state (Sesame CSM,
    https://github.com/SesameAILabs/csm).

    The step is made of functions on tensors: ``read_prompt`` (the backbone's ``prefill``),
    ``read_prompts`` (which pads and picks around it), ``read`` (codes to hidden state) and the
    pairs ``first_logits``/``first_code`` (codebook 0), ``second_…`` (codebook 1, which reads the
    hidden state) and ``next_…`` (the others). They are attributes, which an accelerator replaces:
    the ``…_code`` where sampling is sync-free, the ``…_logits`` where it isn't, or all of a frame's
    at once, ``write``: ``(hidden [B, H], stage, generator)`` → codes ``[B, K]``. Sync-free sampling
    takes the numbers in ``noise``, drawn before; the other way draws from ``generator``.
    """

    def __init__(
        self, networks: FrameNetworks, batch_size: int = 1, positions: int | None = None
    ) -> None:
        self.networks = networks
        self.codebooks = networks.codebooks
        self.eos = networks.eos
        self.sync_free = networks.settings.sync_free_sampling
        self.batch_size = batch_size
        self.positions_limit = positions or networks.positions_limit
        self.backbone = CachedTransformer(networks.backbone, batch_size, self.positions_limit)
        self.depth = CachedTransformer(networks.depth, batch_size, self.codebooks)
        # Vocabulary entries past the codec's codebook can't be decoded.
        heads = networks.depth_heads[: self.codebooks - 1, :, : networks.codes_per_book]
        self._heads = heads.detach().unbind()
        self._tables = networks.depth_tables().detach().unbind()
        device = networks.device
        self._depth_slots = [self.depth.slots[:end] for end in range(self.codebooks + 1)]
        ends = range(_LENGTH_STEP, self.positions_limit + _LENGTH_STEP, _LENGTH_STEP)
        self._read_slots = [self.backbone.slots[: min(end, self.positions_limit)] for end in ends]
        self.positions = torch.zeros(batch_size, dtype=torch.int64, device=device)
        self.furthest = 0  # the furthest row's position, known on the host
        shape = (self.codebooks, batch_size, networks.codes_per_book)
        self.noise = torch.zeros(shape, device=device)  # a frame's draws
        self._temperatures = torch.ones(2, device=device)
        self.sampling = Sampling.greedy()
        self.before_read: Callable[[], None] = lambda: None
        self.read_prompt: Function = self.backbone.prefill
        self.read_prompts: Function = self._read_prompts
        self.read: Function = self._read
        self.write: Function = self._write
        self.first_logits: Function = self._first_logits
        self.first_code: Function = self._first_code
        self.second_logits: Function = self._second_logits
        self.second_code: Function = self._second_code
        self.next_logits: Function = self._next_logits
        self.next_code: Function = self._next_code

    def embed_text(self, ids: torch.Tensor) -> torch.Tensor:
        """Text token ids ``[T]`` → ``[T, H]``."""
        return self.networks.text_table(ids)

    def embed_audio(self, codes: torch.Tensor) -> torch.Tensor:
        """Codes ``[N, K]`` → the sum of their embeddings ``[N, H]``."""
        table = self.networks.audio_table.weight
        return F.embedding_bag(codes + self.networks.offsets, table, mode="sum")

    def prefill(
        self, prompts: list[torch.Tensor], rows: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Starts every row anew from its prompt ``[T, H]``; returns the last hidden ``[B, H]``.

        With ``rows`` ``[R]`` int64, these alone start, from R prompts; returns ``[R, H]``.
        """
        lengths = [len(prompt) for prompt in prompts]
        ends = torch.tensor(lengths, device=self.positions.device)
        hidden = self.read_prompts(prompts, ends, rows)
        if rows is None:
            self.positions.copy_(ends)
            self.furthest = max(lengths)
        else:
            self.positions[rows] = ends
            self.furthest = max(self.furthest, *lengths)
        return hidden

    @property
    def frames_left(self) -> int:
        """Frames that still fit the caches."""
        return self.positions_limit - self.furthest

    def advance(self, codes: torch.Tensor) -> torch.Tensor:
        """Reads a frame's codes ``[B, K]``; returns the backbone's hidden state ``[B, H]``."""
        self.before_read()
        hidden = self.read(codes, self.positions, self.slots_read())
        self.positions += 1
        self.moved()
        return hidden

    def frame(
        self,
        hidden: torch.Tensor,
        sampling: Sampling,
        generator: torch.Generator | None,
        stage: Stage = untimed,
    ) -> torch.Tensor:
        """The next frame's codes ``[B, K]`` int64 from the backbone's hidden state ``[B, H]``."""
        self.use(sampling)
        if self.sync_free:
            self.draw(generator)
        return self.write(hidden, stage, generator)

    def following(
        self,
        codes: torch.Tensor,
        sampling: Sampling,
        generator: torch.Generator | None,
        stage: Stage = untimed,
    ) -> torch.Tensor:
        """The frame after ``codes`` ``[B, K]``: ``advance``, then ``frame``."""
        with stage("backbone"):
            hidden = self.advance(codes)
        return self.frame(hidden, sampling, generator, stage)

    def ended(self, codes: torch.Tensor) -> torch.Tensor:
        """Which rows of ``codes`` ``[B, K]`` are the end-of-audio frame, ``[B]`` bool.

        As in transformers' ``generate``, the model's last codebook isn't looked at.
        """
        return (codes[:, : self.networks.ending_codebooks] == self.eos).all(dim=-1)

    # What follows is for those who drive the step piece by piece, as a CUDA graph does.

    def lengths(self) -> list[torch.Tensor]:
        """Every ``slots`` that ``read`` and ``next_…`` are called with."""
        return [*self._read_slots, *self._depth_slots[3:]]

    def caches(self) -> list[torch.Tensor]:
        """The tensors that are written in place from frame to frame."""
        return [*self.backbone.keys, *self.backbone.values, *self.depth.keys, *self.depth.values]

    def use(self, sampling: Sampling) -> None:
        """Makes ``sampling`` the one that ``write`` follows."""
        if sampling != self.sampling:
            pair = (sampling.temperature or 1.0, sampling.depth_temperature or 1.0)
            self._temperatures.copy_(torch.tensor(pair))
            self.sampling = sampling

    def draw(self, generator: torch.Generator | None) -> None:
        """Draws all random numbers of one frame, in one piece."""
        if not self.sampling.is_greedy:
            gumbel_(self.noise, generator)

    def slots_read(self) -> torch.Tensor:
        """The positions ``[length]`` that the next ``read`` looks at, in whole steps."""
        return self._read_slots[self.furthest // _LENGTH_STEP]

    def moved(self) -> None:
        """Notes on the host that every row stands one position further."""
        self.furthest += 1

    # The functions on tensors.

    def _read_prompts(
        self, prompts: list[torch.Tensor], ends: torch.Tensor, rows: torch.Tensor | None
    ) -> torch.Tensor:
        """R prompts, their lengths ``[R]``, ``rows`` as in ``prefill`` → last hidden ``[R, H]``."""
        x = torch.nn.utils.rnn.pad_sequence(prompts, batch_first=True)
        return self.read_prompt(x, rows)[self.backbone.rows[: len(prompts)], ends - 1]

    def _write(
        self,
        hidden: torch.Tensor,
        stage: Stage = untimed,
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        with stage("backbone"):
            code = self._chosen(0, self.first_code, self.first_logits, generator, hidden)
        codes = [code]
        with stage("depth"):
            for book in range(1, self.codebooks):
                weights = (self._tables[book - 1], self._heads[book - 1])
                if book == 1:
                    inputs = (hidden, code, *weights)
                    functions = self.second_code, self.second_logits
                else:
                    inputs = (code, self._depth_slots[book + 1], *weights)
                    functions = self.next_code, self.next_logits
                code = self._chosen(book, *functions, generator, *inputs)
                codes.append(code)
        return torch.stack(codes, dim=1)

    def _chosen(
        self,
        book: int,
        code_of: Function,
        logits_of: Function,
        generator: torch.Generator | None,
        *inputs: torch.Tensor,
    ) -> torch.Tensor:
        """Codes ``[B]`` of ``book``, in the way that the settings say."""
        sampling = self.sampling
        if book == 0:
            temperature, top_k = sampling.temperature, sampling.top_k
        else:
            temperature, top_k = sampling.depth_temperature, sampling.depth_top_k
        scalar = self._temperatures[min(book, 1)] if temperature else None
        if self.sync_free:
            return code_of(scalar, top_k, self.noise[book], *inputs)
        return choose_multinomial(logits_of(*inputs), scalar, top_k, generator)

    def _read(
        self, codes: torch.Tensor, positions: torch.Tensor, slots: torch.Tensor
    ) -> torch.Tensor:
        embedded = self.embed_audio(codes)[:, None]
        return self.backbone.step(embedded, positions, slots)[:, 0]

    def _first_logits(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.networks.head(hidden)[:, : self.networks.codes_per_book]

    def _second_logits(
        self, hidden: torch.Tensor, code: torch.Tensor, table: torch.Tensor, head: torch.Tensor
    ) -> torch.Tensor:
        first = self.networks.embed_depth(code, table)
        x = torch.stack((self.networks.projector(hidden), first), dim=1)
        return self.depth.block(x, self.depth.slots[:2])[:, -1] @ head

    def _next_logits(
        self, code: torch.Tensor, slots: torch.Tensor, table: torch.Tensor, head: torch.Tensor
    ) -> torch.Tensor:
        x = self.networks.embed_depth(code, table)[:, None]
        return self.depth.block(x, slots)[:, -1] @ head

    def _first_code(
        self,
        temperature: torch.Tensor | None,
        top_k: int,
        gumbel: torch.Tensor,
        *inputs: torch.Tensor,
    ) -> torch.Tensor:
        return choose(self._first_logits(*inputs), temperature, top_k, gumbel)

    def _second_code(
        self,
        temperature: torch.Tensor | None,
        top_k: int,
        gumbel: torch.Tensor,
        *inputs: torch.Tensor,
    ) -> torch.Tensor:
        return choose(self._second_logits(*inputs), temperature, top_k, gumbel)

    def _next_code(
        self,
        temperature: torch.Tensor | None,
        top_k: int,
        gumbel: torch.Tensor,
        *inputs: torch.Tensor,
    ) -> torch.Tensor:
        return choose(self._next_logits(*inputs), temperature, top_k, gumbel)
