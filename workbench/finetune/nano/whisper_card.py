"""whisper-nano's model card."""

from __future__ import annotations

from typing import Any

from workbench.finetune.nano.card import Facts, data_text, rates_table, training_text
from workbench.finetune.nano.domain import Grammar
from workbench.finetune.nano.speech import VOICES
from workbench.finetune.nano.whisper_evaluate import NOISE_DB

_TEXT = """\
---
license: apache-2.0
language: en
library_name: transformers
pipeline_tag: automatic-speech-recognition
tags: [whisper, synthetic-speech]
---

# whisper-nano

A tiny English-only Whisper (transformers' `WhisperForConditionalGeneration`): {size:.1f} M
parameters, {encoder} + {decoder} layers of width {width}, a byte-level BPE of {vocabulary} pieces,
trained by this project on synthetic speech so that the workbench understands what its own voices
say with no GPU and no download. This folder has transformers' layout; `ct2/` holds the same
weights for CTranslate2 (`faster_whisper.WhisperModel("…/whisper-nano/ct2")`). Both are float16.
It writes lower case, numbers as words, and a comma for a pause; it gives timestamps and word
times, and stays silent on silence. It has seen windows of every length, so that a trimmed window
costs it little (below).

{data}
A third of it also passed through mimi-nano, and {made:,} further sentences were spoken by csm-nano.
In training, utterances are put at random times into windows of 1 to 30 s, alone or one after
another, at other levels and tempi, half of them with noise; some have pauses between their words,
some aren't finished. Padding is silence, as transformers has it, or zeros after the features, as
faster-whisper has it.

{training}

Two aids are dropped after training: a classifier of flite's phones on the encoder's output, and
guided cross-attention on two heads of each decoder layer, which `alignment_heads` names.

## Measured

{measured}

## What it cannot do

Its domain is a grammar of {words} everyday words (`data/nano/grammar.txt`), spoken by flite or by
csm-nano. Other words come out as pieces of words it knows. It has never heard a human voice.
"""


def whisper_card(facts: Facts, results: list[dict[str, Any]], model: Any, made: int) -> str:
    """README.md of whisper-nano; ``made`` utterances were csm-nano's."""
    config = model.config
    return _TEXT.format(
        size=sum(parameter.numel() for parameter in model.parameters()) / 1e6,
        encoder=config.encoder_layers,
        decoder=config.decoder_layers,
        width=config.d_model,
        vocabulary=config.eos_token_id,
        made=made,
        words=len(Grammar.load().words),
        data=data_text(facts),
        training=training_text(facts, ("whisper",), "whisper-nano"),
        measured=_measured(results),
    )


def _measured(results: list[dict[str, Any]]) -> str:
    if not results:
        return "Not measured yet."
    best = results[0]
    rows = [
        ("flite, all four voices", best["rates"]["flite"]),
        *((f"flite, {voice.name}", best["rates"][voice.name]) for voice in VOICES),
        (f"flite with white noise at {NOISE_DB:.0f} dB", best["rates"]["noise"]),
        ("flite through mimi-nano", best["rates"]["mimi-nano"]),
        ("csm-nano", best["rates"]["csm-nano"]),
    ]
    table = ["| implementation | how | WER (95 % interval) |", "|---|---|---|"]
    table += [
        f"| {result['implementation']} | {result['run']} | {_rate(result['rates']['flite'])} |"
        for result in results
    ]
    return (
        "Word error rate on held-out sentences against the text that was to be said (so csm-nano's "
        f"own slips count, too); 95 % bootstrap over sentences. By faster-whisper, {best['run']}, "
        "beam 5, 30 s window, one thread:\n\n"
        + rates_table(rows)
        + "\n\nWays of running it, the same sentences by flite:\n\n"
        + "\n".join(table)
    )


def _rate(rate: dict[str, Any]) -> str:
    low, high = rate["interval"]
    return f"{rate['value']:.3f} ({low:.3f} to {high:.3f})"
