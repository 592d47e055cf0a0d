"""An ablation's default settings, where nothing heavy needs importing to show them."""

from __future__ import annotations

from typing import Literal, get_args

Design = Literal["one-at-a-time", "ladder", "leave-one-out"]
DESIGNS: tuple[str, ...] = get_args(Design)

ENGINE = "csm-nano"
DESIGN: Design = "one-at-a-time"
VOICE = 0
TRIALS = 40
THRESHOLD = 0.01
SENTENCES = 10

# In the nano voices' domain, of two lengths, so that no arm is tuned to one.
TEXTS = ("good morning sarah", "the red house is near the river")

# What it takes to find 3 % where trials of two arms scatter by 5 % and processes by 0.5 %.
CALIBRATION_STARTS = 8
CALIBRATION_PASSES = 1
