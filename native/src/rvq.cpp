// RVQ: the screening table, and frames shared among threads.
#include "rvq.h"

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <new>

#ifdef __linux__
#include <sys/mman.h>
#endif

#include "isa.h"
#include "parallel.h"
#include "workbench_native.h"

namespace wb {
namespace {

std::atomic<int64_t> reranked{0};

// Whether all are numbers that residuals can be computed from: no NaN, nothing beyond kHuge, so
// that no difference overflows float32. Vectorizes, as it doesn't leave early.
constexpr float kHuge = 1e30f;

bool usable(const float* values, int64_t count) {
  int wrong = 0;
  for (int64_t i = 0; i < count; ++i) wrong |= !(std::fabs(values[i]) <= kHuge);
  return wrong == 0;
}

Encoder encoder() {
#ifdef WB_X86
  switch (isa()) {
#ifdef WB_AMX
    case Isa::amx:
      return {encode_tile_amx, 64};
#endif
    case Isa::avx512_vnni:
      return {encode_tile_avx512, 48};
    case Isa::avx2:
      return {encode_tile_avx2, 48};
    default:
      break;
  }
#endif
  return {encode_tile_portable, 48};
}

// Asks for huge pages, of memory that was written already, too; its content stays. In pages of 4 KB
// the processor's page table misses most of a codebook's entries, and reading ahead ends with a page.
void ask_for_huge_pages(const void* memory, int64_t bytes) {
#ifdef __linux__
  constexpr uintptr_t page = 4096;
  constexpr int64_t worthwhile = int64_t(4) << 20;  // two huge pages
  constexpr int collapse = 25;                      // MADV_COLLAPSE, which older headers don't have
  if (bytes < worthwhile) return;
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(memory) + page - 1) / page * page;
  const uintptr_t end = (reinterpret_cast<uintptr_t>(memory) + uintptr_t(bytes)) / page * page;
  // Advice: where it can't be had, nothing changes.
  for (int advice : {MADV_HUGEPAGE, collapse}) {
    (void)madvise(reinterpret_cast<void*>(begin), end - begin, advice);
  }
#else
  (void)memory;
  (void)bytes;
#endif
}

void pack_book(const Layout& layout, const float* exact, uint8_t* packed) {
  const float up = 1 + 1e-6f;
  double largest = 0;
  for (int64_t v = 0; v < layout.padded; ++v) {
    uint8_t* block = packed + 64 + v / kBlock * layout.block_bytes();
    Bounds& bounds = *reinterpret_cast<Bounds*>(block + kBlock * layout.padded_dim);
    const int64_t place = v % kBlock;
    if (place == 0) std::memset(block, 128, kBlock * layout.padded_dim);
    bounds.half_norm[place] = std::numeric_limits<float>::max() / 4;  // padding is never near
    bounds.scale[place] = bounds.error[place] = bounds.norm[place] = 0;
    if (v >= layout.entries) continue;
    const float* entry = exact + v * layout.dim;
    float peak = 0;
    double square = 0;
    for (int64_t i = 0; i < layout.dim; ++i) {
      peak = std::max(peak, std::fabs(entry[i]));
      square += double(entry[i]) * double(entry[i]);
    }
    const float scale = peak < 1e-30f ? 0.0f : peak / 127.0f;
    double error = 0, norm = 0;
    for (int64_t i = 0; i < layout.dim; ++i) {
      const double ratio = scale > 0 ? double(entry[i]) / double(scale) : 0.0;
      const double code = std::min(127.0, std::max(-127.0, std::nearbyint(ratio)));
      const double near = double(scale) * code;
      error += (double(entry[i]) - near) * (double(entry[i]) - near);
      norm += near * near;
      block[i / 4 * 4 * kBlock + place * 4 + i % 4] = uint8_t(int(code) + 128);
    }
    bounds.half_norm[place] = float(square / 2);
    bounds.scale[place] = scale;
    bounds.norm[place] = float(std::sqrt(norm)) * up;
    // The score's rounding in float32 is a few 2^-24 of |r| |scale q|: counted as an error of c.
    bounds.error[place] = float(std::sqrt(error)) * up + 1e-6f * bounds.norm[place];
    largest = std::max(largest, std::sqrt(square));
  }
  std::memset(packed, 0, 64);
  *reinterpret_cast<float*>(packed) = float(largest);
}

// Frees what std::aligned_alloc gave.
struct Freed {
  void operator()(void* memory) const { std::free(memory); }
};

template <typename T>
std::unique_ptr<T[], Freed> aligned(int64_t count) {
  return std::unique_ptr<T[], Freed>(
      static_cast<T*>(std::aligned_alloc(64, size_t(round_up(count * int64_t(sizeof(T)), 64)))));
}

}  // namespace
}  // namespace wb

