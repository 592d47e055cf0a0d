// RVQ encode with AVX-512 VNNI: vpdpbusd multiplies 64 bytes and sums them by fours.
#include <immintrin.h>

#include "avx512.inc"
#include "rvq_tile.inc"

namespace wb {
namespace {

// Adds the products of four dimensions: 64 entries' codes, F frames.
template <int F>
WB_INLINE void four_dims(const uint8_t* codes, const int8_t* p, int64_t stride,
                         __m512i (&dots)[F][4]) {
  __m512i q[4];
  WB_UNROLL
  for (int s = 0; s < 4; ++s) q[s] = _mm512_loadu_si512(codes + 64 * s);
  WB_UNROLL
  for (int f = 0; f < F; ++f) {
    int32_t four;
    memcpy(&four, p + f * stride, 4);
    const __m512i r = _mm512_set1_epi32(four);
    WB_UNROLL
    for (int s = 0; s < 4; ++s) add_products(dots[f][s], q[s], r);
  }
}

// F frames against 64 entries from `block`. U sums for each of them: a single frame doesn't wait
// for the latency of its own additions.
template <int F, int U>
__attribute__((noinline)) void screen_block(const Book& book, int64_t block, const int8_t* p,
                            const Residual* residuals, float* lower, __m512* least) {
  const uint8_t* codes = book.codes + block * book.padded_dim;
  __m512i dots[U][F][4];
  WB_UNROLL
  for (int f = 0; f < F; ++f) {
    // The codes carry +128, so the sums start with -128 times the sum of p.
    const __m512i start = _mm512_set1_epi32(-128 * residuals[f].sum);
    WB_UNROLL
    for (int s = 0; s < 4; ++s) {
      dots[0][f][s] = start;
      WB_UNROLL
      for (int u = 1; u < U; ++u) dots[u][f][s] = _mm512_setzero_si512();
    }
  }
  int64_t i = 0;
  for (; i + 4 * U <= book.padded_dim; i += 4 * U) {
    WB_UNROLL
    for (int u = 0; u < U; ++u) {
      four_dims<F>(codes + (i + 4 * u) * kBlock, p + i + 4 * u, book.padded_dim, dots[u]);
    }
  }
  if constexpr (U > 1) {
    for (; i < book.padded_dim; i += 4) {
      four_dims<F>(codes + i * kBlock, p + i, book.padded_dim, dots[0]);
    }
  }
  WB_UNROLL
  for (int s = 0; s < 4; ++s) {
    const int64_t v = block + 16 * s;
    const __m512 half_norm = _mm512_loadu_ps(book.half_norm + v);
    const __m512 scale = _mm512_loadu_ps(book.scale + v);
    const __m512 error = _mm512_loadu_ps(book.error + v);
    const __m512 norm = _mm512_loadu_ps(book.norm + v);
    const __m512 rounding =
        _mm512_fmadd_ps(_mm512_set1_ps(kRounding), half_norm, _mm512_set1_ps(kNegligible));
    WB_UNROLL
    for (int f = 0; f < F; ++f) {
      __m512i sum = dots[0][f][s];
      WB_UNROLL
      for (int u = 1; u < U; ++u) sum = _mm512_add_epi32(sum, dots[u][f][s]);
      const __m512 dot = _mm512_mul_ps(_mm512_set1_ps(residuals[f].step), _mm512_cvtepi32_ps(sum));
      const __m512 score = _mm512_fnmadd_ps(scale, dot, half_norm);
      const __m512 bound =
          _mm512_fmadd_ps(_mm512_set1_ps(residuals[f].norm), error,
                          _mm512_fmadd_ps(_mm512_set1_ps(residuals[f].error), norm, rounding));
      _mm512_storeu_ps(lower + f * book.stride + v, _mm512_sub_ps(score, bound));
      least[f] = _mm512_min_ps(_mm512_add_ps(score, bound), least[f]);
    }
  }
}

template <int F, int U>
WB_INLINE int64_t screen_by(const Book& book, int64_t block, const int8_t* p,
                            const Residual* residuals, int64_t from, int64_t count, float* lower,
                            __m512* least) {
  for (; from + F <= count; from += F) {
    screen_block<F, U>(book, block, p + from * book.padded_dim, residuals + from,
                       lower + from * book.stride, least + from);
  }
  return from;
}

// Block by block, so that 64 entries stay in the nearest cache while all frames meet them.
inline void screen_frames(const Book& book, const int8_t* p, const Residual* residuals,
                          int64_t count, float* lower, float* upper) {
  __m512 least[kTile];
  for (int64_t f = 0; f < count; ++f) least[f] = _mm512_set1_ps(INFINITY);
  for (int64_t block = 0; block < book.padded; block += kBlock) {
    int64_t done = screen_by<6, 1>(book, block, p, residuals, 0, count, lower, least);
    done = screen_by<3, 1>(book, block, p, residuals, done, count, lower, least);
    done = screen_by<2, 2>(book, block, p, residuals, done, count, lower, least);
    screen_by<1, 4>(book, block, p, residuals, done, count, lower, least);
  }
  for (int64_t f = 0; f < count; ++f) upper[f] = _mm512_reduce_min_ps(least[f]);
}

inline int64_t collect(const float* lower, int64_t padded, float bound, int32_t* candidates) {
  const __m512 limit = _mm512_set1_ps(bound);
  int64_t count = 0;
  for (int64_t v = 0; v < padded; v += 16) {
    unsigned mask = _mm512_cmp_ps_mask(_mm512_loadu_ps(lower + v), limit, _CMP_NGT_UQ);
    for (; mask; mask &= mask - 1) candidates[count++] = int32_t(v + __builtin_ctz(mask));
  }
  return count;
}

}  // namespace

void encode_tile_avx512(const Layout& layout, const float* codebooks, const uint8_t* packed,
                        int64_t books, int64_t frames, Scratch* scratch, int64_t* codes) {
  encode_tile(layout, codebooks, packed, books, frames, scratch, codes);
}

}  // namespace wb
