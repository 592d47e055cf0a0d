import pytest
import torch

from tests.finetune.sounds import recordings
from workbench.finetune.lora.batches import Recordings
from workbench.finetune.lora.codes import encode
from workbench.models.checkpoint import find
from workbench.models.csm.load import load_csm


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("voice")
    recordings(folder)
    return folder


@pytest.fixture(scope="session")
def codes(tmp_path_factory):
    return tmp_path_factory.mktemp("codes")


@pytest.fixture
def csm(tiny_folder):
    """A fresh one for each test: adapters change it in place."""
    return load_csm(
        find(str(tiny_folder)), random=False, dtype=torch.float32, device=torch.device("cpu")
    )


@pytest.fixture
def coded(csm, data, codes):
    from workbench.finetune.recordings import read_recordings

    return encode(csm.model.codec_model, 4, read_recordings(data), codes)


@pytest.fixture
def spoken(csm, coded):
    return Recordings(csm, coded, voice=0)
