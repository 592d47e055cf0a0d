"""The C++ tests, built with sanitizers."""

import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "native"


@pytest.mark.slow
@pytest.mark.parametrize("sanitizer", ["address", "undefined", "thread"])
def test_cpp_tests_pass_under(sanitizer, tmp_path):
    for tool in ("cmake", "c++"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not on this machine")

    def run(*command):
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        return done.stdout

    run("cmake", "-S", str(SOURCE), "-B", str(tmp_path), "-DCMAKE_BUILD_TYPE=RelWithDebInfo",
        "-DWB_TESTS=ON", "-DWB_CUDA=OFF", f"-DWB_SANITIZE={sanitizer}")  # fmt: skip
    run("cmake", "--build", str(tmp_path))
    said = run(str(tmp_path / "workbench_native_tests"))
    assert "portable: tested" in said
    assert ", 0 failures" in said
