"""The CUDA kernels: compiled wherever there is nvcc, run where there is a GPU."""

import shutil
import subprocess
from pathlib import Path

import pytest
import torch

from tests.native.test_rvq import problem as rvq_problem
from workbench.native import native_status
from workbench.native.int4 import int4_linear, int4_linear_reference, quantize_int4
from workbench.native.linear import int8_linear, int8_linear_reference, quantize_int8
from workbench.native.rvq import embedding_sum, embedding_sum_reference, pack, rvq_encode

CUDA = Path(__file__).parents[2] / "native" / "cuda"


@pytest.fixture
def gpu():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA GPU")
    if not native_status().cuda_built:
        pytest.skip(f"CUDA kernels: {native_status().cuda_reason}")
    return torch.device("cuda")


@pytest.mark.slow
@pytest.mark.parametrize("architecture", [80, 90, 120])
@pytest.mark.parametrize("source", ["rvq.cu", "rvq_tiled.cu", "linear.cu", "int4.cu"])
def test_compiles_without_spills(source, architecture, tmp_path):
    if shutil.which("nvcc") is None:
        pytest.skip("nvcc is not on this machine")
    done = subprocess.run(
        ["nvcc", "-std=c++17", "-O3", f"-I{CUDA.parent / 'include'}", "-Xptxas", "-v",
         f"-gencode=arch=compute_{architecture},code=sm_{architecture}",
         "-cubin", "-o", str(tmp_path / "out"), str(CUDA / source)],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    spills = [line for line in done.stderr.splitlines() if "spill" in line]
    assert spills
    assert all("0 bytes spill stores, 0 bytes spill loads" in line for line in spills), spills


def test_the_library_loads_without_a_driver():
    status = native_status()
    if status.cuda_path is None:
        pytest.skip(f"CUDA kernels: {status.cuda_reason}")
    assert status.cuda_built, status.cuda_reason
    if not torch.cuda.is_available():
        from workbench.native.library import cuda_library

        # Nothing is read before CUDA's answer: no driver, or no device.
        library = cuda_library()
        assert library.wb_cuda_rvq_encode(0, 1, 0, 1, 1, 256, 0, 0, 0) > 0
        assert library.wb_cuda_rvq_encode_tiled(0, 9, 0, 0, 1, 1, 1, 256, 0, 0, 0) > 0


def test_sizes_of_the_tiled_encode():
    from workbench.native.library import cuda_library

    library = cuda_library()
    if library is None:
        pytest.skip(f"CUDA kernels: {native_status().cuda_reason}")
    assert library.wb_cuda_rvq_packed_bytes(3, 50, 64) == 3 * 50 * (2 * 64 + 12)
    for entries, dim in ((50, 48), (50, 16), (50, 2048), (0, 64)):
        assert library.wb_cuda_rvq_packed_bytes(3, entries, dim) == 0
        assert library.wb_cuda_rvq_encode_tiled(0, 9, 0, 0, 3, 3, entries, dim, 0, 0, 0) == -1
    a_vector = 300 * 4 + 64 * 4 + 64 * 2 + 16 + 4  # bounds, residual, the same in 16 bits, the rest
    for frames in (9, 8192):
        needed = library.wb_cuda_rvq_tiled_bytes(frames, 300, 64)
        assert frames * a_vector <= needed < frames * a_vector + 5 * 256
    assert library.wb_cuda_rvq_tiled_bytes(100_000, 300, 64) == needed


@pytest.mark.cuda
@pytest.mark.parametrize("dim", [32, 64, 96, 128, 256, 512])
@pytest.mark.parametrize("frames", [0, 1, 3, 8, 9, 64, 200])
def test_encode_equals_the_cpu(gpu, frames, dim):
    vectors, codebooks = rvq_problem(frames, books=8, entries=300, dim=dim)
    check_encode(gpu, vectors, codebooks)


@pytest.mark.cuda
@pytest.mark.parametrize("level", [1e-20, 1e-8, 1e8, 1e15])
def test_tiled_encode_at_other_levels(gpu, level):
    vectors, codebooks = rvq_problem(70, entries=300, dim=64)
    check_encode(gpu, vectors * level, codebooks * level)


@pytest.mark.cuda
def test_tiled_encode_of_more_than_a_workspace_holds(gpu):
    vectors, codebooks = rvq_problem(8192 + 100, books=2, entries=70, dim=32)
    check_encode(gpu, vectors, codebooks)


@pytest.mark.cuda
def test_tiled_encode_with_fewer_books_than_were_packed(gpu):
    vectors, codebooks = (one.to(gpu) for one in rvq_problem(50, books=6, dim=64))
    packed = pack(codebooks)
    every = rvq_encode(vectors, codebooks, packed)
    assert torch.equal(rvq_encode(vectors, codebooks[:4], packed), every[:, :4])


def check_encode(gpu, vectors, codebooks):
    """The GPU's codes are the CPU's, or as near: to 2e-6, as float32 is."""
    expected = rvq_encode(vectors, codebooks, pack(codebooks), 1)
    there = codebooks.to(gpu)
    codes = rvq_encode(vectors.to(gpu), there, pack(there)).cpu()
    residual = vectors.double()
    for k, book in enumerate(codebooks.double()):
        near = (residual - book[codes[:, k]]).square().sum(1)
        least = (residual - book[expected[:, k]]).square().sum(1)
        alike = (codes[:, :k] == expected[:, :k]).all(1)
        assert (near[alike] <= least[alike] * (1 + 2e-6)).all()
        residual = residual - book[codes[:, k]]


@pytest.mark.cuda
@pytest.mark.parametrize("frames", [4, 40])
def test_encode_ties_and_what_is_no_number(gpu, frames):
    vectors, codebooks = rvq_problem(frames, entries=128, dim=64)
    codebooks[:, 64:] = codebooks[:, :64]
    vectors[2, 5] = float("nan")
    codes = rvq_encode(vectors.to(gpu), codebooks.to(gpu), pack(codebooks.to(gpu))).cpu()
    assert (codes[2] == -1).all()
    assert (codes[[0, 1, *range(3, frames)]] >= 0).all()
    assert (codes < 64).all()


@pytest.mark.cuda
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rows", [1, 2, 5, 8, 20])
@pytest.mark.parametrize(("outputs", "inputs", "group"), [(33, 64, None), (128, 2048, 128)])
def test_int8_linear_equals_the_reference(gpu, rows, outputs, inputs, group, dtype):
    weight, scales = (one.to(gpu) for one in quantize_int8(torch.randn(outputs, inputs), group))
    x = torch.randn(rows, inputs, device=gpu, dtype=dtype)
    bias = torch.randn(outputs, device=gpu)
    y = int8_linear(x, weight, scales, bias)
    expected = int8_linear_reference(x.double().float(), weight, scales, bias)
    tolerance = 1e-5 if dtype == torch.float32 else 2**-8
    assert (y - expected).abs().max() <= tolerance * expected.abs().max()


@pytest.mark.cuda
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rows", [1, 2, 5, 8, 20])
@pytest.mark.parametrize(("outputs", "inputs"), [(33, 64), (128, 2080)])
def test_int4_linear_equals_the_reference(gpu, rows, outputs, inputs, dtype):
    weight, scales = (one.to(gpu) for one in quantize_int4(torch.randn(outputs, inputs)))
    x = torch.randn(rows, inputs, device=gpu, dtype=dtype)
    bias = torch.randn(outputs, device=gpu)
    y = int4_linear(x, weight, scales, bias)
    expected = int4_linear_reference(x.double().float(), weight, scales, bias)
    tolerance = 1e-5 if dtype == torch.float32 else 2**-8
    assert (y - expected).abs().max() <= tolerance * expected.abs().max()


@pytest.mark.cuda
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_embedding_sum_equals_the_reference(gpu, dtype):
    tables = torch.randn(5, 30, 48, device=gpu, dtype=dtype)
    codes = torch.randint(30, (3, 7, 5), device=gpu)
    torch.testing.assert_close(
        embedding_sum(codes, tables).float(),
        embedding_sum_reference(codes, tables.float()),
        atol=1e-5 if dtype == torch.float32 else 0.05,
        rtol=1e-5 if dtype == torch.float32 else 0.01,
    )


@pytest.mark.cuda
@pytest.mark.parametrize("frames", [2, 20])
def test_all_can_be_captured(gpu, frames):
    vectors, codebooks = (one.to(gpu) for one in rvq_problem(frames, dim=64))
    packed = pack(codebooks)
    weight, scales = (one.to(gpu) for one in quantize_int8(torch.randn(32, 64)))
    codes4, scales4 = (one.to(gpu) for one in quantize_int4(torch.randn(32, 64)))

    def work():
        codes = rvq_encode(vectors, codebooks, packed)
        sums = embedding_sum(codes, codebooks)
        return codes, int8_linear(sums, weight, scales), int4_linear(sums, codes4, scales4)

    expected = work()
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        work()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = work()
    vectors.mul_(0.5)
    graph.replay()
    after = work()
    assert all(torch.equal(a, b) for a, b in zip(captured, after, strict=True))
    assert not torch.equal(expected[1], after[1])
