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

constexpr int64_t kBlock = 64;     // entries side by side, a multiple of every vector's width
constexpr int64_t kMostTile = 64;  // frames that walk through the codebooks together, at most

inline int64_t round_up(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

// What 64 entries have beside their codes.
struct Bounds {
  float half_norm[kBlock];  // |c|^2 / 2
  float scale[kBlock];
  float error[kBlock];  // |c - scale q|, rounded up, with float32's rounding of the score
  float norm[kBlock];   // |scale q|, rounded up
};

// One codebook: blocks of 64 entries, one stream in the order in which they are read. A block is
// the codes q + 128, [D / 4][64][4], where a load holds the same four dimensions of neighbouring
// entries (and AMX's tiles their 16 rows of 64 bytes), and then its Bounds. V is padded to 64 with
// entries that are never near, D to 4.
struct Book {
  const float* exact;  // [V][D]
  const uint8_t* blocks;
  float largest;  // the largest |c|
  int64_t entries, padded, dim, padded_dim, stride;

  const uint8_t* codes(int64_t block) const {
    return blocks + block / kBlock * (kBlock * padded_dim + int64_t(sizeof(Bounds)));
  }
  const Bounds& bounds(int64_t block) const {
    return *reinterpret_cast<const Bounds*>(codes(block) + kBlock * padded_dim);
  }
};

struct Layout {
  int64_t entries, dim, padded, padded_dim;
  Layout(int64_t v, int64_t d)
      : entries(v), dim(d), padded(round_up(v, kBlock)), padded_dim(round_up(d, 4)) {}
  // Floats from one frame's bounds to the next: not a power of two, or all frames' bounds of an
  // entry would fall into the same lines of the cache.
  int64_t stride() const { return padded + 16; }
  int64_t block_bytes() const { return kBlock * padded_dim + int64_t(sizeof(Bounds)); }
  // One line whose first float is `largest`, and the blocks.
  int64_t book_bytes() const { return 64 + padded / kBlock * block_bytes(); }
  Book book(const float* exact, const uint8_t* packed) const {
    return {exact, packed + 64, *reinterpret_cast<const float*>(packed), entries, padded, dim,
            padded_dim, stride()};
  }
};

// Memory for one tile on one thread.
struct Scratch {
  float* residual;      // [tile][D]
  int8_t* quantized;    // [tile rounded up to 16][padded D]
  float* lower;         // [tile][stride()]
  int32_t* candidates;  // [tile][padded V]
  int64_t reranked;     // entries measured in float64
};

// Encodes `frames` residuals (destroyed) through `books` codebooks; codes [frames][books].
using EncodeTile = void (*)(const Layout&, const float* codebooks, const uint8_t* packed,
                            int64_t books, int64_t frames, Scratch*, int64_t* codes);

struct Encoder {
  EncodeTile encode;
  int64_t tile;  // frames at once, at most kMostTile
};

void encode_tile_portable(const Layout&, const float*, const uint8_t*, int64_t, int64_t, Scratch*,
                          int64_t*);
void encode_tile_avx2(const Layout&, const float*, const uint8_t*, int64_t, int64_t, Scratch*,
                      int64_t*);
void encode_tile_avx512(const Layout&, const float*, const uint8_t*, int64_t, int64_t, Scratch*,
                        int64_t*);
void encode_tile_amx(const Layout&, const float*, const uint8_t*, int64_t, int64_t, Scratch*,
                     int64_t*);

}  // namespace wb
