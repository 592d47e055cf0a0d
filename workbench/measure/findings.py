"""Measurements in words: captions, titles and verdicts that claim no more than was found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.engines.speech import Speech
from workbench.hardware.fingerprint import fingerprint, label
from workbench.measure.statistics import Ratio

HEARD_DIFFERENCE = 1e-4  # -80 dBFS: nobody hears a difference of samples below
STAGE_WORDS = {
    "text": "text",
    "context": "context's encoding",
    "prefill": "prefill",
    "backbone": "backbone",
    "depth": "depth decoder",
    "codec": "codec",
    "host": "host code",
}


def caption(engine: Any) -> str:
    """What a plot's caption must say of engine and machine; n is the plot's to add."""
    weights = "random weights" if engine.weights == "random" else f"weights {engine.weights[:12]}"
    dtype = str(getattr(engine, "dtype", "")).removeprefix("torch.")
    machine = label(fingerprint())
    threads = getattr(engine, "threads", None)
    if threads and getattr(engine, "device", None) and engine.device.type == "cpu":
        machine += f", {threads} thread{'' if threads == 1 else 's'} used"
    parts = [f"{engine.name} ({weights})", dtype, machine]
    return " · ".join(part for part in parts if part)


def faster(ratio: Ratio, baseline: str) -> str:
    """ "2.1× as fast as X (2.0–2.2)", or that no difference could be told."""
    if not _tells(ratio):
        return f"as fast as {baseline} within the noise"
    value, interval = _words(ratio)
    return f"{value}× as fast as {baseline} {interval}"


def sooner(ratio: Ratio) -> str:
    """ "8.1× sooner (7.9–8.4)", "… later (…)", or that no difference could be told."""
    if not _tells(ratio):
        return "no sooner and no later within the noise"
    if ratio.value >= 1:
        value, interval = _words(ratio)
        return f"{value}× sooner {interval}"
    inverse = Ratio(1 / ratio.value, 1 / ratio.high, 1 / ratio.low, ratio.n, ratio.confidence)
    value, interval = _words(inverse)
    return f"{value}× later {interval}"


def largest_stage(stages_ms: Mapping[str, float]) -> str:
    """ "The depth decoder takes 71 % of the time"."""
    name = max(stages_ms, key=lambda stage: stages_ms[stage])
    share = stages_ms[name] / sum(stages_ms.values())
    return f"The {name} takes {100 * share:.0f} % of the time"


def sameness(difference: float) -> str:
    """Whether two clips sound the same, from the largest difference of their samples."""
    if difference == 0:
        return "the sound is the same, bit for bit"
    if difference <= HEARD_DIFFERENCE:
        return f"the sound is the same (samples differ by at most {difference:.0e})"
    return f"the sound differs (samples by up to {difference:.2g})"


def noise_warning(speech: Speech) -> str:
    """A sentence for speech from random weights; empty for a trained voice."""
    return " With random weights the sound is noise; the times hold." * (speech.weights == "random")


def rounded(value: float) -> str:
    """About two digits, as one says a factor."""
    return f"{value:,.{_digits(value)}f}"


def capital(text: str) -> str:
    """``text`` as it begins a sentence."""
    return text[:1].upper() + text[1:]


def _tells(ratio: Ratio) -> bool:
    return ratio.low > 1 or ratio.high < 1


def _digits(value: float) -> int:
    return 0 if value >= 10 else 1 if value >= 2 else 2


def _words(ratio: Ratio) -> tuple[str, str]:
    """The value and its interval, all to the value's digits."""
    digits = _digits(ratio.value)
    return f"{ratio.value:,.{digits}f}", f"({ratio.low:,.{digits}f}–{ratio.high:,.{digits}f})"
