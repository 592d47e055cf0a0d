import pytest
import torch
from torch.nn import functional

from workbench.errors import InputError
from workbench.native.rvq import (
    ResidualCodebooks,
    embedding_sum,
    embedding_sum_reference,
    pack,
    rvq_encode,
    rvq_encode_reference,
)


def problem(frames, books=4, entries=64, dim=16, seed=0):
    """Codebooks whose entries shrink as a trained RVQ's do, and vectors to encode."""
    generator = torch.Generator().manual_seed(seed)
    codebooks = torch.randn(books, entries, dim, generator=generator)
    codebooks /= torch.arange(1, books + 1)[:, None, None] ** 0.5
    return torch.randn(frames, dim, generator=generator), codebooks


def assert_exact(vectors, codebooks, codes):
    """Every index against a float64 chain; a first mismatch needs a relative gap below 1e-6."""
    residual, exact = vectors.double(), codebooks.double()
    alike = torch.ones(len(vectors), dtype=torch.bool)
    for k, book in enumerate(exact):
        distances = torch.cdist(residual, book, compute_mode="donot_use_mm_for_euclid_dist")
        least, best = distances.square().min(1)
        chosen = distances.square().gather(1, codes[:, k : k + 1])[:, 0]
        first = alike & (best != codes[:, k])
        assert ((chosen - least)[first] <= 1e-6 * least[first]).all(), f"codebook {k}"
        alike &= ~first
        residual = residual - book[codes[:, k]]
    return int(alike.sum())


@pytest.mark.parametrize("frames", [1, 2, 3, 5, 13, 33, 125])
def test_every_index_is_exact(isa, frames):
    vectors, codebooks = problem(frames)
    codes = rvq_encode(vectors, codebooks, pack(codebooks), 1)
    assert assert_exact(vectors, codebooks, codes) == frames
    assert torch.equal(codes, rvq_encode_reference(vectors, codebooks))


@pytest.mark.parametrize("frames", [4, 16, 17, 33, 64, 65, 130])
@pytest.mark.parametrize("dim", [64, 192])
def test_dimensions_that_fill_tiles(isa, frames, dim):
    vectors, codebooks = problem(frames, books=3, entries=100, dim=dim)
    codes = rvq_encode(vectors, codebooks, pack(codebooks), 1)
    assert assert_exact(vectors, codebooks, codes) == frames
    assert torch.equal(codes, rvq_encode_reference(vectors, codebooks))


@pytest.mark.parametrize(("entries", "dim"), [(1, 1), (3, 5), (64, 64), (65, 30), (200, 257)])
def test_shapes_that_fill_no_vector(isa, entries, dim):
    vectors, codebooks = problem(20, books=3, entries=entries, dim=dim)
    codes = rvq_encode(vectors, codebooks, pack(codebooks), 1)
    assert_exact(vectors, codebooks, codes)


@pytest.mark.parametrize("dim", [16, 64])
@pytest.mark.parametrize("level", [1e-35, 1e-20, 1e-4, 1e4, 1e20])
def test_levels(isa, level, dim):
    vectors, codebooks = problem(8, dim=dim)
    expected = rvq_encode(vectors, codebooks, pack(codebooks), 1)
    # A power of two scales without rounding: the same codes at any level.
    factor = 2.0 ** round(torch.tensor(level).log2().item())
    scaled = codebooks * factor
    assert torch.equal(rvq_encode(vectors * factor, scaled, pack(scaled), 1), expected)


def test_mimis_size(built):
    vectors, codebooks = problem(6, books=8, entries=2048, dim=256)
    codes = rvq_encode(vectors, codebooks, pack(codebooks), 1)
    assert assert_exact(vectors, codebooks, codes) == 6


@pytest.mark.slow
def test_a_hundred_thousand_frames(built):
    vectors, codebooks = problem(100_000, books=3, entries=32, dim=8)
    codes = rvq_encode(vectors, codebooks, pack(codebooks), 2)
    assert assert_exact(vectors, codebooks, codes) > 99_990


def test_few_entries_are_measured_in_float64(built):
    from workbench.native.library import cpu_library

    vectors, codebooks = problem(50, books=2, entries=1024, dim=128)
    packed = pack(codebooks)
    before = cpu_library().wb_rvq_reranked()
    rvq_encode(vectors, codebooks, packed, 1)
    measured = cpu_library().wb_rvq_reranked() - before
    assert 100 <= measured < 100 * 1024 / 20  # one a search at least, a twentieth at most


@pytest.mark.parametrize("dim", [16, 64])
def test_ties_take_the_lowest_index(isa, dim):
    vectors, codebooks = problem(50, entries=128, dim=dim)
    codebooks[:, 64:] = codebooks[:, :64]
    codes = rvq_encode(vectors, codebooks, pack(codebooks), 1)
    assert codes.max() < 64
    assert torch.equal(codes, rvq_encode_reference(vectors, codebooks))
    mirrored = torch.tensor([[[1.0, 0], [-1.0, 0], [0, 1.0], [0, -1.0]]])
    zero = torch.zeros(3, 2)
    assert rvq_encode(zero, mirrored, pack(mirrored), 1).tolist() == [[0], [0], [0]]


def test_threads_change_nothing(isa):
    vectors, codebooks = problem(131)
    packed = pack(codebooks)
    one = rvq_encode(vectors, codebooks, packed, 1)
    for threads in (0, 2, 3, 64):
        assert torch.equal(rvq_encode(vectors, codebooks, packed, threads), one)


def test_calls_at_the_same_time(built):
    from concurrent.futures import ThreadPoolExecutor

    vectors, codebooks = problem(40)
    packed = pack(codebooks)
    expected = rvq_encode(vectors, codebooks, packed, 1)
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda _: rvq_encode(vectors, codebooks, packed, 2), range(16))
    assert all(torch.equal(codes, expected) for codes in found)


