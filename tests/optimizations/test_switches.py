"""Every switch: it is explained, its names are known, and off means untouched."""

from pathlib import Path

import pytest
import torch

from workbench.optimizations import (
    DEFAULT,
    NAMES,
    PRESETS,
    EngineOptions,
    Promise,
    Site,
    all_switches,
    applied,
    resolve,
    switch,
)
from workbench.optimizations.switch import only_cuda
from workbench.optimizations.table import markdown_table

CPU = Site()
SITES = (CPU, Site(device="cuda", capability=(9, 0)), Site(device="cuda", capability=(7, 5)))
PROCESS = [one.name for one in all_switches() if one.process is not None]
DOCS = Path(__file__).parents[2] / "docs" / "optimizations.md"


@pytest.mark.parametrize("name", NAMES)
def test_a_switch_is_explained(name):
    one = switch(name)
    assert one.name == name
    lines = one.guide.splitlines()
    begun = {line.partition(":")[0]: index for index, line in enumerate(lines) if ":" in line}
    labels = ["What", "Why", "When not", "Source", "Contract"]
    assert all(label in begun for label in labels), begun
    assert sorted(labels, key=begun.__getitem__) == labels
    promise = " ".join(lines[begun["Contract"] :]).removeprefix("Contract: ")
    assert promise.startswith(str(one.contract.promise)), promise
    assert len(one.summary) <= 48
    assert not one.summary.endswith(".")


@pytest.mark.parametrize("name", NAMES)
def test_a_switch_names_known_ones(name):
    one = switch(name)
    for other in (*one.requires, *one.conflicts, *([one.part_of] if one.part_of else [])):
        assert other in NAMES
        assert other != name
    for other in one.conflicts:
        assert other not in one.requires


@pytest.mark.parametrize("name", NAMES)
def test_a_lossy_switch_says_by_how_much_and_an_exact_one_by_nothing(name):
    contract = switch(name).contract
    loses = contract.promise in (Promise.LOSSY, Promise.DISTRIBUTION)
    assert (contract.wer_increase > 0) == loses


@pytest.mark.parametrize("name", NAMES)
def test_support_is_told_in_words_or_works(name):
    for site in SITES:
        reason = switch(name).supported(site)
        assert isinstance(reason, str)
        assert not reason.endswith(".")
    if switch(name).supported is only_cuda:
        assert switch(name).where == "CUDA"
    if switch(name).where == "CUDA":
        assert switch(name).supported(CPU)


def test_half_precision_knows_its_hardware():
    volta, kepler = (Site(device="cuda", capability=one) for one in ((7, 0), (3, 5)))
    assert "8.0" in switch("bf16").supported(volta)
    assert not switch("fp16").supported(volta)
    assert "6.0" in switch("hybrid_precision").supported(kepler)
    assert "8.0" in switch("tf32").supported(volta)
    assert "8.9" in switch("fp8").supported(Site(device="cuda", capability=(8, 0)))


def test_float16_on_the_cpu_is_what_onednn_says():
    works = torch.ops.mkldnn._is_mkldnn_fp16_supported()
    assert bool(switch("fp16").supported(CPU)) == (not works)


def test_the_missing_package_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setattr("workbench.optimizations.installed.find_spec", lambda _: None)
    assert "workbench[int8]" in switch("int8").supported(CPU)


@pytest.fixture
def flags():
    """All that process-wide switches may touch."""

    def read():
        cudnn = torch.backends.cudnn
        places = (
            torch.backends.cuda.matmul,
            cudnn.conv,
            cudnn.rnn,
            torch.backends.mkldnn.matmul,
            torch.backends.mkldnn.conv,
        )
        return {
            "newer": [place.fp32_precision for place in places],
            "products": torch.get_float32_matmul_precision(),
            "convolutions": cudnn.allow_tf32,
            "benchmark": cudnn.benchmark,
            "dtype": torch.get_default_dtype(),
            "threads": torch.get_num_threads(),
            "math": torch.backends.cuda.math_sdp_enabled(),
            "flash": torch.backends.cuda.flash_sdp_enabled(),
            "efficient": torch.backends.cuda.mem_efficient_sdp_enabled(),
            "cudnn": torch.backends.cuda.cudnn_sdp_enabled(),
        }

    return read


def choices():
    return [
        f"{name}={value}" if value else name
        for name in PROCESS
        if name != "flash_attention"  # needs a package to be put in place
        for value in switch(name).values or ("",)
    ]


@pytest.mark.parametrize("name", choices())
def test_off_means_untouched(name, flags):
    before = flags()
    with applied(name):
        if name != "tf32":
            assert flags() != before
    assert flags() == before
    with pytest.raises(ZeroDivisionError), applied(name):
        1 / 0  # noqa: B018
    assert flags() == before


def test_they_nest_and_unwind(flags):
    before = flags()
    with applied("tf32"), applied("matmul_precision=medium"):
        assert torch.get_float32_matmul_precision() == "medium"
        with applied("tf32", "matmul_precision", "sdpa_math", "bf16_default"):
            assert torch.backends.cuda.matmul.allow_tf32
            assert torch.get_default_dtype() == torch.bfloat16
        assert torch.get_float32_matmul_precision() == "medium"
    assert flags() == before


def test_an_attention_kernel_alone_raises_instead_of_another():
    query = torch.zeros(1, 1, 2, 8)
    with applied("sdpa_efficient"), pytest.raises(RuntimeError, match="No viable backend"):
        torch.nn.functional.scaled_dot_product_attention(query, query, query)


def test_physical_threads_are_those_this_process_may_use(monkeypatch):
    import psutil

    monkeypatch.setattr(psutil, "cpu_count", lambda logical: 3)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    assert resolve(["physical_threads"], CPU) == EngineOptions(threads=3)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {1})
    assert resolve(["physical_threads"], CPU).threads == 1


def test_the_documents_have_the_registry_s_table_and_presets():
    text = DOCS.read_text()
    assert markdown_table() in text, "replace the table by workbench.optimizations.table's"
    for name, used in PRESETS.items():
        assert f"`{name}`: {', '.join(f'`{one}`' for one in used)}" in text.replace("\n  ", " ")
    assert DEFAULT in text
