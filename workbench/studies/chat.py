"""Ways of answering compared: time to first token, time of each further one, paired.

All ways answer the same questions greedily in one process and take turns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from typing import TYPE_CHECKING, Any

from workbench.engines.chat.messages import MAX_TOKENS, ChatModel, Reply
from workbench.errors import InputError, ModelError
from workbench.hardware.fingerprint import fingerprint, label
from workbench.measure import findings
from workbench.measure.statistics import (
    Interval,
    Ratio,
    bootstrap_interval,
    interleaved,
    paired_ratio,
)

if TYPE_CHECKING:
    from workbench.profiling.token_limit import TokenLimit

BASELINE = "transformers"
# What each way changes; settings of ``load_chat``.
WAYS: Mapping[str, Mapping[str, Any]] = {
    BASELINE: {"implementation": "transformers"},
    "growing cache": {"implementation": "dynamic"},
    "static cache": {"implementation": "static"},
    "static cache, compiled": {"implementation": "static", "compile_mode": "default"},
    "static cache, int8": {"implementation": "static", "quantization": "native_int8"},
    "drafted": {"implementation": "dynamic"},  # by the model that ``ways`` is given
}
DEFAULT_WAYS = tuple(name for name in WAYS if "compiled" not in name)
# In the words of the nano domain, so that chat-nano knows them.
QUESTIONS = (
    "what's the weather in london tomorrow",
    "where is the nearest market",
    "could you show me the way to the station",
    "set an alarm for seven o'clock",
    "do you like coffee and cake",
    "remind me to call my sister tonight",
)


@dataclass(frozen=True)
class ChatComparison:
    """Every way's replies: reply i answers question i modulo their number, in the same round.

    ``left_out`` says why a way didn't run.
    """

    questions: tuple[str, ...]
    replies: Mapping[str, Sequence[Reply]]
    left_out: Mapping[str, str]
    machine: str
    limit: TokenLimit | None = None

    @property
    def baseline(self) -> str:
        """The way that the others are compared with: the first."""
        return next(iter(self.replies))

    @property
    def others(self) -> list[str]:
        """All ways but the baseline."""
        return list(self.replies)[1:]

    @property
    def caption(self) -> str:
        """What answered what, and n."""
        first = self.replies[self.baseline][0]
        rounds = len(self.replies[self.baseline]) // len(self.questions)
        random = first.weights == "random"
        weights = "random weights" if random else f"weights {first.weights[:12]}"
        return (
            f"{first.model} ({weights}) · {len(self.questions)} questions · {self.machine} · n = "
            f"{rounds} interleaved round{'' if rounds == 1 else 's'}"
        )

    def first_token_ms(self, way: str) -> Interval:
        """Median time to the first token."""
        return bootstrap_interval([reply.ttft_ms for reply in self.replies[way]])

    def first_text_ms(self, way: str) -> Interval:
        """Median time until some text is out, which is what speech can begin with."""
        return bootstrap_interval([_first_text_ms(reply) for reply in self.replies[way]])

    def token_ms(self, way: str) -> Interval | None:
        """Median time of a token after the first; None where answers are one token long."""
        times = [reply.tpot_ms for reply in self.replies[way] if reply.tpot_ms is not None]
        return bootstrap_interval(times) if len(times) > 1 else None

    def tokens_per_s(self, way: str) -> Interval:
        """Median of tokens a second of the whole answer."""
        return bootstrap_interval([_rate(reply) for reply in self.replies[way]])

    def ratio(self, way: str) -> Ratio:
        """How many times as fast as the baseline, by whole answer / tokens, paired by question."""
        return paired_ratio(self._costs(self.baseline), self._costs(way))

    def same(self, way: str) -> bool:
        """Whether all its answers are the baseline's, word for word."""
        pairs = zip(self.replies[self.baseline], self.replies[way], strict=True)
        return all(first.text == second.text for first, second in pairs)

    @property
    def best(self) -> str:
        """The way with the least time for each token."""
        return min(self.replies, key=lambda way: bootstrap_interval(self._costs(way)).value)

    @property
    def finding(self) -> str:
        """What the best way gains."""
        if self.best == self.baseline:
            return f"No way is quicker than {self.baseline}"
        gain = findings.faster(self.ratio(self.best), self.baseline)
        return f"{findings.capital(self.best)}: {gain}"

    @property
    def verdict(self) -> str:
        """What was learned, in words."""
        first, before = (self.first_text_ms(way).value for way in (self.best, self.baseline))
        words = f"{self.finding}. The first text is out after {_ms(first)} with {self.best}"
        words += (
            "." if self.best == self.baseline else f", after {_ms(before)} with {self.baseline}."
        )
        token = self.token_ms(self.best)
        if self.limit is not None and token is not None:
            words += (
                f" A token takes {_ms(token.value)}, {token.value / self.limit.limit_ms:,.1f} "
                f"times the limit of {_ms(self.limit.limit_ms)}."
            )
        if "drafted" in self.others and "growing cache" in self.replies:
            gain = paired_ratio(self._costs("growing cache"), self._costs("drafted"))
            words += f" Drafting: {findings.faster(gain, 'without')}."
        changed = [way for way in self.others if not self.same(way)]
        if changed:
            words += f" Other answers come from {', '.join(changed)}."
        return words

    def rows(self) -> list[dict[str, Any]]:
        """One row a way."""
        return [
            {
                "way": way,
                "first token (ms)": self.first_token_ms(way),
                "first text (ms)": self.first_text_ms(way),
                "further token (ms)": self.token_ms(way),
                "tokens (per s)": self.tokens_per_s(way),
                f"as fast as {self.baseline}": None if way == self.baseline else self.ratio(way),
                "same answers": self.same(way),
            }
            for way in self.replies
        ]

    def length_rows(self) -> list[dict[str, Any]]:
        """One row a way, where the ways are limits of the answer's length: what each saves."""
        rows = []
        for way, replies in self.replies.items():
            spent = self._answers_ms(way)
            saved = paired_ratio(self._answers_ms(self.baseline), spent)
            rows.append({
                "limit": way,
                "tokens": bootstrap_interval([float(reply.tokens or 0) for reply in replies]),
                "answer (ms)": bootstrap_interval(spent),
                f"as fast as {self.baseline}": None if way == self.baseline else saved,
                "ended by itself": sum(reply.ended != "length" for reply in replies),
            })  # fmt: skip
        return rows

    def answers(self) -> list[dict[str, Any]]:
        """What the best way answered, one row a question."""
        replies = self.replies[self.best][: len(self.questions)]
        return [
            {"question": question, "answer": reply.text, "ended by": reply.ended}
            for question, reply in zip(self.questions, replies, strict=True)
        ]

    def first_texts(self) -> dict[str, Interval]:
        """Time to the first text, by way."""
        return {way: self.first_text_ms(way) for way in self.replies}

    def samples(self) -> Iterator[tuple[str, list[float], str]]:
        """Raw samples for the record: name, values, unit."""
        for way, replies in self.replies.items():
            yield f"first token/{way}", [reply.ttft_ms for reply in replies], "ms"
            yield f"first text/{way}", [_first_text_ms(reply) for reply in replies], "ms"
            yield f"answer/{way}", self._answers_ms(way), "ms"

    def details(self) -> dict[str, Any]:
        """What a record keeps beside the samples: who answered what, and how long."""
        first = self.replies[self.baseline][0]
        return {
            "model": first.model,
            "weights": first.weights,
            "questions": list(self.questions),
            "tokens": {way: [one.tokens for one in of] for way, of in self.replies.items()},
            "left_out": dict(self.left_out),
        }

    def _answers_ms(self, way: str) -> list[float]:
        return [reply.generation_ms for reply in self.replies[way]]

    def _costs(self, way: str) -> list[float]:
        return [reply.generation_ms / max(reply.tokens or 1, 1) for reply in self.replies[way]]