def test_input_is_left_alone(built):
    vectors, codebooks = problem(7)
    before = vectors.clone()
    rvq_encode(vectors, codebooks, pack(codebooks), 1)
    assert torch.equal(vectors, before)


def test_empty(isa):
    vectors, codebooks = problem(0)
    assert rvq_encode(vectors, codebooks, pack(codebooks), 1).shape == (0, 4)


def test_not_contiguous(isa):
    vectors, codebooks = problem(20)
    packed = pack(codebooks)
    expected = rvq_encode(vectors, codebooks, packed, 1)
    turned = vectors.T.contiguous().T
    assert torch.equal(rvq_encode(turned, codebooks, packed, 1), expected)
    spread = torch.stack([vectors, vectors], dim=1)[:, 0]
    assert torch.equal(rvq_encode(spread, codebooks, packed, 1), expected)
    strided = codebooks.transpose(1, 2).contiguous().transpose(1, 2)
    assert torch.equal(pack(strided), packed)
    assert torch.equal(rvq_encode(vectors, strided, packed, 1), expected)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -float("inf"), 1e31])
def test_numbers_that_cannot_be_encoded(isa, wrong):
    vectors, codebooks = problem(20)
    packed = pack(codebooks)
    vectors[13, 3] = wrong
    with pytest.raises(InputError, match="NaN, infinity .* in vectors"):
        rvq_encode(vectors, codebooks, packed, 1)
    with pytest.raises(InputError, match="NaN, infinity .* in vectors"):
        rvq_encode_reference(vectors, codebooks)
    codebooks[1, 2, 3] = wrong
    with pytest.raises(InputError, match="in codebooks"):
        pack(codebooks)


def test_wrong_shapes_and_types(built):
    vectors, codebooks = problem(3)
    packed = pack(codebooks)
    for bad in (vectors[0], vectors[:, :5], vectors[None]):
        with pytest.raises(InputError, match="vectors of shape"):
            rvq_encode(bad, codebooks, packed, 1)
    for dtype in (torch.float64, torch.bfloat16, torch.int64):
        with pytest.raises(InputError, match="vectors of type"):
            rvq_encode(vectors.to(dtype), codebooks, packed, 1)
        with pytest.raises(InputError, match="codebooks of shape"):
            rvq_encode(vectors, codebooks.to(dtype), packed, 1)
    for bad in (codebooks[0], codebooks[:0], codebooks.double()):
        with pytest.raises(InputError, match="codebooks of shape"):
            pack(bad)
    with pytest.raises(InputError, match="screening table"):
        rvq_encode(vectors, codebooks, packed[:-1], 1)
    with pytest.raises(InputError, match="-1 threads"):
        rvq_encode(vectors, codebooks, packed, -1)


def test_wrong_device(built):
    vectors, codebooks = problem(3)
    with pytest.raises(InputError, match="move them to one device"):
        rvq_encode(vectors, codebooks.to("meta"), pack(codebooks), 1)


def test_codebooks_as_a_module(built):
    vectors, codebooks = problem(12)
    books = ResidualCodebooks(codebooks)
    codes = books.encode(vectors.view(3, 4, -1))
    assert codes.shape == (3, 4, 4)
    assert torch.equal(codes.view(12, 4), rvq_encode_reference(vectors, codebooks))
    assert torch.equal(books.encode(vectors, 2), codes.view(12, 4)[:, :2])
    left = vectors - books.decode(codes).view(12, -1)
    assert left.norm() < vectors.norm()
    assert not books.state_dict()


def test_embedding_sum():
    tables = torch.randn(3, 10, 6)
    codes = torch.randint(10, (2, 5, 3))
    expected = sum(functional.embedding(codes[..., k], tables[k]) for k in range(3))
    torch.testing.assert_close(embedding_sum(codes, tables), expected)
    assert embedding_sum(codes[:, :0], tables).shape == (2, 0, 6)
    with pytest.raises(InputError, match="pass codes from 0 to 9"):
        embedding_sum(codes + 10, tables)
    with pytest.raises(InputError, match="codes of type"):
        embedding_sum(codes.int(), tables)
    with pytest.raises(InputError, match="codes of shape"):
        embedding_sum(codes[..., :2], tables)
    torch.testing.assert_close(embedding_sum_reference(codes, tables), expected)


def test_opcheck(built):
    vectors, codebooks = problem(5)
    codes = torch.randint(64, (5, 4))
    torch.library.opcheck(
        torch.ops.workbench.rvq_encode.default, (vectors, codebooks, pack(codebooks), 1)
    )
    torch.library.opcheck(torch.ops.workbench.embedding_sum.default, (codes, codebooks))


@pytest.mark.slow
def test_compiles_in_one_graph(built):
    vectors, codebooks = problem(9)
    packed = pack(codebooks)

    def encode(vectors):
        return rvq_encode(vectors * 2, codebooks, packed, 1) + 1

    compiled = torch.compile(encode, fullgraph=True, dynamic=True, backend="aot_eager")
    for frames in (9, 4):
        assert torch.equal(compiled(vectors[:frames]), encode(vectors[:frames]))


def test_exports(built):
    vectors, codebooks = problem(9)

    class Encoder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.books = ResidualCodebooks(codebooks)

        def forward(self, vectors):
            return self.books.encode(vectors)

    frames = torch.export.Dim("frames", min=2, max=1000)
    exported = torch.export.export(Encoder(), (vectors,), dynamic_shapes=({0: frames},))
    assert torch.equal(exported.module()(vectors[:5]), Encoder()(vectors[:5]))
