"""Evidence from what other commands and notebooks measured, by probe or by a way's ``record``.

A conversation can't be run from here (it stands on this floor), and a bench needn't be run again:
what they wrote has every raw sample. Studies are known by their name and arms, records by theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from workbench.errors import RecordError
from workbench.hardware.fingerprint import drift, label
from workbench.measure import record as files
from workbench.measure.plan import MIN_TRIALS
from workbench.measure.record import Record
from workbench.measure.statistics import Interval, bootstrap_interval, paired_ratio
from workbench.measure.study import Study
from workbench.measure.study_record import ARMS_FOLDER, STUDY_FILE
from workbench.models.whisper.find import NANO
from workbench.studies import adapters
from workbench.studies.claims import hearing
from workbench.studies.claims.evidence import Evidence, Fact, Missing, Pair

Found = dict[str, Evidence]

# By a study's name: which arms are evidence of what, (with, without, told beside them).
SERIAL, SAME_WAIT, OVERLAPPED = "serial", "overlapped, same wait", "overlapped"
_PAIRS: Mapping[str, Mapping[str, tuple[str, str, str]]] = {
    "conversation": {
        "conversation_total": (OVERLAPPED, SERIAL, SAME_WAIT),
        "conversation_first_audio": (OVERLAPPED, SERIAL, SAME_WAIT),
    },
    "adapter": {"adapter": (adapters.MERGED, adapters.BASE, adapters.UNMERGED)},
    "f5": {
        "f5_nfe": ("16 steps, float32", "32 steps, float32", ""),
        "f5_half": ("32 steps, bfloat16", "32 steps, float32", ""),
        "f5_compile": ("32 steps, float32, compiled", "32 steps, float32", ""),
        "f5_both": ("32 steps, bfloat16, compiled", "32 steps, float32", ""),
    },
}
_ON_CPU = ("rvq", "turns", "51_turn_taking")  # whatever else the machine has
_SCRIPT_S = 30.0  # of sound, in the claim about a script


def from_study(study: Study) -> Found:
    """What ``study`` says, where it is one of those that claims are about; else nothing."""
    found: Found = {}
    for name, (arm, against, beside) in _PAIRS.get(study.name, {}).items():
        if {arm, against} <= study.results.keys():
            known = beside if beside in study.results else ""
            found[name] = Pair(study, arm, against, beside=known)
    return found


def from_record(record: Record) -> Found:
    """What a bench's or a notebook's ``record`` says of claims; nothing where it is another's.

    Of a run that failed the reason only. Raises RecordError where it can't be used.
    """
    read = _READERS.get(record.name)
    if read is None or record.kind not in ("bench", "notebook"):
        return {}
    try:
        found = read(record)
    except (KeyError, TypeError, ValueError) as problem:
        raise RecordError(
            f"the record of {record.name} can't be used: {problem!r}", "run it again"
        ) from problem
    if record.status == "ok":
        return found
    failed = Missing(f"the run of {record.name} failed")
    return dict.fromkeys(found, failed)


def read_records(folder: Path) -> list[Found]:
    """What the records in ``folder`` or below it say of claims, those of studies left out.

    Raises RecordError for one that is torn or of another schema.
    """
    paths = [
        path
        for path in sorted(folder.rglob("*.record.json"))
        if path.name != STUDY_FILE and path.parent.name != ARMS_FOLDER
    ]
    return [found for path in paths if (found := from_record(files.read(path)))]


# -- Readers, one a record ---------------------------------------------------------------------


def _recognizers(record: Record) -> Found:
    """``bench asr`` and notebook 50: int8 against float32, and sizes against large-v3."""
    model = str(record.details.get("model") or record.parameters["engine"])
    found: Found = {}
    times = _paired(record, "latency/float32", "latency/int8", model)
    if isinstance(times, Fact) and model == NANO:
        times = Missing(f"{NANO} is far smaller than any other Whisper", times)
    _put(found, "whisper_int8", times)
    for size in ("base", "tiny"):
        whisper = _paired(record, "latency/large-v3", f"latency/{size}", f"Whisper {size}")
        _put(found, f"whisper_{size}", whisper)
    heard = record.details.get("heard", {})
    if {"float32", "int8"} <= heard.keys() and record.details["weights"] != "random":
        found["whisper_words"] = _words(record, heard, model)
    return found


def _words(record: Record, heard: Mapping[str, list[str]], model: str) -> Evidence:
    from workbench.quality.wer import word_error_increase

    rise = word_error_increase(record.details["texts"], heard["float32"], heard["int8"])
    interval = Interval(rise.value, *rise.interval, rise.sentences)
    what = f"word errors of int8 against float32, {rise.words} words"
    return Fact(rise.value, None, what, model, _machine(record), interval)


def _chats(record: Record) -> Found:
    """``bench chat`` and notebook 52: the first text of the way that is quickest at it."""
    model = str(record.details.get("model") or record.parameters["engine"])
    ways = {
        name: values
        for name, values in _samples(record, "first text/").items()
        if "at most" not in name and len(values) > 1  # limits of length are another model's
    }
    if not ways:
        return {}
    way = min(ways, key=lambda name: float(np.median(ways[name])))
    fact = _level(record, ways[way], f"first text of an answer, {way}", model)
    if "1b" not in model.lower():
        return {"chat_answer": Missing(f"{model} is no model of 1B parameters", fact)}
    return {"chat_answer": _told(record, fact, len(ways[way]))}


def _quantizers(record: Record) -> Found:
    """``bench rvq``: at the number of frames and threads where the native search gains least."""
    from workbench.studies.rvq.bench import NATIVE, TRANSFORMERS

    found: Found = {}
    if not record.details["exact"]:
        return dict.fromkeys(("rvq", "rvq_encode"), Missing("its codes were not exact"))
    engine = "Mimi, random weights"
    places = [
        fact
        for place in _samples(record, f"{NATIVE}/")
        if (fact := _fact(record, f"{TRANSFORMERS}/{place}", f"{NATIVE}/{place}", engine))
    ]
    if places:
        least = min(places, key=lambda fact: fact.ratio.value if fact.ratio else 0.0)
        found["rvq"] = _told(record, least, least.ratio.n if least.ratio else 0)
    whole = _samples(record, f"{NATIVE} encode/")
    if whole:
        place = max(whole, key=lambda name: int(name.split()[0]))
        first = _samples(record, f"{TRANSFORMERS} encode/")[place]
        saved = bootstrap_interval(np.subtract(first, whole[place]).tolist())
        what = f"a whole encode, native search against transformers', {place}"
        ratio = paired_ratio(first, whole[place])
        fact = Fact(saved.value, None, what, engine, _machine(record), saved, ratio)
        found["rvq_encode"] = _told(record, fact, saved.n)
    return found


def _turns(record: Record) -> Found:
    """``bench turns``: the judge's cost, and false turn ends with words against a fixed wait."""
    from workbench.studies.turns.outcomes import PauseSamples
    from workbench.studies.turns.study import TurnStudy

    found = _judges(record)
    first = PauseSamples.from_dict(record.details["silences"])
    if first.judge is not None:
        study = TurnStudy({first.detector: first}, {}, (), _machine(record))
        found["turn_gain"] = hearing.turn_gain(study, _machine(record))
    return found


