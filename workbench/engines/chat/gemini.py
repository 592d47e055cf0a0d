"""Gemini over its API, streamed, through google-genai.

The key comes from the environment only. It is in no message, log, representation or record of
ours; errors of the service are shown without it even where the service repeats it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Iterator, Sequence
from typing import Any

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
from workbench.errors import InputError, ModelError, ServiceError, WorkbenchError

KEYS = ("GEMINI_API_KEY", "GOOGLE_API_KEY")  # the first that is set
_ENDS: dict[str, Ended] = {"STOP": "eos", "MAX_TOKENS": "length"}


class GeminiChat:
    """A model of Google's; each request is one HTTP stream, never tried again by itself.

    ``timeout_s`` bounds connecting and every wait for the next piece. ``thinking_budget`` tokens
    may be thought before the answer (0: none, where the model allows it; None: its own choice).
    ``base_url`` replaces the service's address, for tests.

    Raises InputError where no key is set, ModelError where google-genai isn't installed.
    """

    implementation = "gemini"
    weights = "service"

    def __init__(
        self,
        name: str,
        *,
        timeout_s: float = 30.0,
        thinking_budget: int | None = None,
        base_url: str | None = None,
    ) -> None:
        if timeout_s <= 0:
            raise InputError(f"timeout_s={timeout_s}", "use a positive number of seconds")
        try:
            from google import genai
            from google.genai import types
        except ImportError as problem:
            raise ModelError(
                f"Gemini needs google-genai: {problem}", "pip install 'workbench[gemini]'"
            ) from problem
        key = next((os.environ[variable] for variable in KEYS if os.environ.get(variable)), None)
        if key is None:
            raise InputError(
                f"no key for {name} in the environment",
                f"set {KEYS[0]} (from https://aistudio.google.com/apikey), or use a local model",
            )
        self.name = name
        self.timeout_s = timeout_s
        self.thinking_budget = thinking_budget
        self._secret = key
        self._client: Any = genai.Client(
            api_key=key,
            vertexai=False,
            http_options=types.HttpOptions(base_url=base_url, timeout=round(timeout_s * 1000)),
        )

    def __repr__(self) -> str:
        return f"GeminiChat({self.name!r})"

    def stream(
        self,
        messages: Messages,
        *,
        max_tokens: int = MAX_TOKENS,
        stop: Sequence[str] = (),
        temperature: float = 0.0,
        seed: int = 0,
    ) -> ReplyStream:
        """Answers chunk by chunk, several tokens each.

        At a stop text the reply's ``ended`` is ``eos``: the service doesn't tell them apart.

        Raises ServiceError where the service refuses, is too slow, breaks off or goes away, and
        InputError where it finds the request wrong.
        """
        listed = checked(messages, max_tokens, stop, temperature)
        config: dict[str, Any] = {
            "max_output_tokens": max_tokens,
            "temperature": temperature,
            "seed": seed,
            "candidate_count": 1,
        }
        if stop:
            config["stop_sequences"] = list(stop)
        if system := [message.text for message in listed if message.role == "system"]:
            config["system_instruction"] = "\n".join(system)
        if self.thinking_budget is not None:
            config["thinking_config"] = {"thinking_budget": self.thinking_budget}
        contents = [
            {
                "role": "model" if message.role == "assistant" else "user",
                "parts": [{"text": message.text}],
            }
            for message in listed
            if message.role != "system"
        ]
        return ReplyStream(self._stream(contents, config))

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
        """Asks for a few tokens, which opens the connection; returns the seconds it took."""
        started = time.perf_counter()
        self.stream([Message("user", "Hello")], max_tokens=4).finish()
        return time.perf_counter() - started

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def _stream(
        self, contents: list[dict[str, Any]], config: dict[str, Any]
    ) -> Generator[TextChunk, None, Reply]:
        started = time.perf_counter()
        chunks: list[TextChunk] = []
        usage: Any = None
        reason = ""
        for response in self._responses(contents, config):
            usage = response.usage_metadata or usage
            reason = _reason(response) or reason
            if text := _text(response):
                at_ms = (time.perf_counter() - started) * 1000
                chunks.append(TextChunk(text, at_ms, len(chunks)))
                yield chunks[-1]
        if not reason:
            raise ServiceError(
                f"{self.name} broke off in mid-answer, after {len(chunks)} pieces of text",
                "check the network, and ask again",
            )
        if reason not in _ENDS:
            raise ServiceError(f"{self.name} refused to answer: {reason}", "ask something else")
        return Reply(
            text="".join(chunk.text for chunk in chunks),
            ended=_ENDS[reason],
            tokens=usage.candidates_token_count if usage else None,
            prompt_tokens=usage.prompt_token_count if usage else None,
            tokens_ms=(),
            chunks_ms=tuple(chunk.at_ms for chunk in chunks),
            generation_ms=(time.perf_counter() - started) * 1000,
            model=self.name,
            weights=self.weights,
            implementation=self.implementation,
        )

    def _responses(self, contents: list[dict[str, Any]], config: dict[str, Any]) -> Iterator[Any]:
        """The service's responses; its errors as ours, which hold no key and no request."""
        failure: WorkbenchError | None = None
        responses = None
        try:
            responses = self._client.models.generate_content_stream(
                model=self.name, contents=contents, config=config
            )
            yield from responses
        except Exception as problem:  # of google-genai, its HTTP client, or the socket
            failure = self._explained(problem)
        finally:
            if responses is not None:
                responses.close()
        # Raised out here, so that it doesn't carry the original, whose request holds the key.
        if failure is not None:
            raise failure

    def _explained(self, problem: Exception) -> WorkbenchError:
        from google.genai import errors

        kind = type(problem).__name__
        if not isinstance(problem, errors.APIError):
            if "Timeout" in kind:
                return ServiceError(
                    f"{self.name} gave nothing for {self.timeout_s:g} s",
                    "check the network, or allow a longer timeout_s",
                )
            return ServiceError(
                f"the connection to {self.name} failed: {kind}: {self._clean(problem)}",
                "check the network, and ask again",
            )
        said = self._clean(problem.message or problem.status or "no reason given")
        if problem.code == 429:
            return ServiceError(
                f"{self.name} takes no more requests for now: {said}",
                f"wait {_retry_delay(problem) or 'a minute'}, or check the key's quota",
            )
        if problem.code in (401, 403) or "API key" in said:
            return ServiceError(
                f"{self.name} refuses the key: {said}",
                f"check {' or '.join(KEYS)} and what the key may be used for",
            )
        if problem.code == 404:
            return InputError(f"the service knows no model {self.name!r}: {said}", "check the name")
        if problem.code == 400:
            return InputError(f"{self.name} refuses the request: {said}", "change the settings")
        return ServiceError(f"{self.name} failed ({problem.code}): {said}", "ask again later")

    def _clean(self, text: object) -> str:
        return str(text).replace(self._secret, "[key]")


def _text(response: Any) -> str:
    """The response's text, thoughts left out."""
    for candidate in (response.candidates or ())[:1]:
        parts = (candidate.content.parts if candidate.content else None) or ()
        return "".join(part.text for part in parts if part.text and not part.thought)
    return ""


def _reason(response: Any) -> str:
    """Why the answer ended, empty while it goes on."""
    if response.prompt_feedback and response.prompt_feedback.block_reason:
        return str(response.prompt_feedback.block_reason.value)
    for candidate in (response.candidates or ())[:1]:
        if candidate.finish_reason:
            return str(candidate.finish_reason.value)
    return ""


def _retry_delay(problem: Any) -> str:
    """How long the service wants to be left alone (``13s``), empty where it doesn't say.

    In the error's details (RetryInfo), or in the header Retry-After: seconds, or a date.
    """
    details = problem.details if isinstance(problem.details, dict) else {}
    for entry in details.get("error", details).get("details") or ():
        if "retryDelay" in entry:
            return str(entry["retryDelay"])
    headers = getattr(problem.response, "headers", None) or {}
    after = str(headers.get("retry-after", ""))
    return f"{after}s" if after.isdigit() else after and f"until {after}"
