"""Voice-activity detectors: a short frame of audio in, the probability of speech out.

Silero VAD (snakers4/silero-vad, MIT) is a small recurrent network, here from the ONNX file that
faster-whisper brings along; WebRTC VAD is the Gaussian-mixture detector of Google's WebRTC
project, which decides and gives no probability.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from workbench.audio import Audio
from workbench.errors import InputError, ModelError

RATE_HZ = 16_000
_SILERO_FRAME = 512  # samples, 32 ms: the only length it was trained with at 16 kHz
_SILERO_CONTEXT = 64  # samples of the frame before that it wants to see again
_SILERO_STATE = (1, 1, 128)
_WEBRTC_FRAMES_MS = (10, 20, 30)


class VoiceActivityDetector(Protocol):
    """Frames of speech and silence; keeps state from frame to frame.

    It takes frames of exactly ``frame_samples`` samples at ``rate_hz``. ``threshold`` is the
    probability above which its makers call a frame speech.
    """

    name: str
    rate_hz: int
    frame_samples: int
    threshold: float

    def probability(self, frame: np.ndarray) -> float:
        """Probability that the next ``frame`` ``[frame_samples]`` float32 holds speech.

        0 or 1 from a detector that only decides. Raises InputError for a frame of another length.
        """
        ...

    def reset(self) -> None:
        """Forgets all frames so far."""
        ...


class SileroVad:
    """Silero VAD, frames of 32 ms; about 2 MB of weights on one thread of onnxruntime.

    Raises ModelError where faster-whisper's file is missing or of an unknown form.
    """

    name = "silero"
    rate_hz = RATE_HZ
    frame_samples = _SILERO_FRAME
    threshold = 0.5

    def __init__(self) -> None:
        self._session = _silero_session()
        self._hidden: np.ndarray
        self._cell: np.ndarray
        self._context: np.ndarray
        self.reset()

    def probability(self, frame: np.ndarray) -> float:
        """Probability of speech in ``frame`` ``[512]``, given the frames before."""
        _check(self, frame)
        seen = np.concatenate([self._context, frame])[None].astype(np.float32, copy=False)
        found, self._hidden, self._cell = self._session.run(
            None, {"input": seen, "h": self._hidden, "c": self._cell}
        )
        self._context = seen[0, -_SILERO_CONTEXT:]
        return float(found.reshape(-1)[0])

    def reset(self) -> None:
        """Forgets all frames so far."""
        self._hidden = np.zeros(_SILERO_STATE, np.float32)
        self._cell = np.zeros(_SILERO_STATE, np.float32)
        self._context = np.zeros(_SILERO_CONTEXT, np.float32)


class WebRtcVad:
    """WebRTC's detector: frames of 10, 20 or 30 ms; ``mode`` 0 (lenient) to 3 (strict).

    Raises InputError for another mode or length, ModelError where its package isn't installed.
    """

    name = "webrtc"
    rate_hz = RATE_HZ
    threshold = 0.5

    def __init__(self, mode: int = 2, frame_ms: int = 30) -> None:
        if mode not in range(4):
            raise InputError(f"mode={mode} of WebRTC VAD", "use 0 (lenient) to 3 (strict)")
        if frame_ms not in _WEBRTC_FRAMES_MS:
            raise InputError(f"frames of {frame_ms} ms for WebRTC VAD", "use 10, 20 or 30 ms")
        self.mode = mode
        self.frame_samples = frame_ms * RATE_HZ // 1000
        self.reset()

    def probability(self, frame: np.ndarray) -> float:
        """1 where the detector hears speech in ``frame``, else 0."""
        _check(self, frame)
        pcm = np.clip(np.round(frame * 32767), -32768, 32767).astype("<i2").tobytes()
        return float(self._detector.is_speech(pcm, RATE_HZ))

    def reset(self) -> None:
        """Forgets all frames so far, the levels of noise and speech it learned included."""
        try:
            import webrtcvad
        except ImportError as problem:
            raise ModelError(
                f"WebRTC VAD isn't installed: {problem}", "pip install webrtcvad-wheels"
            ) from problem
        self._detector = webrtcvad.Vad(self.mode)


_KNOWN: dict[str, Callable[..., VoiceActivityDetector]] = {
    "silero": SileroVad,
    "webrtc": WebRtcVad,
}
DETECTORS = tuple(_KNOWN)


def load_vad(name: str = "silero", **settings: Any) -> VoiceActivityDetector:
    """A new detector: ``silero``, or ``webrtc`` with ``mode`` (0 to 3) and ``frame_ms``.

    Raises InputError for an unknown name or setting, ModelError where its files are missing.
    """
    if name not in _KNOWN:
        raise InputError(
            f"no voice-activity detector called {name!r}", f"use {' or '.join(DETECTORS)}"
        )
    allowed = {"webrtc": ("mode", "frame_ms")}.get(name, ())
    if unknown := sorted(settings.keys() - set(allowed)):
        raise InputError(
            f"{name} has no setting {unknown[0]!r}",
            f"it knows {', '.join(allowed)}" if allowed else "leave it out",
        )
    return _KNOWN[name](**settings)


def probabilities(
    detector: VoiceActivityDetector, audio: Audio
) -> tuple[np.ndarray, tuple[float, ...]]:
    """Speech probability of each whole frame of ``audio`` ``[N]``, and the ms each took.

    The detector is reset first; ``audio`` is resampled to its rate.
    """
    detector.reset()
    samples = audio.resampled(detector.rate_hz).samples
    step = detector.frame_samples
    found: list[float] = []
    times_ms: list[float] = []
    for first in range(0, len(samples) - step + 1, step):
        started = time.perf_counter_ns()
        found.append(detector.probability(samples[first : first + step]))
        times_ms.append((time.perf_counter_ns() - started) / 1e6)
    return np.asarray(found), tuple(times_ms)


def _check(detector: VoiceActivityDetector, frame: np.ndarray) -> None:
    if frame.shape != (detector.frame_samples,):
        raise InputError(
            f"a frame of shape {frame.shape} for {detector.name}",
            f"pass {detector.frame_samples} samples at {detector.rate_hz} Hz",
        )


def _silero_session() -> Any:
    """faster-whisper's own session, which all detectors of a process share (it has no state)."""
    from faster_whisper.vad import get_vad_model

    try:
        session = get_vad_model().session
        inputs = {entry.name for entry in session.get_inputs()}
    except Exception as problem:  # onnxruntime's errors share no base class
        raise ModelError(
            f"faster-whisper's Silero VAD can't be loaded: {type(problem).__name__}: {problem}",
            "install faster-whisper 1.2.1 or newer again",
        ) from problem
    if inputs != {"input", "h", "c"}:
        raise ModelError(
            f"faster-whisper's Silero VAD takes {sorted(inputs)}, not input, h and c",
            "install faster-whisper 1.2.1",
        )
    return session
