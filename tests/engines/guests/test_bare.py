"""Modules of packages without the packages' own start-up code."""

import importlib
import sys

import pytest

from workbench.engines.guests.bare import bare_package


@pytest.fixture
def loud(tmp_path, monkeypatch):
    """A package whose start-up code fails, in it another one, and modules that work."""
    for folder in (tmp_path / "loud", tmp_path / "loud/inner"):
        folder.mkdir()
        (folder / "__init__.py").write_text("raise ImportError('its trainer is missing')\n")
    (tmp_path / "loud/speaks.py").write_text("class Voice:\n    pitch_hz = 110\n")
    (tmp_path / "loud/inner/asks.py").write_text("from loud import Mentioned, Voice\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "loud"]:
        del sys.modules[name]


def test_modules_are_imported_without_their_package_s_start(loud):
    with pytest.raises(ImportError, match="its trainer is missing"):
        importlib.import_module("loud.speaks")
    bare_package("loud")
    assert importlib.import_module("loud.speaks").Voice.pitch_hz == 110
    with pytest.raises(ImportError, match="its trainer is missing"):
        importlib.import_module("loud.inner.asks")


def test_names_are_put_where_others_import_them_from(loud):
    for entry in ("loud:Mentioned", "loud:Voice=loud.speaks", "loud.inner"):
        bare_package(entry)
    asks = importlib.import_module("loud.inner.asks")
    assert asks.Voice is sys.modules["loud.speaks"].Voice
    assert isinstance(asks.Mentioned, type)
    bare_package("loud:Mentioned")
    assert sys.modules["loud"].Mentioned is asks.Mentioned


def test_a_package_that_is_not_there():
    with pytest.raises(ModuleNotFoundError, match="No package named 'no_such_package'"):
        bare_package("no_such_package")
    with pytest.raises(ModuleNotFoundError, match="No package named 'this'"):
        bare_package("this")  # a module, and no package
