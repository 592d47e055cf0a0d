"""Out of memory says what would fit; safe modes are applied only when asked, and said."""

import numpy as np
import pytest
import torch

import workbench
from tests import tiny
from workbench.engines import load as loading
from workbench.engines.csm import memory
from workbench.errors import InputError, OutOfMemory
from workbench.models.csm import load as csm_loading

CPU = torch.device("cpu")
TEXTS = ["good morning", "good evening", "how are you", "see you soon"]
SHORTAGES = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    MemoryError(),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to"),
]


@pytest.fixture
def free(monkeypatch):
    """Sets how many bytes are free."""

    def be(size_bytes):
        monkeypatch.setattr(memory, "free_bytes", lambda _: size_bytes)

    return be


def breaking(monkeypatch, engine, most, problem=SHORTAGES[0]):
    """Memory for ``most`` rows at a time; returns the sizes that were tried."""
    generator, real, tried = engine._generator, engine._generator.frames, []

    def frames(prompts, *rest):
        tried.append(len(prompts))
        if len(prompts) > most:
            raise problem
        yield from real(prompts, *rest)

    monkeypatch.setattr(generator, "frames", frames)
    return tried


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_weights_are_counted_without_making_them(dtype, tiny_folder):
    model = workbench.load(str(tiny_folder), dtype=dtype).csm.model
    counted = memory.weight_bytes(tiny.config(), getattr(torch, dtype))
    assert counted == sum(one.nbytes for one in model.parameters())


def test_a_fit_s_streams_are_what_is_left_over():
    config = tiny.config()
    half = memory.fit(config, "bfloat16", 0)
    assert half.streams == 0
    room = half.weights_bytes + 3 * half.stream_bytes
    assert memory.fit(config, "bfloat16", room).streams == 3
    assert memory.fit(config, "bfloat16", room - 1).streams == 2
    assert memory.fit(config, "float32", 0).stream_bytes == 2 * half.stream_bytes


def test_weights_that_cannot_fit_are_refused_with_what_would(free):
    config = tiny.config()
    half, whole = (memory.fit(config, dtype, 0) for dtype in ("bfloat16", "float32"))
    free(half.weights_bytes + 2 * half.stream_bytes)
    with pytest.raises(OutOfMemory) as refused:
        memory.check_weights("tiny", config, "float32", CPU)
    assert "tiny in float32 needs" in refused.value.what
    assert "2 streams" in refused.value.remedy
    assert "safe_modes=True" in refused.value.remedy
    memory.check_weights("tiny", config, "bfloat16", CPU)
    free(1000)
    with pytest.raises(OutOfMemory, match="close programs until"):
        memory.check_weights("tiny", config, "bfloat16", CPU)
    free(whole.weights_bytes)
    memory.check_weights("tiny", config, "float32", CPU)


@pytest.fixture
def half_fits(monkeypatch, free):
    """Memory runs out while float32 weights are made."""
    real = csm_loading.load_csm

    def load_csm(checkpoint, *, dtype, **rest):
        if dtype == torch.float32:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(checkpoint, dtype=dtype, **rest)

    monkeypatch.setattr(csm_loading, "load_csm", load_csm)
    half = memory.fit(tiny.config(), "bfloat16", 0)
    free(half.weights_bytes + half.stream_bytes)


def test_a_load_that_fails_goes_no_rung_down_unasked(half_fits, tiny_folder):
    with pytest.raises(OutOfMemory, match="leaves room for 1 stream;"):
        workbench.load(str(tiny_folder))


@pytest.mark.parametrize("asked", ["argument", "environment"])
def test_safe_modes_take_half_the_bytes_and_say_so(asked, half_fits, tiny_folder, monkeypatch):
    if asked == "environment":
        monkeypatch.setenv("WORKBENCH_SAFE_MODES", "1")
    engine = workbench.load(str(tiny_folder), safe_modes=True if asked == "argument" else None)
    assert engine.dtype == torch.bfloat16
    assert engine.safe_modes == ("bfloat16 weights",)
    assert engine.synthesize("hi", seed=0, max_frames=2).safe_modes == ("bfloat16 weights",)
    assert engine.with_optimizations(["frame_step"]).safe_modes == ("bfloat16 weights",)


