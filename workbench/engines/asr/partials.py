"""Partial transcripts of audio that is still growing, by local agreement.

A recognizer of whole recordings is run again on the audio so far; the words in which two
successive runs agree are confirmed and never change again (LocalAgreement-2: Liu et al., 2020,
"Low-latency sequence-to-sequence speech recognition and translation by partial hypothesis
selection"; applied to Whisper by Macháček et al., 2023, "Turning Whisper into real-time
transcription system").
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from workbench.audio import Audio
from workbench.engines.asr.transcript import Recognizer, Transcript
from workbench.errors import InputError

_SIGNS = ".,!?;:…\"'()[]-–—"


@dataclass(frozen=True)
class Partial:
    """What is known of the text after ``audio_s`` of audio.

    ``confirmed`` only ever grows; ``tentative`` is the newest guess at what follows it.
    ``latency_ms`` is how long the newest run took. ``final`` once the audio has ended.
    """

    confirmed: str
    tentative: str
    audio_s: float
    latency_ms: float
    final: bool = False

    @property
    def text(self) -> str:
        """Both parts."""
        return " ".join(part for part in (self.confirmed, self.tentative) if part)


class LocalAgreement:
    """Confirms the words in which ``runs`` successive hypotheses of the same audio agree.

    Words are compared without case and punctuation; the newest run's spelling is confirmed.
    """

    def __init__(self, runs: int = 2) -> None:
        if runs < 1:
            raise InputError(f"an agreement of {runs} runs", "use at least 1")
        self._runs = runs
        self._recent: list[list[str]] = []
        self.confirmed: list[str] = []

    def add(self, words: Sequence[str]) -> tuple[list[str], list[str]]:
        """Takes a new hypothesis; the words it newly confirms, and those that stay tentative."""
        self._recent = [*self._recent, list(words)][-self._runs :]
        known = len(self.confirmed)
        agreed = known
        if len(self._recent) == self._runs:
            shortest = min(map(len, self._recent))
            while agreed < shortest and self._same(agreed):
                agreed += 1
        new = list(words[known:agreed])
        self.confirmed += new
        return new, list(words[len(self.confirmed) :])

    def _same(self, place: int) -> bool:
        return len({_plain(words[place]) for words in self._recent}) == 1


def _plain(word: str) -> str:
    return word.strip(_SIGNS).lower()


class GrowingTranscript:
    """Feed audio as it arrives; ask for partial texts.

    ``recognizer`` runs again whenever ``step_s`` of new audio is there. Once the audio is longer
    than ``trim_after_s`` it is cut after the last confirmed word (so that a run never takes longer
    than that), or, where the recognizer gives no word times, the whole newest hypothesis is
    confirmed and its audio dropped.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        *,
        step_s: float = 0.5,
        agreement: int = 2,
        trim_after_s: float = 15.0,
    ) -> None:
        if step_s <= 0:
            raise InputError(f"a step of {step_s} s", "use a positive number of seconds")
        if trim_after_s < 2 * step_s:
            raise InputError(
                f"audio trimmed after {trim_after_s} s at steps of {step_s} s",
                "let trim_after_s be at least two steps",
            )
        self._recognizer = recognizer
        self._step_s, self._agreement, self._trim_after_s = step_s, agreement, trim_after_s
        self._audio: Audio | None = None
        self._heard_s = 0.0  # length of _audio at the last run
        self._dropped_s = 0.0
        self._past: list[str] = []  # confirmed words whose audio is gone
        self._current = LocalAgreement(agreement)
        self._ended = False

    @property
    def confirmed(self) -> str:
        """All words that won't change any more."""
        return " ".join([*self._past, *self._current.confirmed])

    def push(self, audio: Audio) -> Partial | None:
        """Adds ``audio``; a partial text where enough is new, else None.

        Raises InputError after ``finish``, or for a rate other than the first piece's.
        """
        if self._ended:
            raise InputError("audio after the end", "make another GrowingTranscript")
        self._audio = audio if self._audio is None else Audio.concatenate([self._audio, audio])
        if self._audio.duration_s - self._heard_s < self._step_s:
            return None
        return self._run(final=False)

    def finish(self) -> Partial:
        """The audio has ended: the final text, of a last run over what is left."""
        self._ended = True
        if self._audio is None or not len(self._audio):
            return Partial(self.confirmed, "", self._dropped_s, 0.0, final=True)
        return self._run(final=True)

    def _run(self, *, final: bool) -> Partial:
        audio = self._audio
        assert audio is not None
        long = audio.duration_s > self._trim_after_s and not final
        transcript = self._recognizer.transcribe(
            audio, words=long and self._recognizer.gives_word_times
        )
        self._heard_s = audio.duration_s
        total_s = self._dropped_s + audio.duration_s
        spoken = transcript.text.split()
        _, tentative = self._current.add(spoken)
        if final:
            # What was confirmed stays; the last run, which heard all, has the rest.
            return Partial(
                " ".join([*self._past, *self._current.confirmed, *tentative]),
                "",
                total_s,
                transcript.latency_ms,
                final=True,
            )
        if long:
            tentative = self._trim(audio, transcript, tentative)
        return Partial(self.confirmed, " ".join(tentative), total_s, transcript.latency_ms)

    def _trim(self, audio: Audio, transcript: Transcript, tentative: list[str]) -> list[str]:
        """Drops the audio of confirmed words; returns what is still tentative."""
        done = len(self._current.confirmed)
        cut_s = audio.duration_s
        if self._recognizer.gives_word_times:
            if not 0 < done <= len(transcript.words):
                return tentative  # nothing is certain yet: go on, and cut later
            cut_s = min(transcript.words[done - 1].end_s, audio.duration_s)
        else:
            self._current.confirmed += tentative
            tentative = []
        first = round(cut_s * audio.rate_hz)
        self._past += self._current.confirmed
        self._current = LocalAgreement(self._agreement)
        self._audio = Audio(audio.samples[first:], audio.rate_hz)
        self._dropped_s += first / audio.rate_hz
        self._heard_s = len(self._audio) / audio.rate_hz
        return tentative


def partials(
    recognizer: Recognizer,
    audio: Iterable[Audio],
    *,
    step_s: float = 0.5,
    agreement: int = 2,
    trim_after_s: float = 15.0,
) -> Iterator[Partial]:
    """Partial texts of ``audio`` that comes in pieces; the last one is final."""
    growing = GrowingTranscript(
        recognizer, step_s=step_s, agreement=agreement, trim_after_s=trim_after_s
    )
    for piece in audio:
        partial = growing.push(piece)
        if partial is not None:
            yield partial
    yield growing.finish()
