// RVQ encode with AMX: tdpbsud multiplies 16 frames' signed bytes with 16 entries' unsigned ones, 64
// dimensions at once. Few frames, and dimensions that fill no tile, are VNNI's.
#include "rvq_avx512.inc"

namespace wb {
namespace {

constexpr int64_t kRows = 16;     // frames of a tile, and entries
constexpr int64_t kDims = 64;     // dimensions of a tile
constexpr int64_t kFewest = 4;    // frames for which tiles are worth it
constexpr int64_t kStride = 256;  // bytes from four dimensions of 64 entries to the next four

struct alignas(64) TileShapes {
  uint8_t palette = 1, start_row = 0, reserved[14] = {0};
  uint16_t bytes_per_row[16];
  uint8_t rows[16];
  TileShapes() {
    for (int tile = 0; tile < 16; ++tile) {
      bytes_per_row[tile] = tile < 8 ? 64 : 0;
      rows[tile] = tile < 8 ? 16 : 0;
    }
  }
};

using Products = int32_t[2 * kRows][kBlock];
using Starts = int32_t[kMostTile][kRows];

// 16 frames (p, starts) against 64 entries, in four tiles of sums.
inline void multiply_1x4(const uint8_t* codes, const int8_t* p, int64_t dim, const Starts& starts,
                         int64_t frame, Products& products) {
  const int32_t* start = starts[frame];
  _tile_loadd(0, start, 64);
  _tile_loadd(1, start, 64);
  _tile_loadd(2, start, 64);
  _tile_loadd(3, start, 64);
  for (int64_t i = 0; i < dim; i += kDims) {
    const uint8_t* some = codes + i * kBlock;
    _tile_loadd(4, p + i, dim);
    _tile_loadd(5, some, kStride);
    _tile_dpbsud(0, 4, 5);
    _tile_loadd(6, some + 64, kStride);
    _tile_dpbsud(1, 4, 6);
    _tile_loadd(7, some + 128, kStride);
    _tile_dpbsud(2, 4, 7);
    _tile_loadd(5, some + 192, kStride);
    _tile_dpbsud(3, 4, 5);
  }
  _tile_stored(0, products[0], 256);
  _tile_stored(1, products[0] + 16, 256);
  _tile_stored(2, products[0] + 32, 256);
  _tile_stored(3, products[0] + 48, 256);
}

// 32 frames against the 32 entries from `place` on, in two by two tiles of sums.
inline void multiply_2x2(const uint8_t* codes, int64_t place, const int8_t* p, int64_t dim,
                         const Starts& starts, int64_t frame, Products& products) {
  const int8_t* others = p + kRows * dim;
  _tile_loadd(0, starts[frame], 64);
  _tile_loadd(1, starts[frame], 64);
  _tile_loadd(2, starts[frame + kRows], 64);
  _tile_loadd(3, starts[frame + kRows], 64);
  for (int64_t i = 0; i < dim; i += kDims) {
    const uint8_t* some = codes + i * kBlock + place * 4;
    _tile_loadd(4, p + i, dim);
    _tile_loadd(6, some, kStride);
    _tile_dpbsud(0, 4, 6);
    _tile_loadd(7, some + 64, kStride);
    _tile_dpbsud(1, 4, 7);
    _tile_loadd(5, others + i, dim);
    _tile_dpbsud(2, 5, 6);
    _tile_dpbsud(3, 5, 7);
  }
  _tile_stored(0, products[0] + place, 256);
  _tile_stored(1, products[0] + place + 16, 256);
  _tile_stored(2, products[kRows] + place, 256);
  _tile_stored(3, products[kRows] + place + 16, 256);
}

inline void screen_tiles(const Book& book, const int8_t* p, const Residual* residuals,
                         int64_t count, float* lower, __m512* least) {
  alignas(64) Starts starts;
  alignas(64) Products products;
  const int64_t dim = book.padded_dim;
  for (int64_t f = 0; f < kMostTile; ++f) {
    const __m512i start = _mm512_set1_epi32(f < count ? -128 * residuals[f].sum : 0);
    _mm512_store_si512(starts[f], start);
  }
  // The tiles' loads don't tell the compiler that they read memory.
  __asm__ volatile("" ::: "memory");
  for (int64_t block = 0; block < book.padded; block += kBlock) {
    const uint8_t* codes = book.codes(block);
    for (int64_t from = 0; from < count; from += 2 * kRows) {
      const int64_t some = count - from < 2 * kRows ? count - from : 2 * kRows;
      const int8_t* own = p + from * dim;
      if (some > kRows) {
        multiply_2x2(codes, 0, own, dim, starts, from, products);
        multiply_2x2(codes, 32, own, dim, starts, from, products);
      } else {
        multiply_1x4(codes, own, dim, starts, from, products);
      }
      for (int s = 0; s < 4; ++s) {
        const Tables of = tables(book.bounds(block), 16 * s);
        float* to = lower + from * book.stride + block + 16 * s;
        for (int64_t f = 0; f < some; ++f) {
          bound(of, _mm512_load_si512(products[f] + 16 * s), residuals[from + f],
                to + f * book.stride, least[from + f]);
        }
      }
    }
  }
}

inline void screen_frames(const Book& book, const int8_t* p, const Residual* residuals,
                          int64_t count, float* lower, float* upper) {
  __m512 least[kMostTile];
  for (int64_t f = 0; f < count; ++f) least[f] = _mm512_set1_ps(INFINITY);
  if (count < kFewest || book.padded_dim % kDims != 0) {
    screen_vnni(book, p, residuals, count, lower, least);
  } else {
    screen_tiles(book, p, residuals, count, lower, least);
  }
  for (int64_t f = 0; f < count; ++f) upper[f] = _mm512_reduce_min_ps(least[f]);
}

}  // namespace

void encode_tile_amx(const Layout& layout, const float* codebooks, const uint8_t* packed,
                     int64_t books, int64_t frames, Scratch* scratch, int64_t* codes) {
  const TileShapes shapes;
  _tile_loadconfig(&shapes);
  encode_tile(layout, codebooks, packed, books, frames, scratch, codes);
  _tile_release();  // so that a change of threads has nothing to save
}

}  // namespace wb
