"""Codes that go round in circles: CSM is known to hang on a sound, or on silence."""

from __future__ import annotations

LONGEST_PERIOD = 12  # frames: about a second, a short word said again and again
LOOP_FRAMES = 50  # 4 s of nothing new; the longest vowel or pause is far shorter


class LoopWatch:
    """Sees the codes of the first codebook, frame by frame, and tells when they repeat.

    The first codebook is the semantic one (Défossez et al. 2024, arXiv 2410.00037): where it
    repeats with some period of at most ``longest_period`` frames for ``loop_frames`` frames,
    nothing new is said, whatever the other codebooks do.
    """

    def __init__(
        self, longest_period: int = LONGEST_PERIOD, loop_frames: int = LOOP_FRAMES
    ) -> None:
        self._codes: list[int] = []
        self._equal = [0] * longest_period  # how long each period has held
        self._loop_frames = loop_frames

    def loops(self, code: int) -> bool:
        """Takes the next frame's code; whether the last ``loop_frames`` frames are a loop."""
        found = False
        for index in range(len(self._equal)):
            period = index + 1
            held = len(self._codes) >= period and self._codes[-period] == code
            self._equal[index] = self._equal[index] + 1 if held else 0
            found |= self._equal[index] + period >= self._loop_frames and held
        self._codes.append(code)
        del self._codes[: -len(self._equal)]
        return found


def loop_end(codes: list[int], watch: LoopWatch | None = None) -> int | None:
    """The number of ``codes`` up to where a loop is noticed; None where there is none."""
    watch = watch or LoopWatch()
    for index, code in enumerate(codes):
        if watch.loops(code):
            return index + 1
    return None
