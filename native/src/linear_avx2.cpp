// int8 weights widened to float32, 8 at a time.
#include <immintrin.h>

#include "linear.h"

namespace wb {
namespace {

inline float sum8(__m256 v) {
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}

// B rows of x from `first`; the weights are widened once for all of them.
template <int B>
inline void rows(const Linear& layer, int64_t first, int64_t o) {
  const int64_t groups = layer.inputs / layer.group;
  const int8_t* weight = layer.weight + o * layer.inputs;
  const float* x = layer.x + first * layer.inputs;
  __m256 sums[B];
  float rest[B] = {0};
  for (int b = 0; b < B; ++b) sums[b] = _mm256_setzero_ps();
  for (int64_t g = 0; g < groups; ++g) {
    const float scale = layer.scales[o * groups + g];
    __m256 even[B], odd[B];
    for (int b = 0; b < B; ++b) even[b] = odd[b] = _mm256_setzero_ps();
    const int64_t start = g * layer.group, end = start + layer.group;
    int64_t i = start;
    for (; i + 16 <= end; i += 16) {
      const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(weight + i));
      const __m256 low = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
      const __m256 high = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(bytes, 8)));
      for (int b = 0; b < B; ++b) {
        const float* row = x + b * layer.inputs + i;
        even[b] = _mm256_fmadd_ps(low, _mm256_loadu_ps(row), even[b]);
        odd[b] = _mm256_fmadd_ps(high, _mm256_loadu_ps(row + 8), odd[b]);
      }
    }
    for (; i < end; ++i) {
      for (int b = 0; b < B; ++b) rest[b] += scale * float(weight[i]) * x[b * layer.inputs + i];
    }
    for (int b = 0; b < B; ++b) {
      sums[b] = _mm256_fmadd_ps(_mm256_set1_ps(scale), _mm256_add_ps(even[b], odd[b]), sums[b]);
    }
  }
  for (int b = 0; b < B; ++b) {
    const float bias = layer.bias ? layer.bias[o] : 0.0f;
    layer.y[(first + b) * layer.outputs + o] = sum8(sums[b]) + rest[b] + bias;
  }
}

}  // namespace

void linear_avx2(const Linear& layer, int64_t begin, int64_t end) {
  for (int64_t o = begin; o < end; ++o) {
    int64_t b = 0;
    for (; b + 4 <= layer.batch; b += 4) rows<4>(layer, b, o);
    for (; b + 2 <= layer.batch; b += 2) rows<2>(layer, b, o);
    for (; b < layer.batch; ++b) rows<1>(layer, b, o);
  }
}

}  // namespace wb
