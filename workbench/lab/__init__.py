"""What a notebook uses: players, plots, tables and the report (``from workbench import lab``)."""

from __future__ import annotations

from workbench.lab.ablations import (
    play_pair,
    show_forest,
    show_pairs,
    show_rungs,
    switch_guide,
)
from workbench.lab.cards import environment_card
from workbench.lab.display import show, table
from workbench.lab.load_plots import growth
from workbench.lab.players import explore, player, players
from workbench.lab.plots import (
    ecdf,
    interval_dots,
    stage_bars,
    waterfall,
    waveform_and_spectrogram,
)
from workbench.lab.profiles import frame_timeline, memory_line, operator_bars
from workbench.lab.progress import Progress
from workbench.lab.report import Report, begin
from workbench.lab.style import figure, style

__all__ = [
    "Progress",
    "Report",
    "begin",
    "ecdf",
    "environment_card",
    "explore",
    "figure",
    "frame_timeline",
    "growth",
    "interval_dots",
    "memory_line",
    "operator_bars",
    "play_pair",
    "player",
    "players",
    "show",
    "show_forest",
    "show_pairs",
    "show_rungs",
    "stage_bars",
    "style",
    "switch_guide",
    "table",
    "waterfall",
    "waveform_and_spectrogram",
]
