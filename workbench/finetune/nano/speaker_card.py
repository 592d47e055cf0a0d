"""speaker-nano's model card."""

from __future__ import annotations

from typing import Any

from workbench.finetune.nano.speaker import DIMENSIONS
from workbench.finetune.nano.speakers import FLITE_SPEEDS, HELD_OUT_EVERY, VARIANTS

_TEXT = """\
---
license: apache-2.0
library_name: transformers
tags: [x-vector, speaker-verification, synthetic-speech]
---

# speaker-nano

An x-vector network (transformers' `Wav2Vec2BertForXVector` without transformer layers, embeddings
of {dimensions}) for synthetic voices, so that the workbench can tell voices apart with no download.
Load it with `workbench.quality.speaker.load_speaker_encoder()`.

It pools rectified mel features into means and standard deviations over time; its last layer is
fitted by linear discriminant analysis, which takes seconds. No step of it is learned by gradient.

## Data

{clips:,} clips ({hours:.1f} h) by {speakers} speakers: variants of eSpeak NG at other pitches,
accents and speeds, saying sentences of the nano voice's grammar. A quarter passed through
mimi-nano, half have noise. Every {every}th of the {variants} variants was kept from training, and
so was flite with its voices.

## Measured

Equal error rate over all pairs of clips of held-out speakers: flite's four voices, each played at
{speeds} times its speed, and the variants kept from training. Every clip says another sentence;
95 % bootstrap over speakers.

| speakers | EER | 95 % interval | similarity there | speakers | clips |
|---|---|---|---|---|---|
{rows}

## What it cannot do

It has never heard a person. For people's voices load a checkpoint trained on them
(`load_speaker_encoder("…")`), and measure its error rate on voices like yours.
"""


def speaker_card(clips: int, speakers: int, hours: float, results: dict[str, Any]) -> str:
    """README.md of speaker-nano; ``results`` are ``error_rates``'."""
    rows = [
        f"| {name} | {100 * rate['value']:.1f} % | {100 * rate['interval'][0]:.1f} to "
        f"{100 * rate['interval'][1]:.1f} % | {rate['threshold']:.2f} | {rate['speakers']} | "
        f"{rate['clips']} |"
        for name, rate in results.items()
    ]
    return _TEXT.format(
        dimensions=DIMENSIONS,
        clips=clips,
        hours=hours,
        speakers=speakers,
        every=HELD_OUT_EVERY,
        variants=len(VARIANTS),
        speeds=", ".join(f"{speed:g}" for speed in FLITE_SPEEDS),
        rows="\n".join(rows),
    )
