"""Causal language models of transformers: our streaming loops, or transformers' ``generate``.

``static`` writes its cache in place (and can be compiled), ``dynamic`` lets it grow and can have
tokens drafted by a smaller model; both give each token's text as soon as it is there, in the
caller's thread. ``transformers`` is the reference: ``generate`` runs to its end before any text
is out.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Iterator, Sequence
from typing import Any

import torch

from workbench.engines.chat.messages import (
    MAX_TOKENS,
    Ended,
    Message,
    Messages,
    Reply,
    ReplyStream,
    TextChunk,
    checked,
)
from workbench.errors import InputError
from workbench.hardware.work import threads as cpu_threads
from workbench.models.chat.decoder import FixedDecoder, GrowingDecoder
from workbench.models.chat.generate import chooser, drafted_tokens, tokens_of
from workbench.models.chat.load import LoadedChat
from workbench.models.chat.text import Detokenizer, StopText

_NEXT_USER = "\nUser:"  # where a base model, which has no token for it, goes on with a dialogue


class LocalChat:
    """A causal language model; see ``workbench.engines.chat.load.load_chat``.

    One answer at a time with ``static`` (its cache is one); ``dynamic`` may have several streams
    open.
    """

    def __init__(
        self,
        loaded: LoadedChat,
        *,
        name: str,
        weights: str,
        implementation: str = "static",
        threads: int | None = None,
        compile_mode: str | None = None,
        capacity: int = 1024,
        draft: LoadedChat | None = None,
        draft_tokens: int = 4,
    ) -> None:
        self.name = name
        self.weights = weights
        self.implementation = implementation
        self.threads = threads
        self.model = loaded.model
        self.tokenizer = loaded.tokenizer
        self.device: torch.device = loaded.model.device
        self._end_ids = loaded.end_ids
        self._draft = draft
        self._draft_tokens = draft_tokens
        if draft is not None and not _same_tokens(loaded, draft):
            raise InputError(
                f"the drafting model has other tokens than {name}",
                "draft with a smaller model of the same family",
            )
        self._fixed: FixedDecoder | None = None
        if implementation == "static":
            with torch.inference_mode():
                self._fixed = FixedDecoder(loaded.model, capacity, compile_mode)
        self._busy = False

    @property
    def dtype(self) -> str:
        """The type of the weights."""
        return str(self.model.dtype).removeprefix("torch.")

    def stream(
        self,
        messages: Messages,
        *,
        max_tokens: int = MAX_TOKENS,
        stop: Sequence[str] = (),
        temperature: float = 0.0,
        seed: int = 0,
    ) -> ReplyStream:
        """Answers chunk by chunk; see ``ChatModel.stream``.

        Raises InputError for a conversation that is longer than the cache.
        """
        listed = checked(messages, max_tokens, stop, temperature)
        if self._draft is not None and temperature:
            raise InputError(
                "a temperature beside a drafting model", "use temperature=0, or load without draft"
            )
        return ReplyStream(self._stream(listed, max_tokens, stop, temperature, seed))

    def reply(
        self,
        messages: Messages,
        *,
        max_tokens: int = MAX_TOKENS,
        stop: Sequence[str] = (),
        temperature: float = 0.0,
        seed: int = 0,
    ) -> Reply:
        """Answers and returns the whole."""
        return self.stream(
            messages, max_tokens=max_tokens, stop=stop, temperature=temperature, seed=seed
        ).finish()

    def warm_up(self) -> float:
        """Answers a greeting with a few tokens; returns the seconds it took."""
        started = time.perf_counter()
        self.reply("hello", max_tokens=4)
        return time.perf_counter() - started

    def end_probability(self, messages: Messages) -> float:
        """Probability that the last message ends where it does, from its next token.

        What ends it is the token that the chat template puts after a message, or a sentence's
        closing sign.
        """
        listed = checked(messages, 1, (), 0.0)
        ids, ends = self.tokenizer.unfinished(_as_dicts(listed))
        with self._running():
            # One pass and a cache of its own: it may be asked while an answer is under way.
            shares = GrowingDecoder(self.model).feed(ids, last=True)[-1].softmax(-1)
            return float(shares[list(ends)].sum())

    def close(self) -> None:
        """Nothing but memory is held, which goes with the object."""

    def _stream(
        self,
        messages: list[Message],
        max_tokens: int,
        stop: Sequence[str],
        temperature: float,
        seed: int,
    ) -> Generator[TextChunk, None, Reply]:
        started = time.perf_counter()
        prompt = self.tokenizer.prompt(_as_dicts(messages))
        if self.tokenizer.template == "plain":
            stop = (*stop, _NEXT_USER)
        detokenizer, stops = Detokenizer(self.tokenizer.decode), StopText(stop)
        times_ms: list[float] = []
        chunks: list[TextChunk] = []
        ended: Ended = "length"

        def now_ms() -> float:
            return (time.perf_counter() - started) * 1000

        def chunk(text: str) -> TextChunk:
            chunks.append(TextChunk(text, now_ms(), len(chunks)))
            return chunks[-1]

        with self._tokens(prompt, max_tokens, temperature, seed, started) as tokens:
            while len(times_ms) < max_tokens:
                with self._running():
                    token, at_ms = next(tokens)
                times_ms.append(at_ms if at_ms is not None else now_ms())
                if token in self._end_ids:
                    ended = "eos"
                    break
                if text := stops.feed(detokenizer.feed(token)):
                    yield chunk(text)
                if stops.met:
                    ended = "stop"
                    break
        if not stops.met and (text := stops.feed(detokenizer.rest()) + stops.rest()):
            yield chunk(text)
        return Reply(
            text="".join(part.text for part in chunks),
            ended="stop" if stops.met else ended,
            tokens=len(times_ms),
            prompt_tokens=len(prompt),
            tokens_ms=tuple(times_ms),
            chunks_ms=tuple(part.at_ms for part in chunks),
            generation_ms=now_ms(),
            model=self.name,
            weights=self.weights,
            implementation=self.implementation,
        )

    @contextlib.contextmanager
    def _tokens(
        self, prompt: list[int], max_tokens: int, temperature: float, seed: int, started: float
    ) -> Iterator[Iterator[tuple[int, float | None]]]:
        """Tokens, and the ms at which each was known where that isn't now."""
        if self.implementation == "transformers":
            yield self._generated(prompt, max_tokens, temperature, seed, started)
            return
        with self._decoder() as decoder:
            room = len(prompt) + max_tokens + (self._draft_tokens if self._draft else 0)
            if room > decoder.capacity:
                raise InputError(
                    f"{len(prompt)} tokens of conversation and {max_tokens} of answer for a cache "
                    f"of {decoder.capacity}",
                    "shorten the conversation or max_tokens, or load with a larger capacity",
                )
            if self._draft is not None:
                assert isinstance(decoder, GrowingDecoder)
                found = drafted_tokens(
                    decoder, GrowingDecoder(self._draft.model), prompt, self._draft_tokens
                )
            else:
                found = tokens_of(decoder, prompt, chooser(temperature, seed, self.device))
            yield ((token, None) for token in found)

    @contextlib.contextmanager
    def _decoder(self) -> Iterator[FixedDecoder | GrowingDecoder]:
        """An empty cache for one text."""
        if self._fixed is None:
            yield GrowingDecoder(self.model)
            return
        if self._busy:
            raise InputError(
                f"{self.name} is still answering",
                "finish or close the stream before, or load with implementation='dynamic'",
            )
        self._busy = True
        try:
            with torch.inference_mode():
                self._fixed.restart()
            yield self._fixed
        finally:
            self._busy = False

    def _generated(
        self, prompt: list[int], max_tokens: int, temperature: float, seed: int, started: float
    ) -> Iterator[tuple[int, float | None]]:
        """What ``generate`` gives, once it is through, with the time of each token."""
        settings: dict[str, Any] = {"do_sample": temperature > 0}
        if temperature > 0:
            settings |= {"temperature": temperature, "top_k": 0, "top_p": 1.0}
        ends = sorted(self._end_ids)
        clock = _Clock(started)
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(seed)
            made = self.model.generate(
                torch.tensor([prompt], device=self.device),
                attention_mask=torch.ones(1, len(prompt), dtype=torch.long, device=self.device),
                max_new_tokens=max_tokens,
                # Random weights know no end; without one, transformers would take the config's.
                eos_token_id=ends or -1,
                pad_token_id=ends[0] if ends else 0,
                streamer=clock,
                **settings,
            )
        tokens = made[0, len(prompt) :].tolist()
        yield from zip(tokens, clock.times_ms, strict=True)

    @contextlib.contextmanager
    def _running(self) -> Iterator[None]:
        """This model's number of threads, and no gradients."""
        with cpu_threads(self.threads or None), torch.inference_mode():
            yield


