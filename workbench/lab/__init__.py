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
from workbench.lab.codec_plots import show_decoders
from workbench.lab.conversations import converse, turn_waterfall
from workbench.lab.display import show, table
from workbench.lab.engine_plots import (
    play_engines,
    play_f5,
    show_engines,
    show_f5,
    show_what_ran,
    step_rows,
)
from workbench.lab.frame_plots import launch_lines
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
from workbench.lab.progress import Progress, passing
from workbench.lab.reel_plots import caption_words, captioned_waveform
from workbench.lab.report import Report, begin
from workbench.lab.rvq_plots import distortion, residual_clouds, times_by_frames
from workbench.lab.study_plots import rungs
from workbench.lab.style import figure, style
from workbench.lab.tradeoff_plots import latency_and_words, tradeoff
from workbench.lab.tuning import losses, show_losses, show_study, study_of
from workbench.lab.turn_plots import frontiers, turn_timeline
from workbench.lab.voice_plots import prompt_curves, similarity_grid

__all__ = [
    "Progress",
    "Report",
    "begin",
    "caption_words",
    "captioned_waveform",
    "converse",
    "distortion",
    "ecdf",
    "environment_card",
    "explore",
    "figure",
    "frame_timeline",
    "frontiers",
    "growth",
    "interval_dots",
    "latency_and_words",
    "launch_lines",
    "losses",
    "memory_line",
    "operator_bars",
    "passing",
    "play_engines",
    "play_f5",
    "play_pair",
    "player",
    "players",
    "prompt_curves",
    "residual_clouds",
    "rungs",
    "show",
    "show_decoders",
    "show_engines",
    "show_f5",
    "show_forest",
    "show_losses",
    "show_pairs",
    "show_rungs",
    "show_study",
    "show_what_ran",
    "similarity_grid",
    "similarity_grid",
    "stage_bars",
    "stage_bars",
    "step_rows",
    "study_of",
    "style",
    "switch_guide",
    "table",
    "times_by_frames",
    "tradeoff",
    "turn_timeline",
    "turn_waterfall",
    "waterfall",
    "waveform_and_spectrogram",
]
