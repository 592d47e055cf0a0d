// RVQ encode with AVX-512 VNNI: vpdpbusd multiplies 64 bytes and sums them by fours.
#include "rvq_avx512.inc"

namespace wb {
namespace {

inline void screen_frames(const Book& book, const int8_t* p, const Residual* residuals,
                          int64_t count, float* lower, float* upper) {
  __m512 least[kMostTile];
  for (int64_t f = 0; f < count; ++f) least[f] = _mm512_set1_ps(INFINITY);
  screen_vnni(book, p, residuals, count, lower, least);
  for (int64_t f = 0; f < count; ++f) upper[f] = _mm512_reduce_min_ps(least[f]);
}

}  // namespace

void encode_tile_avx512(const Layout& layout, const float* codebooks, const uint8_t* packed,
                        int64_t books, int64_t frames, Scratch* scratch, int64_t* codes) {
  encode_tile(layout, codebooks, packed, books, frames, scratch, codes);
}

}  // namespace wb
