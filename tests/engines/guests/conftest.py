import os

import pytest

from tests.engines.guests.speaker import LocalGuest
from tests.engines.guests.wheels import wheel
from workbench.engines.guests import environments
from workbench.engines.guests.catalogue import GUESTS


def local_guest(folder, name="speaker", **changes):
    """A guest of two hand-made wheels, one of which the workbench has in another version."""
    own = wheel(folder, "guestvoice", "1.2", {"guestvoice/__init__.py": "PITCH_HZ = 110\n"})
    six = wheel(folder, "six", "0.1", {"six.py": "__version__ = '0.1'\n"})
    requirements = folder / f"{name}.txt"
    requirements.write_text(f"{own}\n{six}\n")
    settings = {
        "name": name,
        "summary": "hums",
        "licence": "MIT",
        "target": "tests.engines.guests.speaker:Speaker",
        "distribution": "guestvoice",
        "modules": ("guestvoice", "six"),
        "shared": ("numpy",),
        "file": str(requirements),
    }
    return LocalGuest(**{**settings, **changes})


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    """The speaker, its cache and an environment that tests only read."""
    folder = tmp_path_factory.mktemp("guest")
    guest = local_guest(folder)
    before = os.environ.get("WORKBENCH_CACHE")
    os.environ["WORKBENCH_CACHE"] = str(folder / "cache")
    GUESTS[guest.name] = guest
    try:
        environments.install(guest.name, tell=lambda words: None)
    finally:
        del GUESTS[guest.name]
        if before is None:
            del os.environ["WORKBENCH_CACHE"]
        else:
            os.environ["WORKBENCH_CACHE"] = before
    return guest, folder / "cache"


@pytest.fixture
def speaker(made_once, monkeypatch):
    """The speaker installed, for as long as the test lasts."""
    guest, cache = made_once
    monkeypatch.setitem(GUESTS, guest.name, guest)
    monkeypatch.setenv("WORKBENCH_CACHE", str(cache))
    return guest