class _Clock:
    """A streamer for ``generate`` that notes when tokens come; the first call is the prompt."""

    def __init__(self, started: float) -> None:
        self._started = started
        self._prompt = True
        self.times_ms: list[float] = []

    def put(self, tokens: torch.Tensor) -> None:
        if not self._prompt:
            self.times_ms += [(time.perf_counter() - self._started) * 1000] * tokens.numel()
        self._prompt = False

    def end(self) -> None:
        pass


class ChatJudge:
    """A turn judge for ``workbench.engines.turns``: P(the user's message ends here) of a model.

    ``before`` are the messages so far (a system message, earlier turns).
    """

    def __init__(self, chat: LocalChat, before: Sequence[Message] = ()) -> None:
        self.name = f"{chat.name} ({chat.weights})"
        self._chat = chat
        self._before = tuple(before)

    def probability(self, transcript: str) -> float:
        """P(the turn is over | ``transcript``); 0 before anything was said."""
        if not transcript.strip():
            return 0.0
        return self._chat.end_probability([*self._before, Message("user", transcript)])


def _as_dicts(messages: Sequence[Message]) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.text} for message in messages]


def _same_tokens(one: LoadedChat, two: LoadedChat) -> bool:
    return (
        one.model.config.vocab_size == two.model.config.vocab_size
        and one.tokenizer.vocabulary() == two.tokenizer.vocabulary()
    )