def _judges(record: Record) -> Found:
    """Notebook 51 as well: what the judge takes, and what a frame of WebRTC's detector does."""
    found: Found = {}
    samples = _samples(record, "")
    for name, key, what, engine in (
        ("judge", "turn_cost", "one question", str(record.parameters.get("judge"))),
        ("frame/webrtc", "vad_frame", "a frame of 30 ms", "WebRTC VAD"),
    ):
        if len(samples.get(name, ())) > 1:
            fact = _level(record, samples[name], what, engine)
            found[key] = _told(record, fact, len(samples[name]))
    return found


def _talks(record: Record) -> Found:
    """Notebook 53: overlapped against serial, on the same stages in turns."""
    found: Found = {}
    engine = str(record.parameters.get("engine"))
    for name, metric in (
        ("conversation_total", "total"),
        ("conversation_first_audio", "first audio"),
    ):
        _put(found, name, _paired(record, f"{metric}/{SERIAL}", f"{metric}/{OVERLAPPED}", engine))
    return found


def _scripts(record: Record) -> Found:
    """``bench reel`` and notebook 82: a script's real-time factors, plain and otherwise."""
    spoke = record.details.get("about", {}).get("plain", {}).get("name")
    engine = str(record.parameters.get("engine") or spoke or "the script's engine")
    plain, optimized = (
        ("plain/rtf", "optimized/rtf") if record.kind == "bench" else ("rtf plain", "rtf optimized")
    )
    found: Found = {}
    _put(found, "script_optimized", _paired(record, plain, optimized, engine))
    factors = {
        name.removeprefix("rtf ").removesuffix("/rtf"): values
        for name, values in _samples(record, "").items()
        if name.startswith("rtf ") or name.endswith("/rtf")
    }
    factors = {name: values for name, values in factors.items() if len(values) > 1}
    if factors:
        best = min(factors, key=lambda name: float(np.median(factors[name])))
        times_ms = [1000 * _SCRIPT_S * factor for factor in factors[best]]
        what = f"{_SCRIPT_S:g} s of sound at the real-time factor of {best}"
        fact = _level(record, times_ms, what, engine)
        found["script_seconds"] = _told(record, fact, len(times_ms))
    return found


