"""A synthesizer as an arm: each trial speaks one text.

SpeechArm("csm-nano", ["good morning"], load={"optimizations": ["tf32"]}).trial(0, seed=0)
"""

from __future__ import annotations

import gc
import resource
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from workbench.engines.speech import Speech, Streaming
from workbench.errors import InputError
from workbench.measure.arm import Arm, rest_collector
from workbench.measure.speech import frame_ms, largest_gap_ms, onset_ms, prebuffer_ms, ttfa_ms

METRIC = "frame_ms"  # comparable also where arms end after different numbers of frames


def speech_arm(name: str, engine: str, texts: Sequence[str], **settings: Any) -> Arm:
    """The arm ``name``, whose worker hosts ``SpeechArm(engine, texts, **settings)``.

    ``python`` and ``environment`` are the arm's, all else is ``SpeechArm``'s.
    """
    python, environment = settings.pop("python", None), settings.pop("environment", {})
    kwargs = {"engine": engine, "texts": list(texts), **settings}
    return Arm(name, "workbench.measure.speech_arm:SpeechArm", kwargs, python, environment)


class SpeechArm:
    """Loads ``engine`` with the settings ``load`` and speaks ``texts`` in turn, one a trial.

    ``streaming`` is ``true``, ``pseudo`` or None, where a text is spoken and handed over whole.
    ``threads`` is the number of CPU threads (None: PyTorch's own choice). ``max_frames`` cuts
    every speech, so that trials of engines that never end by themselves have one length.
    """

    def __init__(
        self,
        engine: str,
        texts: Sequence[str],
        *,
        load: Mapping[str, Any] | None = None,
        voice: int = 0,
        streaming: Streaming | None = "true",
        temperature: float | None = None,
        max_frames: int | None = None,
        threads: int | None = None,
    ) -> None:
        import torch

        import workbench

        if not texts:
            raise InputError("an arm without texts", "pass at least one text to speak")
        if threads is not None:
            torch.set_num_threads(threads)
        self.texts = tuple(texts)
        self.engine = workbench.load(engine, **(load or {}))
        self._streaming = streaming
        self._options: dict[str, Any] = {
            "voice": voice,
            "temperature": temperature,
            "max_frames": max_frames,
        }
        self._cuda = str(getattr(self.engine, "device", "cpu")).startswith("cuda")
        self._last: Speech | None = None

    def warm_up(self) -> float:
        """The engine's own warm-up, then each text once: compilers see every length."""
        started = time.perf_counter()
        self.engine.warm_up()
        for text in self.texts:
            self._speak(text, seed=0)
        elapsed_s = time.perf_counter() - started
        rest_collector()
        return elapsed_s

    def trial(self, index: int, seed: int) -> dict[str, float]:
        """Speaks text ``index`` (modulo their number); its figures by name.

        Times are the host's, from the request to PCM on the host, which is where a listener's
        wait ends; on a GPU ``gpu_ms`` is the time between two events around all of it.
        """
        self._last = None
        gc.collect()
        text = self.texts[index % len(self.texts)]
        figures: dict[str, float] = {}
        if self._cuda:
            figures.update(self._on_gpu(text, seed))
        else:
            self._last = self._speak(text, seed)
            figures["peak_rss_bytes"] = _peak_rss_bytes()
        return _figures(self.last()) | figures

    def last(self) -> Speech:
        """The speech of the last trial, with samples and codes. InputError before the first."""
        if self._last is None:
            raise InputError("no trial has run", "ask for the last speech after a trial")
        return self._last

    def about(self) -> dict[str, Any]:
        """What really ran."""
        import torch

        return {
            "engine": self.engine.name,
            "implementation": self.engine.implementation,
            "optimizations": list(getattr(self.engine, "optimizations", ())),
            "weights": self.engine.weights,
            "device": str(getattr(self.engine, "device", "")),
            "dtype": str(getattr(self.engine, "dtype", "")).removeprefix("torch."),
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
        }

    def _speak(self, text: str, seed: int) -> Speech:
        if self._streaming is None:
            return self.engine.synthesize(text, seed=seed, **self._options)
        stream = self.engine.stream(text, seed=seed, streaming=self._streaming, **self._options)
        for _ in stream:
            pass
        return stream.speech

    def _on_gpu(self, text: str, seed: int) -> dict[str, float]:
        import torch

        torch.cuda.reset_peak_memory_stats()
        torch.cuda.synchronize()
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        self._last = self._speak(text, seed)
        end.record()
        end.synchronize()
        return {
            "gpu_ms": float(begin.elapsed_time(end)),
            "peak_gpu_bytes": float(torch.cuda.max_memory_allocated()),
        }


def _figures(speech: Speech) -> dict[str, float]:
    """The figures of one speech.

    Raises InputError for one without sound, of which no time to first audio can be told.
    """
    if not speech.frames:
        raise InputError(
            f"no sound came of {speech.text!r} (seed {speech.seed})", "use another text or seed"
        )
    return {
        "generation_ms": speech.generation_ms,
        "ttfa_ms": ttfa_ms(speech),
        "onset_ms": onset_ms(speech),
        "frame_ms": frame_ms(speech),
        "rtf": speech.rtf,
        "largest_gap_ms": largest_gap_ms(speech),
        "prebuffer_ms": prebuffer_ms(speech),
        "frames": float(speech.frames),
        "ended": float(speech.ended == "eos"),
    }


def _peak_rss_bytes() -> float:
    """Most memory this process has had; Linux counts it in KiB, macOS in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak if sys.platform == "darwin" else 1024 * peak)
