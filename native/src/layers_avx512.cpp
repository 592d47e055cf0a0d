// Decoder layers, 16 floats at a time.
#include <immintrin.h>
#include <math.h>

#include "avx512.inc"
#include "layers_kernels.h"

namespace wb {
namespace {

using Vec = __m512;
constexpr int kLanes = 16, kRows = 4;

WB_INLINE Vec zero() { return _mm512_setzero_ps(); }
WB_INLINE Vec all(float x) { return _mm512_set1_ps(x); }
WB_INLINE Vec load(const float* p) { return _mm512_loadu_ps(p); }
WB_INLINE Vec widen(__m256i halves) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}
WB_INLINE Vec load(const uint16_t* p) {
  return widen(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
WB_INLINE __mmask16 first(int n) { return __mmask16((1u << n) - 1); }
WB_INLINE Vec load_part(const float* p, int n) { return _mm512_maskz_loadu_ps(first(n), p); }
WB_INLINE Vec load_part(const uint16_t* p, int n) {
  return widen(_mm256_maskz_loadu_epi16(first(n), p));
}
WB_INLINE void store(float* p, Vec v) { _mm512_storeu_ps(p, v); }
WB_INLINE void store_part(float* p, Vec v, int n) { _mm512_mask_storeu_ps(p, first(n), v); }
WB_INLINE Vec add(Vec a, Vec b) { return _mm512_add_ps(a, b); }
WB_INLINE Vec multiply(Vec a, Vec b) { return _mm512_mul_ps(a, b); }
WB_INLINE Vec divide(Vec a, Vec b) { return _mm512_div_ps(a, b); }
WB_INLINE Vec fma(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }
WB_INLINE Vec larger(Vec a, Vec b) { return _mm512_max_ps(a, b); }
WB_INLINE Vec smaller(Vec a, Vec b) { return _mm512_min_ps(a, b); }
WB_INLINE Vec rounded(Vec a) {
  return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
WB_INLINE Vec times_power(Vec a, Vec n) { return _mm512_scalef_ps(a, n); }
WB_INLINE __m256 folded(Vec v) {
  return _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
}
WB_INLINE void sum4(const Vec* v, float* sums) {
  const __m256 pairs = _mm256_hadd_ps(_mm256_hadd_ps(folded(v[0]), folded(v[1])),
                                      _mm256_hadd_ps(folded(v[2]), folded(v[3])));
  _mm_storeu_ps(sums,
                _mm_add_ps(_mm256_castps256_ps128(pairs), _mm256_extractf128_ps(pairs, 1)));
}

}  // namespace
}  // namespace wb

#include "layers_kernels.inc"

namespace wb {
const Kernels layers_avx512 = {linear, normalize, gate, attend};
}
