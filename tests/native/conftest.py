import pytest

from workbench.native.library import ISAS, native_status, using_isa


@pytest.fixture
def built():
    status = native_status()
    if not status.built:
        pytest.skip(f"native kernels: {status.reason}")


@pytest.fixture(params=ISAS)
def isa(request, built):
    from workbench.errors import InputError

    try:
        with using_isa(request.param):
            yield request.param
    except InputError:
        pytest.skip(f"{request.param} is not on this machine")