def test_where_no_rung_fits_the_first_error_stands(tiny_folder, monkeypatch):
    def load_csm(*_, **__):
        raise MemoryError

    monkeypatch.setattr(csm_loading, "load_csm", load_csm)
    with pytest.raises(OutOfMemory, match="in float32 needs.*safe modes tried: bfloat16 weights"):
        workbench.load(str(tiny_folder), safe_modes=True)


def test_a_type_that_a_switch_sets_is_no_rung(tiny_folder, half_fits):
    switches = ["frame_step", "autocast"]
    with pytest.raises(OutOfMemory) as refused:
        workbench.load(str(tiny_folder), optimizations=switches, safe_modes=True)
    assert "tried" not in refused.value.what


def test_safe_modes_that_fit_at_once_are_none(tiny_folder):
    engine = workbench.load(str(tiny_folder), safe_modes=True)
    assert engine.safe_modes == ()
    assert engine.synthesize("hi", seed=0, max_frames=2).safe_modes == ()


def test_an_odd_value_of_the_variable_is_refused(tiny_folder, monkeypatch):
    monkeypatch.setenv("WORKBENCH_SAFE_MODES", "maybe")
    with pytest.raises(InputError, match="maybe"):
        workbench.load(str(tiny_folder))


@pytest.mark.parametrize("problem", SHORTAGES, ids=lambda one: type(one).__name__)
def test_a_batch_that_does_not_fit_says_how_many_would(problem, tiny_folder, monkeypatch, free):
    engine = workbench.load(str(tiny_folder))
    free(2 * memory.row_bytes(engine.config, engine.dtype))
    tried = breaking(monkeypatch, engine, 2, problem)
    with pytest.raises(OutOfMemory) as refused:
        engine.synthesize_batch(TEXTS, seed=0, max_frames=3)
    assert "4 texts at a time" in refused.value.what
    assert "speak 2 at a time" in refused.value.remedy
    assert tried == [4]
    assert engine.synthesize_batch(TEXTS[:2], seed=0, max_frames=3)[0].frames == 3


def test_safe_modes_halve_batches_until_they_fit(tiny_folder, monkeypatch):
    engine = workbench.load(str(tiny_folder), safe_modes=True)
    alone = [engine.synthesize(text, temperature=0, max_frames=6) for text in TEXTS]
    tried = breaking(monkeypatch, engine, 1)
    spoken = engine.synthesize_batch(TEXTS, temperature=0, max_frames=6)
    assert tried == [4, 2, 1, 1, 2, 1, 1]
    assert [one.text for one in spoken] == TEXTS
    for one, other in zip(spoken, alone, strict=True):
        assert np.array_equal(one.codes, other.codes)
    said = ("batches of 2 instead of 4", "batches of 1 instead of 2")
    assert spoken[0].safe_modes == engine.safe_modes == said


def test_one_text_that_does_not_fit_is_an_error_also_with_safe_modes(tiny_folder, monkeypatch):
    engine = workbench.load(str(tiny_folder), safe_modes=True)
    breaking(monkeypatch, engine, 0)
    for speak in (engine.synthesize, lambda text: engine.synthesize_batch([text])):
        with pytest.raises(OutOfMemory, match=r"1 text at a time.*\n.*bfloat16"):
            speak("good morning")


def test_other_errors_stay_what_they_are(tiny_folder, monkeypatch):
    engine = workbench.load(str(tiny_folder), optimizations=[])
    breaking(monkeypatch, engine, 0, RuntimeError("shapes don't match"))
    with pytest.raises(RuntimeError, match="shapes don't match"):
        engine.synthesize("good morning")


def test_a_large_model_is_checked_before_it_is_made(monkeypatch, free):
    """CSM-1B's own size, with no memory for it: nothing is allocated to find that out."""
    monkeypatch.setattr(csm_loading, "load_csm", lambda *_, **__: pytest.fail("made"))
    free(1 << 30)
    with pytest.raises(OutOfMemory, match=r"csm-1b in bfloat16 needs [23]\.\d GiB"):
        loading.load("csm-1b", weights="random", device="cpu")
