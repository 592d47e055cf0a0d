"""Model cards: what was trained on what, how it went, what was measured, what it can't do."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from workbench.finetune.nano import clone_card
from workbench.finetune.nano.dataset import Shard, shard_numbers
from workbench.finetune.nano.domain import HELD_OUT_SHARE, Grammar
from workbench.finetune.nano.speech import RATE_HZ, VOICES

CURVE_ROWS = 8


@dataclass(frozen=True)
class Facts:
    """What the cards state; everything is read from the run's files."""

    hours: float
    utterances: int
    history: tuple[dict[str, Any], ...]
    results: dict[str, Any]  # empty where nothing was measured yet
    remarks: str  # of whoever ran the training, from ``remarks.md``

    @staticmethod
    def read(out: Path, results: dict[str, Any]) -> Facts:
        """Collects the facts of the run in ``out``."""
        shards = [Shard.read(out / "speech", number) for number in shard_numbers(out / "speech")]
        path = out / "history.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        history: dict[tuple[str, int], dict[str, Any]] = {}
        for line in map(json.loads, lines):  # a step done again after a resume counts once
            history[line["stage"], line["step"]] = line
        remarks = out / "remarks.md"
        return Facts(
            sum(len(shard.samples) for shard in shards) / RATE_HZ / 3600,
            sum(len(shard) for shard in shards),
            tuple(history[key] for key in sorted(history)),
            results,
            remarks.read_text(encoding="utf-8").strip() if remarks.is_file() else "",
        )


_CODEC_TEXT = """\
---
license: apache-2.0
library_name: transformers
tags: [mimi, audio-codec, synthetic-speech]
---

# mimi-nano

A small Mimi (transformers' `MimiModel`): 24 kHz mono, 12.5 frames a second, {codebooks} codebooks
of {size}, trained by this project on synthetic speech so that the workbench runs with no GPU and
no download. Code 0 of every codebook is dead: the encoder never emits it, so that csm-nano's
all-zero frame can mean end of audio. The first code is taught the phones, as Mimi's is taught
WavLM's features.

{data}

{training}

## Measured

{measured}

## What it cannot do

{limits}
"""

_CODEC_LIMITS = """\
It knows four synthetic voices that have nothing above 8 kHz. Real voices, music and noise come
out distorted; other speakers are pulled towards the four."""

_CONTEXTS = """\
A fifth of the training batches has a preceding utterance as context, in CSM's chat format."""

_DATA_TEXT = """\
## Data

{hours:.1f} h of synthetic speech in {utterances:,} utterances by flite (voices {voices}), which
also gives the time of every phone and word. Most of the sentences come from a grammar; one in
{share}, chosen by its hash, was never trained on, and the figures below are on such sentences. The
rest are meaningless strings of common words from outside the grammar. flite and its voices are free
software under a BSD-like license (Carnegie Mellon University)."""

_LANGUAGE_TEXT = """\
---
license: apache-2.0
language: en
library_name: transformers
pipeline_tag: text-to-speech
tags: [csm, synthetic-speech]
---

# csm-nano

A small CSM (transformers' `CsmForConditionalGeneration`), trained by this project on synthetic
speech so that the workbench speaks with no GPU and no download. The codec's weights are not in
here but in `../mimi-nano`; `workbench.json` says so, and `workbench.load("csm-nano")` puts both
together. Text is read letter by letter, in lower case; digits become words, pause signs commas.
The voice is chosen by CSM's speaker id, as in `[0]good morning`:

{voices}

{data}
{contexts}

{training}

## Measured

{measured}

## What it cannot do

Its domain is a grammar of {words} everyday words (`data/nano/grammar.txt`). Other words are read
by analogy and often wrong; sentences much longer than those of the grammar lose their way. It has
four voices{cloning} Its prosody is flite's.
"""


def codec_card(facts: Facts, config: Any, clones: bool = False) -> str:
    """README.md of mimi-nano with the configuration ``config``, for voices to be cloned or not."""
    return _CODEC_TEXT.format(
        limits=clone_card.CODEC_LIMITS if clones else _CODEC_LIMITS,
        codebooks=config.num_quantizers,
        size=config.codebook_size,
        data=data_text(facts, clones),
        training=training_text(facts, ("codes", "decoder")),
        measured=_codec_table(facts.results.get("codec")),
    )


