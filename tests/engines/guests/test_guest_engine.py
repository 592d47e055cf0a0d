"""A guest behind the Synthesizer protocol, in its own process and in this one."""

import json
import sys
from dataclasses import asdict

import numpy as np
import pytest

import workbench
from tests.engines.guests.speaker import PIECE, RATE_HZ
from workbench.audio import Audio
from workbench.cli import main
from workbench.engines.guests.hosted import Host, Wanted
from workbench.engines.guests.local import Here
from workbench.engines.guests.remote import GuestEngine
from workbench.engines.speech import Reference
from workbench.errors import InputError, ModelError
from workbench.measure.arm import Arm
from workbench.measure.plan import Plan
from workbench.measure.speech_arm import METRIC
from workbench.measure.study import CONTROL
from workbench.measure.trials import run_study

FRAME = round(0.08 * RATE_HZ)
HUM = Reference(Audio(np.full(RATE_HZ, 0.1, np.float32), RATE_HZ), "a hum")


@pytest.fixture
def make(speaker):
    """Makes the speaker in this process, with settings."""

    def made(**settings):
        own = {"level": 0.1, "wrong": "", "references": "none", **settings}
        wanted = Wanted("", None, False, "full", None, None, None, None, own)
        return GuestEngine(speaker, Here(Host(speaker, wanted)))

    return made


@pytest.fixture(scope="module")
def remote(made_once):
    """The speaker in its own process."""
    from workbench.engines.guests.catalogue import GUESTS

    guest, cache = made_once
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(GUESTS, guest.name, guest)
        patch.setenv("WORKBENCH_CACHE", str(cache))
        with workbench.load("speaker:tenor", weights="random", level=0.2) as engine:
            yield engine


def test_it_lives_in_its_own_environment(remote):
    assert remote.options.settings["interpreter"] != sys.executable
    assert remote.options.versions["guestvoice"] == "1.2"
    assert remote.implementation == "guestvoice 1.2"
    assert (remote.name, remote.weights, remote.rate_hz) == ("speaker", "random", RATE_HZ)
    assert remote.left_out == {"batching": "it hums one text at a time"}
    assert str(remote.device) == remote.device.type == "cpu"
    assert remote.warm_up() == 0.5
    assert remote.peak_rss_bytes() > 10_000_000


def test_pieces_come_as_they_are_made_and_make_up_the_whole(remote):
    stream = remote.stream("one two three", seed=5, time_stages=True)
    with pytest.raises(InputError, match="isn't finished"):
        _ = stream.speech
    chunks = list(stream)
    assert [chunk.index for chunk in chunks] == [0, 1, 2]
    assert [len(chunk.audio) for chunk in chunks] == [PIECE] * 3
    speech = stream.speech
    assert speech.chunks_ms == tuple(chunk.at_ms for chunk in chunks)
    assert 0 < speech.chunks_ms[0] <= speech.chunks_ms[-1] <= speech.generation_ms
    assert speech.stages_ms == {"hum": 1.0}
    assert (speech.ended, speech.seed, speech.text) == ("eos", 5, "one two three")
    assert speech.frames == -(-3 * PIECE // FRAME)
    whole = remote.synthesize("one two three", seed=5)
    assert np.array_equal(whole.samples, speech.samples)
    assert whole.chunks_samples == (3 * PIECE,)
    assert whole.ttfa_ms == whole.generation_ms
    assert not np.array_equal(remote.synthesize("one two three", seed=6).samples, speech.samples)


def test_pseudo_streaming_waits_for_all_and_cuts_frames(make):
    engine = make(wrong="slow")
    stream = engine.stream("one two three", seed=5, streaming="pseudo")
    chunks = list(stream)
    assert {len(chunk.audio) for chunk in chunks[:-1]} == {FRAME}
    assert chunks[0].at_ms >= stream.speech.generation_ms
    whole = engine.synthesize("one two three", seed=5)
    assert np.array_equal(np.concatenate([c.audio.samples for c in chunks]), whole.samples)
    with pytest.raises(InputError, match="no streaming called 'fast'"):
        engine.stream("one", streaming="fast")


@pytest.mark.parametrize(("frames", "samples"), [(1, FRAME), (2, 2 * FRAME), (99, 3 * PIECE)])
def test_a_frame_limit_cuts_the_sound(remote, frames, samples):
    speech = remote.synthesize("one two three", seed=5, max_frames=frames)
    assert len(speech) == samples
    assert speech.ended == ("eos" if samples == 3 * PIECE else "cap")
    streamed = remote.stream("one two three", seed=5, max_frames=frames)
    assert sum(len(chunk.audio) for chunk in streamed) == samples
    assert streamed.speech.generation_ms >= streamed.speech.chunks_ms[-1]


def test_a_stream_left_in_the_middle_frees_the_engine(remote):
    stream = remote.stream("one two three four five", seed=0)
    next(stream)
    with pytest.raises(InputError, match="is streaming"):
        remote.synthesize("one")
    stream.close()
    assert remote.synthesize("one", seed=0).ended == "eos"


def test_a_seed_is_drawn_and_told(make):
    engine = make()
    first, second = (engine.synthesize("one") for _ in range(2))
    assert first.seed != second.seed
    assert np.array_equal(engine.synthesize("one", seed=first.seed).samples, first.samples)
    both = engine.synthesize_batch(["one", "two three"], seed=4)
    assert [len(speech) for speech in both] == [PIECE, 2 * PIECE]
    assert np.array_equal(both[0].samples, engine.synthesize("one", seed=4).samples)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"text": "  "}, "the text is empty"),
        ({"text": "one", "voice": 2}, r"no voice 2\n.*0 \(low\), 1 \(high\)"),
        ({"text": "one", "max_frames": 0}, "max_frames of 0"),
        ({"text": "one", "context": [HUM]}, "can't clone one"),
    ],
)
def test_requests_that_can_not_be_met(make, arguments, named):
    with pytest.raises(InputError, match=named):
        make().stream(**arguments)


