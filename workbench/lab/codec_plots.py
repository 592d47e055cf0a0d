"""What notebooks show of a codec's decoders: the time of a frame, and how exact each is."""

from __future__ import annotations

from workbench.lab.display import Rich, table
from workbench.lab.report import Report
from workbench.lab.rvq_plots import times_by_frames
from workbench.studies.codec.result import CodecStudy


def show_decoders(report: Report, study: CodecStudy) -> Rich:
    """Table and plot of the ways of decoding; returns the table, or why there is none."""
    if study.study.failed or len(study.ways) < 2:
        return Rich("", study.verdict)
    drawn = times_by_frames(
        study.curves,
        study.finding,
        study.caption,
        xlabel="frames of the stream (80 ms each)",
        ylabel="time of a frame (ms)",
    )
    alt = f"Time of a frame by the length of the stream. {study.finding}."
    report.figure("decoders", drawn, alt=alt)
    rows = study.rows()
    report.table("decoders", rows, "Ways of decoding: time of a frame, and distance from float64")
    return table(rows, f"Streams of {study.longest} frames: median (95 % interval)")
