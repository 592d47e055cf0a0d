"""How speech would be rated by listeners, told by a network: DNSMOS, without a reference.

DNSMOS P.835 (Reddy, Gopal and Cutler, "DNSMOS P.835: a non-intrusive perceptual objective speech
quality metric to evaluate noise suppressors", ICASSP 2022) predicts three mean opinion scores of 1
to 5, as ITU-T P.835 asks for them. It was fitted to ratings of people's noisy and cleaned-up
speech, so that it hears noise, distortion and clicks; whether a synthetic voice reads like a
person it was never asked. The networks come with the package ``speechmos`` (MIT, 9 MB).

judge = load_naturalness()                  # pip install --no-deps speechmos
judge.rate(speech).overall
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from workbench.audio import Audio
from workbench.errors import InputError, ModelError

RATE_HZ = 16_000
WINDOW_S = 9.01  # what the network hears at a time
HOP_S = 1.0
SHORTEST_S = 0.5
NAME = "DNSMOS P.835"
_PACKAGE = "speechmos"
_NETWORK = "dnsmos_models/sig_bak_ovr.onnx"
# From the network's outputs (signal, background, overall) to the scale of opinion scores: the
# quadratics that its authors publish with it, highest power first.
_TO_OPINION = (
    (-0.08397278, 1.22083953, 0.0052439),
    (-0.13166888, 1.60915514, -0.39604546),
    (-0.06766283, 1.11546468, 0.04602535),
)


@dataclass(frozen=True)
class Opinion:
    """Predicted mean opinion scores, 1 (bad) to 5: of the speech itself, of what is behind it
    (5: nothing disturbs), and of both together.
    """

    signal: float
    background: float
    overall: float


class Naturalness:
    """DNSMOS P.835; see ``load_naturalness``."""

    name = NAME

    def __init__(self, session: Any) -> None:
        self._session = session
        self._input = session.get_inputs()[0].name

    def rate(self, audio: Audio) -> Opinion:
        """Opinion of ``audio`` (any rate): the mean over windows of 9 s, a second apart.

        Shorter clips are repeated to fill one. Raises InputError for less than half a second.
        """
        samples = np.clip(audio.resampled(RATE_HZ).samples, -1, 1).astype(np.float32)
        if len(samples) < SHORTEST_S * RATE_HZ:
            raise InputError(
                f"{len(samples) / RATE_HZ:.2f} s of sound can't be rated",
                f"use at least {SHORTEST_S} s of speech",
            )
        size = int(WINDOW_S * RATE_HZ)
        if len(samples) < size:
            samples = np.resize(samples, size)  # repeats
        starts = range(0, len(samples) - size + 1, round(HOP_S * RATE_HZ))
        raw = [self._scores(samples[start : start + size]) for start in starts]
        signal, background, overall = np.mean(
            [[np.polyval(c, x) for c, x in zip(_TO_OPINION, row, strict=True)] for row in raw],
            axis=0,
        )
        return Opinion(float(signal), float(background), float(overall))

    def _scores(self, window: np.ndarray) -> np.ndarray:
        """The network's three outputs for samples ``[T]``."""
        (found,) = self._session.run(None, {self._input: window[None]})
        return np.asarray(found[0], np.float64)


def load_naturalness() -> Naturalness:
    """Loads the network from the installed package.

    Only its file is used: the package's own module wants librosa, which the network doesn't need.
    Raises InputError where the package isn't installed, ModelError where the file can't be read.
    """
    spec = find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            f"naturalness is judged by a network that comes with {_PACKAGE}, which isn't installed",
            "pip install 'workbench[naturalness]'",
        )
    import onnxruntime

    path = Path(next(iter(spec.submodule_search_locations))) / _NETWORK
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
    except Exception as problem:  # onnxruntime's own errors have no common class
        raise ModelError(
            f"{_PACKAGE}'s {path.name} can't be loaded: {str(problem).splitlines()[0]}",
            f"pip install --force-reinstall --no-deps {_PACKAGE}",
        ) from problem
    return Naturalness(session)