int64_t wb_rvq_packed_bytes(int64_t books, int64_t entries, int64_t dim) {
  if (books < 0 || entries < 1 || dim < 1) return 0;
  return books * wb::Layout(entries, dim).book_bytes();
}

int wb_rvq_pack(const float* codebooks, int64_t books, int64_t entries, int64_t dim,
                uint8_t* packed) {
  if (!codebooks || !packed || books < 1 || entries < 1 || dim < 1) return WB_BAD_ARGUMENT;
  // Sums of products of 8-bit numbers stay within 31 bits up to here.
  if (dim > 65536 || entries > std::numeric_limits<int32_t>::max() / 2) return WB_BAD_ARGUMENT;
  if (!wb::usable(codebooks, books * entries * dim)) return WB_NOT_FINITE;
  const wb::Layout layout(entries, dim);
  wb::ask_for_huge_pages(packed, books * layout.book_bytes());
  wb::ask_for_huge_pages(codebooks, books * entries * dim * int64_t(sizeof(float)));
  for (int64_t k = 0; k < books; ++k) {
    wb::pack_book(layout, codebooks + k * entries * dim, packed + k * layout.book_bytes());
  }
  return WB_OK;
}

int wb_rvq_encode(const float* vectors, int64_t frames, const float* codebooks,
                  const uint8_t* packed, int64_t books, int64_t entries, int64_t dim, int threads,
                  int64_t* codes) {
  if (frames < 0 || books < 1 || entries < 1 || dim < 1 || threads < 1) return WB_BAD_ARGUMENT;
  if (frames == 0) return WB_OK;
  if (!vectors || !codebooks || !packed || !codes) return WB_BAD_ARGUMENT;
  if (!wb::usable(vectors, frames * dim)) return WB_NOT_FINITE;
  const wb::Layout layout(entries, dim);
  const wb::Encoder encoder = wb::encoder();
  std::atomic<int> status{WB_OK};
  const auto work = [&](int64_t begin, int64_t end) {
    const int64_t tile = std::min(encoder.tile, end - begin);
    const auto residual = wb::aligned<float>(tile * dim);
    const auto quantized = wb::aligned<int8_t>(wb::round_up(tile, 16) * layout.padded_dim);
    const auto lower = wb::aligned<float>(tile * layout.stride());
    const auto candidates = wb::aligned<int32_t>(tile * layout.padded);
    if (!residual || !quantized || !lower || !candidates) {
      status = WB_NO_MEMORY;
      return;
    }
    wb::Scratch scratch{residual.get(), quantized.get(), lower.get(), candidates.get(), 0};
    for (int64_t first = begin; first < end; first += encoder.tile) {
      const int64_t count = std::min(encoder.tile, end - first);
      std::memcpy(residual.get(), vectors + first * dim, count * dim * sizeof(float));
      encoder.encode(layout, codebooks, packed, books, count, &scratch, codes + first * books);
    }
    wb::reranked += scratch.reranked;
  };
  try {
    wb::shared(frames, 4, threads, work);
  } catch (const std::bad_alloc&) {
    return WB_NO_MEMORY;
  }
  return status;
}

int64_t wb_rvq_reranked(void) { return wb::reranked; }
