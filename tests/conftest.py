import gc

import pytest
import torch

from tests import tiny


def pytest_collection_modifyitems(items):
    """Slow tests last, so that a plain mistake shows within seconds."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    # Two cores are the smallest machine; tiny tensors are faster on one thread anyway.
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def collector_back():
    """An arm puts its process's garbage collector to rest for good; here it is the tests' own."""
    yield
    gc.unfreeze()
    gc.enable()


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory):
    return tiny.checkpoint(tmp_path_factory.mktemp("checkpoints") / "tiny-csm")


@pytest.fixture(scope="session")
def tiny_engine(tiny_folder):
    import workbench

    return workbench.load(str(tiny_folder))


@pytest.fixture(scope="session")
def tiny_baseline(tiny_engine):
    return tiny_engine.with_implementation("transformers")


@pytest.fixture(scope="session")
def whisper_folder(tmp_path_factory):
    from tests import tiny_whisper

    return tiny_whisper.folder(tmp_path_factory.mktemp("checkpoints") / "tiny-whisper")
