// RVQ encode with AVX2: products of bytes by vpmaddubsw, whose 16-bit sums can't saturate as both
// factors lie within +-127.
#include <immintrin.h>

#include "rvq_plain.inc"

namespace wb {
namespace {

// F frames against all entries, 32 at a time.
template <int F>
inline void screen_some(const Book& book, const int8_t* p, const Residual* residuals, float* lower,
                        float* upper) {
  const __m256i flip = _mm256_set1_epi8(char(0x80));
  const __m256i ones = _mm256_set1_epi16(1);
  __m256 least[F];
  for (int f = 0; f < F; ++f) least[f] = _mm256_set1_ps(INFINITY);
  for (int64_t first = 0; first < book.padded; first += 32) {
    const int64_t half = first % kBlock;
    const uint8_t* codes = book.codes(first) + half * 4;
    const Bounds& bounds = book.bounds(first);
    __m256i dots[F][4];
    for (int f = 0; f < F; ++f) {
      for (int s = 0; s < 4; ++s) dots[f][s] = _mm256_setzero_si256();
    }
    for (int64_t i = 0; i < book.padded_dim; i += 4) {
      __m256i q[4];
      for (int s = 0; s < 4; ++s) {
        q[s] = _mm256_xor_si256(
            _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes + i * kBlock + 32 * s)), flip);
      }
      for (int f = 0; f < F; ++f) {
        int32_t four;
        memcpy(&four, p + f * book.padded_dim + i, 4);
        const __m256i r = _mm256_set1_epi32(four);
        const __m256i size = _mm256_abs_epi8(r);
        for (int s = 0; s < 4; ++s) {
          const __m256i pairs = _mm256_maddubs_epi16(size, _mm256_sign_epi8(q[s], r));
          dots[f][s] = _mm256_add_epi32(dots[f][s], _mm256_madd_epi16(pairs, ones));
        }
      }
    }
    for (int s = 0; s < 4; ++s) {
      const int64_t place = half + 8 * s;
      const __m256 half_norm = _mm256_loadu_ps(bounds.half_norm + place);
      const __m256 scale = _mm256_loadu_ps(bounds.scale + place);
      const __m256 error = _mm256_loadu_ps(bounds.error + place);
      const __m256 norm = _mm256_loadu_ps(bounds.norm + place);
      const __m256 rounding =
          _mm256_fmadd_ps(_mm256_set1_ps(kRounding), half_norm, _mm256_set1_ps(kNegligible));
      for (int f = 0; f < F; ++f) {
        const __m256 dot =
            _mm256_mul_ps(_mm256_set1_ps(residuals[f].step), _mm256_cvtepi32_ps(dots[f][s]));
        const __m256 score = _mm256_fnmadd_ps(scale, dot, half_norm);
        const __m256 bound = _mm256_fmadd_ps(
            _mm256_set1_ps(residuals[f].norm), error,
            _mm256_fmadd_ps(_mm256_set1_ps(residuals[f].error), norm, rounding));
        _mm256_storeu_ps(lower + f * book.stride + first + 8 * s, _mm256_sub_ps(score, bound));
        least[f] = _mm256_min_ps(_mm256_add_ps(score, bound), least[f]);
      }
    }
  }
  for (int f = 0; f < F; ++f) {
    float lanes[8];
    _mm256_storeu_ps(lanes, least[f]);
    upper[f] = lanes[0];
    for (float one : lanes) upper[f] = one < upper[f] ? one : upper[f];
  }
}

inline void screen_frames(const Book& book, const int8_t* p, const Residual* residuals, int64_t count,
                          float* lower, float* upper) {
  int64_t f = 0;
  for (; f + 2 <= count; f += 2) {
    screen_some<2>(book, p + f * book.padded_dim, residuals + f, lower + f * book.stride,
                   upper + f);
  }
  for (; f < count; ++f) {
    screen_some<1>(book, p + f * book.padded_dim, residuals + f, lower + f * book.stride,
                   upper + f);
  }
}

inline int64_t collect(const float* lower, int64_t padded, float bound, int32_t* candidates) {
  const __m256 limit = _mm256_set1_ps(bound);
  int64_t count = 0;
  for (int64_t v = 0; v < padded; v += 8) {
    int mask = _mm256_movemask_ps(_mm256_cmp_ps(_mm256_loadu_ps(lower + v), limit, _CMP_NGT_UQ));
    for (; mask; mask &= mask - 1) candidates[count++] = int32_t(v + __builtin_ctz(mask));
  }
  return count;
}

}  // namespace

void encode_tile_avx2(const Layout& layout, const float* codebooks, const uint8_t* packed,
                      int64_t books, int64_t frames, Scratch* scratch, int64_t* codes) {
  encode_tile(layout, codebooks, packed, books, frames, scratch, codes);
}

}  // namespace wb