def ways(names: Sequence[str], draft: str | None = None) -> dict[str, Mapping[str, Any]]:
    """The ways called ``names``; ``draft`` is the model that drafts for ``drafted``.

    Raises InputError for an unknown one. Without a ``draft``, ``drafted`` is left away.
    """
    if unknown := [name for name in names if name not in WAYS]:
        raise InputError(f"no way called {unknown[0]!r}", f"use {'; '.join(WAYS)}")
    found = {name: WAYS[name] for name in names if name != "drafted" or draft}
    if "drafted" in found:
        found["drafted"] = {**WAYS["drafted"], "draft": draft}
    return found


def limits(counts: Sequence[int], **settings: Any) -> dict[str, Mapping[str, Any]]:
    """One model as several ways, which answer with so many tokens at most; longest first."""
    return {
        f"at most {count} tokens": {**settings, "max_tokens": count}
        for count in sorted(set(counts), reverse=True)
    }


def compare_chats(
    questions: Sequence[str],
    compared: Mapping[str, Mapping[str, Any]],
    *,
    rounds: int = 3,
    max_tokens: int = MAX_TOKENS,
    limit: TokenLimit | None = None,
    seed: int = 0,
    wrap: Callable[[Iterable[int]], Iterable[int]] = lambda trials: trials,
    **common: Any,
) -> ChatComparison:
    """Each of the ``compared`` ways answers every question in each round.

    The first is the baseline. A way's settings, and ``common`` ones below them, are
    ``load_chat``'s; ``max_tokens`` among them is the answer's. A way that can't run here is left
    out, with the reason; the baseline must run. ``wrap`` sees the trials pass.
    """
    if not questions or rounds * len(questions) < 2:
        raise InputError(
            f"{len(questions)} questions in {rounds} rounds", "let there be two answers at least"
        )
    from workbench.engines.chat.load import load_chat

    arms: dict[str, Callable[[], Reply]] = {}
    loaded: dict[str, ChatModel] = {}  # by settings: limits of the length share one model
    left_out: dict[str, str] = {}
    for way, given in compared.items():
        settings = {**common, **given}
        most = settings.pop("max_tokens", max_tokens)
        key = repr(sorted(settings.items()))
        try:
            if key not in loaded:
                loaded[key] = load_chat(**settings)
                loaded[key].warm_up()
        except (InputError, ModelError) as problem:
            if not arms:
                raise
            left_out[way] = problem.what
            continue
        arms[way] = partial(_next, loaded[key], cycle(questions), most)
    found = interleaved(arms, rounds * len(questions), seed, wrap)
    return ChatComparison(tuple(questions), found, left_out, label(fingerprint()), limit)


def _next(chat: ChatModel, questions: Iterator[str], max_tokens: int) -> Reply:
    return chat.reply(next(questions), max_tokens=max_tokens)


def _first_text_ms(reply: Reply) -> float:
    return reply.chunks_ms[0] if reply.chunks_ms else reply.generation_ms


def _ms(value: float) -> str:
    return f"{value:,.0f} ms" if value >= 100 else f"{value:.2g} ms"


def _rate(reply: Reply) -> float:
    return reply.tokens_per_s or 0.0