_READERS: Mapping[str, Callable[[Record], Found]] = {
    "asr": _recognizers,
    "50_asr": _recognizers,
    "chat": _chats,
    "52_llm": _chats,
    "reel": _scripts,
    "rvq": _quantizers,
    "turns": _turns,
    "51_turn_taking": _judges,
    "53_conversation": _talks,
    "82_voicereel": _scripts,
}


# -- Samples -----------------------------------------------------------------------------------


def _samples(record: Record, beginning: str) -> dict[str, tuple[float, ...]]:
    """Raw samples of the metrics whose name begins so, by the rest of it."""
    return {
        metric.name.removeprefix(beginning): metric.samples
        for metric in record.metrics
        if metric.name.startswith(beginning)
    }


def _paired(record: Record, before: str, after: str, engine: str) -> Evidence | None:
    """``after`` against ``before``, taken in turns; None where one of them isn't there."""
    fact = _fact(record, before, after, engine)
    return None if fact is None else _told(record, fact, fact.ratio.n if fact.ratio else 0)


def _fact(record: Record, before: str, after: str, engine: str) -> Fact | None:
    samples = _samples(record, "")
    first, second = samples.get(before, ()), samples.get(after, ())
    if len(first) != len(second) or len(first) < 2:
        return None
    ratio = paired_ratio(first, second)
    taken = bootstrap_interval(second)
    what = f"{after} against {before}"
    machine = _machine(record)
    return Fact(taken.value, float(np.median(first)), what, engine, machine, taken, ratio)


def _level(record: Record, values: Iterable[float], what: str, engine: str) -> Fact:
    taken = bootstrap_interval(list(values))
    return Fact(taken.value, None, what, engine, _machine(record), taken)


def _told(record: Record, fact: Fact, trials: int) -> Evidence:
    """``fact``, or why it decides nothing: the machine was disturbed, or trials are too few."""
    before, after = record.environment_before, record.environment_after
    disturbed = drift(before, after) if "load" in before and "load" in after else []
    if disturbed:
        return Missing(f"disturbed: {'; '.join(disturbed)}", fact)
    if trials < MIN_TRIALS:
        return Missing(f"{trials} trials; a verdict needs {MIN_TRIALS}", fact)
    return fact


def _machine(record: Record) -> str:
    """The machine's name: its GPU, unless the processor was asked for."""
    environment: dict[str, Any] = dict(record.environment_before)
    on_cpu = record.parameters.get("device") == "cpu" or record.name in _ON_CPU
    return label({**environment, "gpus": []} if on_cpu else environment)


def _put(found: Found, name: str, evidence: Evidence | None) -> None:
    if evidence is not None:
        found[name] = evidence
