// RVQ: the screening table, and frames shared among threads.
#include "rvq.h"

#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <new>

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

EncodeTile encoder() {
#ifdef WB_X86
  switch (isa()) {
    case Isa::avx512_vnni:
      return encode_tile_avx512;
    case Isa::avx2:
      return encode_tile_avx2;
    default:
      break;
  }
#endif
  return encode_tile_portable;
}

void pack_book(const Layout& layout, const float* exact, uint8_t* packed) {
  uint8_t* codes = packed;
  float* tables = reinterpret_cast<float*>(packed + layout.code_bytes());
  float* half_norm = tables;
  float* scales = tables + layout.padded;
  float* errors = tables + 2 * layout.padded;
  float* norms = tables + 3 * layout.padded;
  const float up = 1 + 1e-6f;
  double largest = 0;
  std::memset(codes, 128, layout.code_bytes());
  for (int64_t v = 0; v < layout.padded; ++v) {
    half_norm[v] = std::numeric_limits<float>::max() / 4;  // padding is never near
    scales[v] = errors[v] = norms[v] = 0;
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
    uint8_t* own = codes + v / kBlock * kBlock * layout.padded_dim + v % kBlock * 4;
    for (int64_t i = 0; i < layout.dim; ++i) {
      const double ratio = scale > 0 ? double(entry[i]) / double(scale) : 0.0;
      const double code = std::min(127.0, std::max(-127.0, std::nearbyint(ratio)));
      const double near = double(scale) * code;
      error += (double(entry[i]) - near) * (double(entry[i]) - near);
      norm += near * near;
      own[i / 4 * 4 * kBlock + i % 4] = uint8_t(int(code) + 128);
    }
    half_norm[v] = float(square / 2);
    scales[v] = scale;
    norms[v] = float(std::sqrt(norm)) * up;
    // The score's rounding in float32 is a few 2^-24 of |r| |scale q|: counted as an error of c.
    errors[v] = float(std::sqrt(error)) * up + 1e-6f * norms[v];
    largest = std::max(largest, std::sqrt(square));
  }
  std::memset(tables + 4 * layout.padded, 0, 64);
  tables[4 * layout.padded] = float(largest);
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
  const wb::EncodeTile encode = wb::encoder();
  std::atomic<int> status{WB_OK};
  const auto work = [&](int64_t begin, int64_t end) {
    const int64_t tile = std::min(wb::kTile, end - begin);
    std::unique_ptr<float[]> residual(new (std::nothrow) float[tile * dim]);
    std::unique_ptr<int8_t[]> quantized(new (std::nothrow) int8_t[tile * layout.padded_dim]);
    std::unique_ptr<float[]> lower(new (std::nothrow) float[tile * layout.stride()]);
    std::unique_ptr<int32_t[]> candidates(new (std::nothrow) int32_t[layout.padded]);
    if (!residual || !quantized || !lower || !candidates) {
      status = WB_NO_MEMORY;
      return;
    }
    wb::Scratch scratch{residual.get(), quantized.get(), lower.get(), candidates.get(), 0};
    for (int64_t first = begin; first < end; first += wb::kTile) {
      const int64_t count = std::min(wb::kTile, end - first);
      std::memcpy(residual.get(), vectors + first * dim, count * dim * sizeof(float));
      encode(layout, codebooks, packed, books, count, &scratch, codes + first * books);
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
