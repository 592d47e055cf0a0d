"""What trials of speech found: rows for tables, and sentences for titles and verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.engines.speech import Speech
from workbench.hardware.fingerprint import fingerprint, label
from workbench.measure.playback import played
from workbench.measure.speech import (
    Trials,
    frame_ms,
    generation_ms,
    largest_gap_ms,
    onset_ms,
    prebuffer_ms,
    ttfa_ms,
)
from workbench.measure.statistics import Ratio, bootstrap_interval
from workbench.quality.spectral import max_difference, token_agreement

HEARD_DIFFERENCE = 1e-4  # -80 dBFS: nobody hears a difference of samples below


def caption(engine: Any, rounds: int) -> str:
    """What a plot's caption must say: model, weights, type, machine, n."""
    weights = "random weights" if engine.weights == "random" else f"weights {engine.weights[:12]}"
    dtype = str(getattr(engine, "dtype", "")).removeprefix("torch.")
    machine = label(fingerprint())
    parts = [f"{engine.name} ({weights})", dtype, machine, f"n = {rounds} interleaved rounds"]
    return " · ".join(part for part in parts if part)


def speed_rows(trials: Trials, arm: str, limit_ms: float) -> list[dict[str, Any]]:
    """One row a sentence: how fast it was spoken; ``limit_ms`` is the least time of a frame."""
    rows = []
    for name in trials.sentences:
        clip, times = trials.clip(arm, name), trials.speeches[arm][name]
        rows.append({
            "sentence": name,
            "text (characters)": len(clip.text),
            "sound (s)": clip.duration_s,
            "generation (ms)": trials.interval(arm, generation_ms, name),
            "characters/s": bootstrap_interval([speech.chars_per_s for speech in times]),
            "RTF": bootstrap_interval([speech.rtf for speech in times]),
            "times the roofline": bootstrap_interval([frame_ms(s) / limit_ms for s in times]),
        })  # fmt: skip
    return rows


def agreement_rows(trials: Trials, baseline: str, other: str) -> list[dict[str, Any]]:
    """One row a sentence: do both arms say the same, and how much faster is ``other``."""
    rows = []
    for name in trials.sentences:
        first, second = trials.clip(baseline, name), trials.clip(other, name)
        tokens = token_agreement(first.codes, second.codes)
        rows.append({
            "sentence": name,
            f"{baseline} (ms/frame)": trials.interval(baseline, frame_ms, name),
            f"{other} (ms/frame)": trials.interval(other, frame_ms, name),
            "times as fast": trials.ratio(baseline, other, frame_ms, name),
            "equal tokens (%)": 100 * tokens.share,
            "first different frame": tokens.first_divergence,
        })  # fmt: skip
    return rows


def streaming_rows(trials: Trials) -> list[dict[str, Any]]:
    """One row a sentence and arm: when sound comes, and whether it comes without a break."""
    rows = []
    for name in trials.sentences:
        for arm in trials.speeches:
            stalls = [played(speech) for speech in trials.speeches[arm][name]]
            rows.append({
                "sentence": name,
                "streaming": arm,
                "first audio (ms)": trials.interval(arm, ttfa_ms, name),
                "audible (ms)": trials.interval(arm, onset_ms, name),
                "largest gap (ms)": trials.interval(arm, largest_gap_ms, name),
                "underruns": sum(one.underruns for one in stalls),
                "silence in them (ms)": sum(one.stalled_ms for one in stalls),
                "needed prebuffer (ms)": trials.interval(arm, prebuffer_ms, name),
            })  # fmt: skip
    return rows


def largest_difference(trials: Trials, baseline: str, other: str) -> float:
    """Largest absolute difference of the samples of both arms, over all sentences."""
    return max(
        max_difference(trials.clip(baseline, name), trials.clip(other, name))
        for name in trials.sentences
    )


def equal_tokens(trials: Trials, baseline: str, other: str) -> bool:
    """Whether both arms said exactly the same tokens in every sentence."""
    return all(
        token_agreement(trials.clip(baseline, name).codes, trials.clip(other, name).codes).equal
        for name in trials.sentences
    )


# -- Sentences ---------------------------------------------------------------------------------


def faster(ratio: Ratio, baseline: str) -> str:
    """ "2.1× as fast as X (2.0–2.2)", or that no difference could be told."""
    if not _tells(ratio):
        return f"as fast as {baseline} within the noise"
    return f"{_round(ratio.value)}× as fast as {baseline} {_range(ratio)}"


