// The screening table's layout, and what each instruction set's encoder offers.
//
// A codebook's entry c is approximated by scale * q, q of 8 bits. For a residual r, approximated
// by step * p, the score |c|^2 / 2 - r.c (least for the nearest entry) is then known to within
//   |r| |c - scale q| + |r - step p| |scale q|        (Cauchy-Schwarz),
// and only entries whose lower bound lies below the least upper bound can be the nearest. Those
// few are measured in float64, so that the answer is exact whatever the 8 bits did.
#pragma once

#include <cstdint>

namespace wb {

constexpr int64_t kBlock = 64;  // entries side by side, a multiple of every vector's width
constexpr int64_t kTile = 48;   // frames that walk through the codebooks together

inline int64_t round_up(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

// One codebook. `codes` are q + 128, [V / 64][D / 4][64][4]: a load holds the same four
// dimensions of neighbouring entries. V is padded to 64 with entries that are never near, D to 4.
struct Book {
  const float* exact;      // [V][D]
  const uint8_t* codes;    // q + 128
  const float* half_norm;  // |c|^2 / 2
  const float* scale;
  const float* error;      // |c - scale q|, rounded up, with float32's rounding of the score
  const float* norm;       // |scale q|, rounded up
  float largest;           // the largest |c|
  int64_t entries, padded, dim, padded_dim, stride;
};

struct Layout {
  int64_t entries, dim, padded, padded_dim;
  Layout(int64_t v, int64_t d)
      : entries(v), dim(d), padded(round_up(v, kBlock)), padded_dim(round_up(d, 4)) {}
  // Floats from one frame's bounds to the next: not a power of two, or all frames' bounds of an
  // entry would fall into the same lines of the cache.
  int64_t stride() const { return padded + 16; }
  int64_t code_bytes() const { return padded * padded_dim; }
  // Codes, four tables of floats, and one line whose first float is `largest`.
  int64_t book_bytes() const { return code_bytes() + 4 * padded * 4 + 64; }
  Book book(const float* exact, const uint8_t* packed) const {
    const float* tables = reinterpret_cast<const float*>(packed + code_bytes());
    return {exact,
            packed,
            tables,
            tables + padded,
            tables + 2 * padded,
            tables + 3 * padded,
            tables[4 * padded],
            entries,
            padded,
            dim,
            padded_dim,
            stride()};
  }
};

// Memory for one tile on one thread.
struct Scratch {
  float* residual;      // [tile][D]
  int8_t* quantized;    // [tile][padded D]
  float* lower;         // [tile][stride()]
  int32_t* candidates;  // [padded V]
  int64_t reranked;     // entries measured in float64
};

// Encodes `frames` <= kTile residuals (destroyed) through `books` codebooks; codes [frames][books].
using EncodeTile = void (*)(const Layout&, const float* codebooks, const uint8_t* packed,
                            int64_t books, int64_t frames, Scratch*, int64_t* codes);

void encode_tile_portable(const Layout&, const float*, const uint8_t*, int64_t, int64_t, Scratch*,
                          int64_t*);
void encode_tile_avx2(const Layout&, const float*, const uint8_t*, int64_t, int64_t, Scratch*,
                      int64_t*);
void encode_tile_avx512(const Layout&, const float*, const uint8_t*, int64_t, int64_t, Scratch*,
                        int64_t*);

}  // namespace wb