def test_a_reference_that_is_needed(make):
    engine = make(references="required")
    with pytest.raises(InputError, match="needs a reference"):
        engine.synthesize("one")
    assert len(engine.synthesize("one", context=[HUM])) == PIECE


def test_failures_of_its_packages_name_the_engine(make, remote):
    with pytest.raises(ModelError, match=r"speaker failed with KeyError.*\n.*doctor speaker"):
        make(wrong="make")
    with pytest.raises(ModelError, match=r"is broken: libhum.so.1.*\n.*install speaker --again"):
        make(wrong="import")
    stream = make(wrong="stream").stream("one two")
    next(stream)
    with pytest.raises(ModelError, match="speaker failed with RuntimeError: the buzzer is stuck\n"):
        next(stream)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"pitch": 3}, "no setting 'pitch'\n.*level, wrong, references, size"),
        ({"level": -1}, "level=-1"),
        ({"size": "huge"}, "size='huge'"),
        ({"implementation": "frame"}, "a guest has one implementation"),
        ({"weights": "maybe"}, "weights='maybe'"),
    ],
)
def test_settings_are_checked_before_anything_starts(speaker, arguments, named):
    with pytest.raises(InputError, match=named):
        workbench.load("speaker", **arguments)


def test_other_engines_have_no_settings(speaker):
    with pytest.raises(InputError, match="csm-nano has no setting 'level'"):
        workbench.load("csm-nano", level=1)


def test_it_is_an_arm_on_its_own_interpreter(speaker):
    """One process, which holds arm and engine, so that memory and times are the engine's own."""
    from workbench.engines.guests import status

    python = str(status("speaker").python)
    kwargs = {"guest": asdict(speaker), "engine": "speaker", "texts": ["one two"]}
    arm = Arm("hum", "tests.engines.guests.speaker:HumArm", kwargs, python)
    kept = []
    plan = Plan(trials=2, starts=2)
    study = run_study("hums", arm, metric=METRIC, plan=plan, keep=lambda *one: kept.append(one))
    assert not study.baseline.error, study.baseline.error
    assert set(study.results) == {"hum", CONTROL}
    about = study.baseline.about
    assert about["engine"] == "speaker"
    assert about["torch"] is None
    assert about["options"]["settings"]["interpreter"] == python
    assert about["options"]["versions"]["guestvoice"] == "1.2"
    assert study.baseline.of("frames") == (4.0, 4.0)
    assert {len(speech) for _, _, speech in kept} == {2 * PIECE}


def test_the_command_speaks_with_its_settings(speaker, tmp_path, capsys):
    peaks = []
    for level in ("0.05", "0.2"):
        out = tmp_path / f"{level}.wav"
        command = ["speak", "one two", "--engine", "speaker", "--seed", "1", "--out", str(out)]
        assert main([*command, "--set", f"level={level}", "--json"]) == 0
        told = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert (told["engine"], told["safe_modes"]) == ("speaker", [])
        peaks.append(np.abs(Audio.read(out).samples).max())
    assert peaks[1] == pytest.approx(4 * peaks[0], rel=0.01)