def sooner(ratio: Ratio) -> str:
    """ "8.1× sooner (7.9–8.4)", "… later (…)", or that no difference could be told."""
    if not _tells(ratio):
        return "no sooner and no later within the noise"
    if ratio.value >= 1:
        return f"{_round(ratio.value)}× sooner {_range(ratio)}"
    inverse = Ratio(1 / ratio.value, 1 / ratio.high, 1 / ratio.low, ratio.n, ratio.confidence)
    return f"{_round(inverse.value)}× later {_range(inverse)}"


def stage_finding(stages_ms: Mapping[str, float], times_the_limit: float) -> str:
    """A title: which stage takes the time, and how far the whole is from the roofline."""
    name = max(stages_ms, key=lambda stage: stages_ms[stage])
    share = stages_ms[name] / sum(stages_ms.values())
    return (
        f"The {STAGE_WORDS.get(name, name)} takes {share:.0%} of the time; "
        f"the whole takes {_round(times_the_limit)} times the roofline"
    )


def speed_finding(trials: Trials, baseline: str, other: str) -> str:
    """A title: how much faster ``other`` is, and on which side of real time."""
    rtf = trials.interval(other, lambda speech: speech.rtf).value
    ratio = faster(trials.ratio(baseline, other, frame_ms), baseline)
    side = "faster" if rtf < 1 else "slower"
    return f"{_capital(other)}: {ratio}, {side} than real time (RTF {rtf:.2f})"


def streaming_finding(trials: Trials, baseline: str, other: str) -> str:
    """A title: how much sooner the first audio comes."""
    return f"{_capital(other)}: first audio {sooner(trials.ratio(baseline, other, ttfa_ms))}"


def sentence_finding(trials: Trials, baseline: str, other: str) -> str:
    """A title: between which sentences the gain in first audio ranges."""
    ratios = {n: trials.ratio(baseline, other, ttfa_ms, n).value for n in trials.sentences}
    least, most = (f(ratios, key=lambda name: ratios[name]) for f in (min, max))
    if least == most:
        return f"First audio {_round(ratios[most])}× sooner for the {most} sentence"
    return (
        f"First audio {_round(ratios[least])}× sooner for the {least} sentence, "
        f"{_round(ratios[most])}× for the {most} one"
    )


def baseline_verdict(
    trials: Trials, baseline: str, other: str, stages: str, difference: float
) -> str:
    """What notebook 10 learned, in words."""
    characters = trials.interval(other, lambda speech: speech.chars_per_s).value
    tokens = "the same" if equal_tokens(trials, baseline, other) else "not all of the same"
    clip = trials.clip(other, trials.sentences[0])
    return (
        f"{speed_finding(trials, baseline, other)}, {characters:.0f} characters a second. "
        f"{stages}. Both say {tokens} tokens; {sameness(difference)}.{noise_warning(clip)}"
    )


def streaming_verdict(trials: Trials, baseline: str, other: str) -> str:
    """What notebook 30 learned, in words."""
    first, second = (trials.interval(arm, ttfa_ms).value for arm in (baseline, other))
    heard = trials.interval(other, onset_ms).value
    stalls = [played(s).underruns for said in trials.speeches[other].values() for s in said]
    wait = max(max(trials.samples(other, prebuffer_ms, name)) for name in trials.sentences)
    player = (
        f"a player never runs dry in {len(stalls)} speeches"
        if not any(stalls)
        else f"a player runs dry {sum(stalls)} times in {len(stalls)} speeches, "
        f"and never with a prebuffer of {wait:.0f} ms"
    )
    return (
        f"{streaming_finding(trials, baseline, other)}: after {second:.0f} ms instead of "
        f"{first:.0f} ms; speech is audible after {heard:.0f} ms. With {other} {player}, and "
        f"{sameness(largest_difference(trials, baseline, other))} as with {baseline}."
        f"{noise_warning(trials.clip(other, trials.sentences[0]))}"
    )


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


STAGE_WORDS = {
    "text": "text",
    "prefill": "prompt's prefill",
    "backbone": "backbone",
    "depth": "depth decoder",
    "codec": "codec",
    "host": "host code between the stages",
}


def _tells(ratio: Ratio) -> bool:
    return ratio.low > 1 or ratio.high < 1


def _range(ratio: Ratio) -> str:
    return f"({_round(ratio.low)}–{_round(ratio.high)})"


def _round(value: float) -> str:
    return f"{value:.0f}" if value >= 20 else f"{value:.1f}" if value >= 2 else f"{value:.2f}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