def language_card(facts: Facts, clones: bool = False) -> str:
    """README.md of csm-nano, which ``clones`` or not."""
    without = "; context audio of another speaker doesn't clone that speaker."
    voices = [
        f"- `[{speaker}]` {voice.name}: {voice.description}" for speaker, voice in enumerate(VOICES)
    ]
    return _LANGUAGE_TEXT.format(
        voices="\n".join(voices),
        cloning=clone_card.LANGUAGE_LIMITS if clones else without,
        contexts=clone_card.CONTEXTS if clones else _CONTEXTS,
        words=len(Grammar.load().words),
        data=data_text(facts, clones),
        training=training_text(facts, ("alignment", "language", "context")),
        measured=_language_table(facts.results)
        + clone_card.clones_text(facts.results.get("clones")),
    )


def data_text(facts: Facts, clones: bool = False) -> str:
    """What speech there is, of whom, and what was kept from training."""
    text = _DATA_TEXT.format(
        hours=facts.hours,
        utterances=facts.utterances,
        voices=", ".join(f"{voice.name} {voice.share:.0%}" for voice in VOICES),
        share=HELD_OUT_SHARE,
    )
    return f"{text}\n\n{clone_card.PARENTS}" if clones else text


def training_text(facts: Facts, stages: tuple[str, ...], model: str = "nano") -> str:
    """The remarks and the losses of ``stages`` of ``workbench train <model>``."""
    parts = [
        f"## Training\n\nBy `workbench train {model}`. Losses are means over the last 100 steps."
    ]
    if facts.remarks:
        parts.append(facts.remarks)
    for stage in stages:
        lines = [line for line in facts.history if line["stage"] == stage]
        if not lines:
            continue
        last = lines[-1]
        names = [key for key in last if key not in ("stage", "step", "elapsed_s")]
        picked = np.unique(np.linspace(0, len(lines) - 1, CURVE_ROWS).round().astype(int))
        table = [
            f"### {stage}: {last['step']:,} steps, {last['elapsed_s'] / 60:.0f} min",
            "",
            "| step | minutes | " + " | ".join(names) + " |",
            "|" + "---|" * (len(names) + 2),
        ]
        table += [
            f"| {lines[row]['step']:,} | {lines[row]['elapsed_s'] / 60:.1f} | "
            + " | ".join(f"{lines[row].get(name, float('nan')):.3f}" for name in names)
            + " |"
            for row in picked
        ]
        parts.append("\n".join(table))
    return "\n\n".join(parts)


def _codec_table(results: dict[str, Any] | None) -> str:
    if not results:
        return "Not measured yet."
    rows = [
        ("main voices (rms, awb)", results["main"]),
        ("all four voices", results["all"]),
        *((voice.name, results[voice.name]) for voice in VOICES if voice.name in results),
        ("source, main voices", results["source_main"]),
        ("source, all voices", results["source_all"]),
    ]
    return (
        "Word error rate after encoding and decoding, by pocketsphinx with a bigram language "
        "model of the same grammar (a forgiving judge); 95 % bootstrap over sentences.\n\n"
        + rates_table(rows)
    )


def _language_table(measured: dict[str, Any]) -> str:
    results = measured.get("language")
    if not results:
        return "Not measured yet."
    rows = [("all four voices, in turn", results["all"])]
    if "main" in results:
        rows.append(("main voices (rms, awb)", results["main"]))
    rows += [(voice.name, results[voice.name]) for voice in VOICES if voice.name in results]
    if "context" in measured:
        rows.append(("after a spoken sentence as context", measured["context"]))
    return (
        "Word error rate of synthesized held-out sentences through mimi-nano, with the sampling "
        "of `generation_config.json`, by pocketsphinx with a bigram language model of the same "
        "grammar (a forgiving judge); 95 % bootstrap over sentences.\n\n"
        + rates_table(rows)
        + f"\n\nEnd of audio reached by itself: {results['ended']:.1%} of them."
        + _open_table(measured.get("open"))
    )


def _open_table(results: dict[str, Any] | None) -> str:
    if not results:
        return ""
    return (
        "\n\nStrings of words mostly from outside the grammar, by a recognizer that knows these "
        "words but not their order (so the source itself is hard to understand):\n\n"
        + rates_table([("csm-nano", results["made"]), ("source (flite)", results["source"])])
    )


def rates_table(rows: list[tuple[str, dict[str, Any]]]) -> str:
    """Word error rates with intervals, one row each."""
    lines = ["| what | WER | 95 % interval | sentences | words |", "|---|---|---|---|---|"]
    for name, rate in rows:
        low, high = rate["interval"]
        lines.append(
            f"| {name} | {rate['value']:.3f} | {low:.3f} to {high:.3f} | {rate['sentences']} "
            f"| {rate['words']} |"
        )
    return "\n".join(lines)
