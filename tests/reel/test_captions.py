"""Captions in three formats, each read back by a reader of its own."""

import json
import re

import pytest

from workbench.reel.captions import LINE_CHARS, Caption, srt, vtt, write_captions

LONG = "the train to paris leaves at half past seven, please wait for me at the station"
CAPTIONS = [
    Caption("anna", "good morning", 0.04, 1.2),
    Caption("ben", "bread & cheese <3", 59.9996, 61.0004),
    Caption("anna", LONG, 3_661.5, 3_665.25),
]
TIME = re.compile(r"(\d\d):(\d\d):(\d\d)[.,](\d{3})")


def seconds(text):
    hours, minutes, whole, ms = map(int, TIME.fullmatch(text).groups())
    return 3600 * hours + 60 * minutes + whole + ms / 1000


def cues(text):
    """(start, end, lines) of each cue of SRT or of WebVTT without its header."""
    for block in text.strip().split("\n\n"):
        number, times, *lines = block.splitlines()
        start, end = times.split(" --> ")
        yield int(number), seconds(start), seconds(end), lines


@pytest.mark.parametrize("format", ["srt", "vtt"])
def test_times_and_texts_come_back(format):
    text = srt(CAPTIONS) if format == "srt" else vtt(CAPTIONS).removeprefix("WEBVTT\n\n")
    found = list(cues(text))
    assert [one[0] for one in found] == [1, 2, 3]
    for caption, (_, start_s, end_s, lines) in zip(CAPTIONS, found, strict=True):
        assert start_s == pytest.approx(caption.start_s, abs=0.0006)
        assert end_s == pytest.approx(caption.end_s, abs=0.0006)
        said = " ".join(lines)
        if format == "srt":
            assert said == f"{caption.speaker}: {caption.text}"
        else:
            said = said.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
            assert said == f"<v {caption.speaker}>{caption.text}"
        assert max(map(len, lines)) <= LINE_CHARS + len("<v anna>")


def test_a_second_that_rounds_up_carries():
    assert "00:01:00,000 --> 00:01:01,000" in srt(CAPTIONS)
    assert ("," in TIME.search(srt(CAPTIONS)).group(), "." in vtt(CAPTIONS)) == (True, True)


def test_markup_in_a_text_is_escaped_in_webvtt():
    assert "bread &amp; cheese &lt;3" in vtt(CAPTIONS)
    assert "bread & cheese <3" in srt(CAPTIONS)


def test_files(tmp_path):
    paths = write_captions(CAPTIONS, tmp_path, 3_700.0)
    assert sorted(path.name for path in paths.values()) == sorted(
        ["captions.srt", "captions.vtt", "captions.json"]
    )
    told = json.loads(paths["json"].read_text(encoding="utf-8"))
    assert [Caption(**one) for one in told["captions"]] == CAPTIONS
    assert told["duration_s"] == 3_700.0
