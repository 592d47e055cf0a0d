import importlib
import warnings

import pytest
import torch

from workbench.errors import InputError
from workbench.native import describe, library, native_status
from workbench.native.library import using_isa
from workbench.native.linear import int8_linear, int8_linear_reference, quantize_int8
from workbench.native.registration import warn_of_reference
from workbench.native.rvq import pack, rvq_encode, rvq_encode_reference


@pytest.fixture
def missing(monkeypatch):
    """As where no compiler was."""
    monkeypatch.setattr(library, "_folders", list)
    library._loaded.cache_clear()
    warn_of_reference.cache_clear()
    yield
    library._loaded.cache_clear()
    warn_of_reference.cache_clear()


def test_status_of_a_built_library(built):
    status = native_status()
    assert status.isa in library.ISAS
    assert status.path.exists()
    assert status.isa in describe()
    assert status.remedy == ""


def test_amx_is_used_or_its_absence_explained(built):
    status = native_status()
    assert (status.isa == "amx") == (not status.without_amx)
    assert status.without_amx in describe()
    if status.without_amx:
        with pytest.raises(InputError, match="'amx' is not on this machine"), using_isa("amx"):
            pass


def test_isa_is_held_for_a_block(isa):
    assert native_status().isa == isa


def test_unknown_isa(built):
    before = native_status().isa
    with pytest.raises(InputError, match="not on this machine"), library.using_isa("mmx"):
        pass
    assert native_status().isa == before


def test_without_the_library_the_reference_runs_and_says_so(missing):
    status = native_status()
    assert not status.built
    assert "not built" in describe()
    assert "compiler" in status.remedy
    torch.manual_seed(0)
    codebooks, vectors = torch.randn(2, 16, 8), torch.randn(5, 8)
    with pytest.warns(RuntimeWarning, match="rvq_encode runs as its reference"):
        codes = rvq_encode(vectors, codebooks, pack(codebooks))
    assert torch.equal(codes, rvq_encode_reference(vectors, codebooks))
    weight, scales = quantize_int8(torch.randn(4, 8))
    with pytest.warns(RuntimeWarning, match="int8_linear runs as its reference"):
        y = int8_linear(vectors, weight, scales)
    assert torch.equal(y, int8_linear_reference(vectors, weight, scales))
    with warnings.catch_warnings():  # once is enough
        warnings.simplefilter("error")
        int8_linear(vectors, weight, scales)


def test_a_broken_library_is_told(monkeypatch, tmp_path):
    (tmp_path / "libworkbench_cpu.so").write_bytes(b"not a library")
    monkeypatch.setattr(library, "_folders", lambda: [tmp_path])
    library._loaded.cache_clear()
    try:
        assert "can't be loaded" in native_status().reason
    finally:
        library._loaded.cache_clear()


def test_a_library_of_another_interface_is_refused(built, monkeypatch):
    built_version = library.ABI_VERSIONS["workbench_cpu"]
    monkeypatch.setitem(library.ABI_VERSIONS, "workbench_cpu", 99)
    library._loaded.cache_clear()
    try:
        assert f"of interface {built_version}, not 99" in native_status().reason
    finally:
        library._loaded.cache_clear()


def test_importing_the_package_imports_no_torch():
    import subprocess
    import sys

    code = (
        "import sys, workbench.native; workbench.native.describe(); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    assert importlib.import_module("workbench.native").__all__
