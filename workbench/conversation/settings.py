"""How a session runs, whatever its stages are."""

from __future__ import annotations

from dataclasses import dataclass, field

from workbench.conversation.events import Mode
from workbench.engines.chat.messages import MAX_TOKENS
from workbench.engines.turns.detectors import MIN_SILENCE_S, SILENCE_S
from workbench.errors import InputError


@dataclass(frozen=True)
class TimeLimits:
    """After how many seconds a stage has failed; ``chat_s`` and ``synthesizer_s`` hold for each
    piece of text and sound.
    """

    recognizer_s: float = 10.0
    turn_s: float = 2.0
    chat_s: float = 10.0
    synthesizer_s: float = 10.0
    player_s: float = 5.0  # beyond the chunk's own length


@dataclass(frozen=True)
class Settings:
    """A session's settings.

    ``serial`` waits for each stage to finish before the next begins, as FERN does: silence, text,
    answer, sound. ``overlapped`` recognizes while the user speaks (every ``partial_step_s``; None:
    not at all), begins an answer ``pause_s`` into a silence (with ``speculate`` off: once the turn
    is over), hands clauses to the synthesizer as they come and plays the first sound at once.

    ``barge_in`` off: what the user says during an answer is ignored. A turn longer than
    ``max_turn_s`` is ended. ``preroll_s`` of sound before the speech was found belong to the turn.
    ``history`` messages are remembered. ``clauses_ahead`` and ``chunks_ahead`` bound what is made
    ahead of the next stage. ``fallback_silence_s`` ends a turn where its detector has failed. What
    can't be answered because a stage is out is answered with ``not_understood`` (recognizer) or
    ``no_answer`` (chat model), words of the nano voice's domain.

    Raises InputError for settings that make no session.
    """

    mode: Mode = "overlapped"
    speculate: bool = True
    partial_step_s: float | None = 0.5
    pause_s: float = MIN_SILENCE_S
    barge_in: bool = True
    max_turn_s: float = 28.0  # and what is added to it stays within Whisper's 30 s
    preroll_s: float = 0.3
    history: int = 8
    system: str = ""
    max_tokens: int = MAX_TOKENS
    clauses_ahead: int = 4
    chunks_ahead: int = 50
    fallback_silence_s: float = SILENCE_S
    limits: TimeLimits = field(default_factory=TimeLimits)
    not_understood: str = "sorry, i didn't understand the question"
    no_answer: str = "i'm sorry, i can't find the answer"

    def __post_init__(self) -> None:
        for wrong, what, remedy in (
            (self.mode not in ("serial", "overlapped"), f"mode={self.mode!r}",
             "use serial or overlapped"),
            (self.partial_step_s is not None and self.partial_step_s <= 0,
             f"partial_step_s={self.partial_step_s}", "use a positive number of seconds, or None"),
            (self.pause_s <= 0, f"pause_s={self.pause_s}", "use a positive number of seconds"),
            (self.max_turn_s < 1, f"max_turn_s={self.max_turn_s}", "allow at least a second"),
            (min(self.history, self.clauses_ahead, self.chunks_ahead, self.max_tokens) < 1,
             "a limit below 1", "use at least 1"),
        ):  # fmt: skip
            if wrong:
                raise InputError(what, remedy)

    @property
    def overlapped(self) -> bool:
        """Whether stages overlap."""
        return self.mode == "overlapped"

    @property
    def speculative(self) -> bool:
        """Whether an answer is begun before the turn is over."""
        return self.overlapped and self.speculate
