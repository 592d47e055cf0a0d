// Decoder layers, 8 floats at a time.
#include <immintrin.h>
#include <math.h>

#include "layers_kernels.h"

#define WB_INLINE inline __attribute__((always_inline))

namespace wb {
namespace {

using Vec = __m256;
constexpr int kLanes = 8, kRows = 2;

WB_INLINE Vec zero() { return _mm256_setzero_ps(); }
WB_INLINE Vec all(float x) { return _mm256_set1_ps(x); }
WB_INLINE Vec load(const float* p) { return _mm256_loadu_ps(p); }
WB_INLINE Vec widen(__m128i halves) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
}
WB_INLINE Vec load(const uint16_t* p) {
  return widen(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
WB_INLINE __m256i first(int n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
WB_INLINE Vec load_part(const float* p, int n) { return _mm256_maskload_ps(p, first(n)); }
WB_INLINE Vec load_part(const uint16_t* p, int n) {
  uint16_t halves[8] = {0};
  for (int i = 0; i < n; ++i) halves[i] = p[i];
  return load(halves);
}
WB_INLINE void store(float* p, Vec v) { _mm256_storeu_ps(p, v); }
WB_INLINE void store_part(float* p, Vec v, int n) { _mm256_maskstore_ps(p, first(n), v); }
WB_INLINE Vec add(Vec a, Vec b) { return _mm256_add_ps(a, b); }
WB_INLINE Vec multiply(Vec a, Vec b) { return _mm256_mul_ps(a, b); }
WB_INLINE Vec divide(Vec a, Vec b) { return _mm256_div_ps(a, b); }
WB_INLINE Vec fma(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }
WB_INLINE Vec larger(Vec a, Vec b) { return _mm256_max_ps(a, b); }
WB_INLINE Vec smaller(Vec a, Vec b) { return _mm256_min_ps(a, b); }
WB_INLINE Vec rounded(Vec a) {
  return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
WB_INLINE Vec times_power(Vec a, Vec n) {
  const __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
  return _mm256_mul_ps(a, _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23)));
}
WB_INLINE void sum4(const Vec* v, float* sums) {
  const __m256 pairs =
      _mm256_hadd_ps(_mm256_hadd_ps(v[0], v[1]), _mm256_hadd_ps(v[2], v[3]));
  _mm_storeu_ps(sums,
                _mm_add_ps(_mm256_castps256_ps128(pairs), _mm256_extractf128_ps(pairs, 1)));
}

}  // namespace
}  // namespace wb

#include "layers_kernels.inc"

namespace wb {
const Kernels layers_avx2 = {linear, normalize, gate, attend};
}
