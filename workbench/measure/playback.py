"""When a listener hears what was streamed: a simulated player, its stalls, the prebuffer it needs.

The player starts ``prebuffer_ms`` after the first chunk reached the host (the playout delay of a
jitter buffer), plays the chunks back to back, and when the next chunk is not there yet it falls
silent (an *underrun*) and goes on the moment that the chunk arrives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from workbench.engines.speech import Speech
from workbench.errors import InputError

# Sums of floats differ in their last bits: a chunk less than a nanosecond late is on time.
_ON_TIME_MS = 1e-6


@dataclass(frozen=True)
class Stall:
    """A silence in the player: from ``start_ms`` after the request, ``duration_ms`` long."""

    start_ms: float
    duration_ms: float


@dataclass(frozen=True)
class Playback:
    """One playback; every time in ms after the request.

    ``arrivals_ms``, ``durations_ms`` and ``played_ms`` have one entry a chunk: when it reached the
    host, how long it lasts, when its first sample is played.
    """

    arrivals_ms: tuple[float, ...]
    durations_ms: tuple[float, ...]
    played_ms: tuple[float, ...]
    stalls: tuple[Stall, ...]
    prebuffer_ms: float

    @property
    def start_ms(self) -> float:
        """When the first sample is played."""
        return self.played_ms[0]

    @property
    def end_ms(self) -> float:
        """When the last sample has been played."""
        return self.played_ms[-1] + self.durations_ms[-1]

    @property
    def gaps_ms(self) -> tuple[float, ...]:
        """Times between one chunk's arrival and the next, one fewer than there are chunks."""
        return tuple(later - earlier for earlier, later in pairwise(self.arrivals_ms))

    @property
    def underruns(self) -> int:
        """How often the player ran dry before the end."""
        return len(self.stalls)

    @property
    def stalled_ms(self) -> float:
        """Silence that the underruns put into the speech, all together."""
        return sum(stall.duration_ms for stall in self.stalls)

    def heard_ms(self, position_ms: float) -> float:
        """When the sample ``position_ms`` into the audio is played."""
        begins = 0.0
        for played, duration in zip(self.played_ms, self.durations_ms, strict=True):
            if position_ms < begins + duration:
                return played + position_ms - begins
            begins += duration
        return self.end_ms


def simulate_player(
    chunks_ms: Sequence[float],
    chunks_samples: Sequence[int],
    rate_hz: int,
    prebuffer_ms: float = 0.0,
) -> Playback:
    """Plays chunks that arrived at ``chunks_ms`` after the request, ``chunks_samples`` long each.

    Raises InputError for no chunks, lists of different lengths, times that run backwards, and
    negative lengths.
    """
    durations_ms = _durations(chunks_ms, chunks_samples, rate_hz)
    if prebuffer_ms < 0:
        raise InputError(f"a prebuffer of {prebuffer_ms} ms", "pass 0 or more")
    played: list[float] = []
    stalls: list[Stall] = []
    free_ms = chunks_ms[0] + prebuffer_ms  # when the player has played all that it got so far
    for arrival, duration in zip(chunks_ms, durations_ms, strict=True):
        if arrival > free_ms + _ON_TIME_MS:
            stalls.append(Stall(free_ms, arrival - free_ms))
            free_ms = arrival
        played.append(free_ms)
        free_ms += duration
    return Playback(tuple(chunks_ms), durations_ms, tuple(played), tuple(stalls), prebuffer_ms)


def needed_prebuffer_ms(
    chunks_ms: Sequence[float], chunks_samples: Sequence[int], rate_hz: int
) -> float:
    """The smallest prebuffer with which the player never runs dry.

    Chunk i must be there when all before it have been played, so the start may not be sooner than
    ``max_i(arrival_i - audio before i)``.
    """
    durations_ms = _durations(chunks_ms, chunks_samples, rate_hz)
    before_ms = accumulate(durations_ms[:-1], initial=0.0)
    earliest = max(arrival - audio for arrival, audio in zip(chunks_ms, before_ms, strict=True))
    return float(max(earliest - chunks_ms[0], 0.0))


def played(speech: Speech, prebuffer_ms: float = 0.0) -> Playback:
    """The simulated player, fed with the chunks of ``speech`` as they came."""
    return simulate_player(speech.chunks_ms, speech.chunks_samples, speech.rate_hz, prebuffer_ms)


def audible_onset_ms(speech: Speech, prebuffer_ms: float = 0.0) -> float | None:
    """When the first audible sample (above -40 dBFS) is played, in ms after the request.

    The onset often lies some chunks in, so it depends on when those arrived as well. None where
    the speech is silent.
    """
    onset_s = speech.audible_onset_s
    return None if onset_s is None else played(speech, prebuffer_ms).heard_ms(onset_s * 1000)


def _durations(
    chunks_ms: Sequence[float], chunks_samples: Sequence[int], rate_hz: int
) -> tuple[float, ...]:
    if not len(chunks_ms) or len(chunks_ms) != len(chunks_samples):
        raise InputError(
            f"{len(chunks_ms)} arrival times for {len(chunks_samples)} chunks",
            "pass one time and one length for each chunk, and at least one chunk",
        )
    if any(later < earlier for earlier, later in pairwise(chunks_ms)):
        raise InputError("chunks arrive before their predecessors", "pass them in order of time")
    if rate_hz <= 0 or min(chunks_samples) < 0:
        raise InputError("a negative length or rate", "pass lengths >= 0 and a positive rate")
    return tuple(1000 * samples / rate_hz for samples in chunks_samples)
