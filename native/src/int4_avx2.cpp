// int4 weights widened to float32, 8 at a time.
#include <immintrin.h>

#include "int4.h"

namespace wb {
namespace {

inline float sum8(__m256 v) {
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}

inline __m256 widened(__m128i codes) { return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(codes)); }

// B rows of x from `first`; the weights are widened once for all of them.
template <int B>
inline void rows(const Int4& layer, int64_t first, int64_t o) {
  const int64_t blocks = layer.inputs / kInt4Block;
  const uint8_t* weight = layer.weight + o * blocks * kInt4BlockBytes;
  const uint16_t* scales = layer.scales + o * blocks;
  const float* x = layer.x + first * layer.inputs;
  const __m128i low = _mm_set1_epi8(15), zero = _mm_set1_epi8(8);
  __m256 sums[B];
  for (int b = 0; b < B; ++b) sums[b] = _mm256_setzero_ps();
  for (int64_t block = 0; block < blocks; ++block, x += kInt4Block) {
    const __m128i bytes =
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(weight + block * kInt4BlockBytes));
    const __m128i halves[2] = {
        _mm_sub_epi8(_mm_and_si128(bytes, low), zero),
        _mm_sub_epi8(_mm_and_si128(_mm_srli_epi16(bytes, 4), low), zero)};
    __m256 parts[B];
    for (int b = 0; b < B; ++b) parts[b] = _mm256_setzero_ps();
    for (int half = 0; half < 2; ++half) {
      const __m256 w[2] = {widened(halves[half]), widened(_mm_srli_si128(halves[half], 8))};
      for (int b = 0; b < B; ++b) {
        const float* from = x + b * layer.inputs + 16 * half;
        parts[b] = _mm256_fmadd_ps(w[0], _mm256_loadu_ps(from), parts[b]);
        parts[b] = _mm256_fmadd_ps(w[1], _mm256_loadu_ps(from + 8), parts[b]);
      }
    }
    const __m256 scale = _mm256_set1_ps(int4_scale(scales[block]));
    for (int b = 0; b < B; ++b) sums[b] = _mm256_fmadd_ps(scale, parts[b], sums[b]);
  }
  for (int b = 0; b < B; ++b) int4_store(layer, first + b, o, sum8(sums[b]));
}

}  // namespace

void int4_avx2(const Int4& layer, int64_t begin, int64_t end) {
  for (int64_t o = begin; o < end; ++o) {
    int64_t b = 0;
    for (; b + 4 <= layer.batch; b += 4) rows<4>(layer, b, o);
    for (; b < layer.batch; ++b) rows<1>(layer, b, o);
  }
}

}  // namespace wb
