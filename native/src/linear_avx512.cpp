// int8 weights times activations of 15 bits with VNNI: one pass reads 64 weights and needs two
// multiplications, where widening to float32 would need twelve operations and lag behind memory.
//
// An activation is step * (128 * high + low), high and low of 8 bits; step is a piece's largest
// size / 16256, so that it is off by at most 1 / 32512 of that size. vpdpbusd wants its first
// factor unsigned: the weights carry +128, which `start` takes away exactly, as integers.
#include <immintrin.h>
#include <math.h>

#include "avx512.inc"
#include "linear.h"

namespace wb {
namespace {

constexpr int64_t kPiece = 256;

struct alignas(64) Piece {
  int8_t high[kPiece];
  int8_t low[kPiece];
  int32_t start[16];
  float step;
};

inline int64_t pieces_of_group(const Linear& layer) { return (layer.group + kPiece - 1) / kPiece; }

void split(const float* x, int64_t count, Piece* piece) {
  float peak = 0;
  bool finite = true;
  for (int64_t i = 0; i < count; ++i) {
    const float size = fabsf(x[i]);
    peak = size > peak ? size : peak;
    finite &= size <= 3.4028234e38f;
  }
  const float step = peak < 1e-30f ? 0.0f : peak / 16256.0f;
  const float inverse = step > 0 && finite ? 1.0f / step : 0.0f;
  for (int64_t i = 0; i < kPiece; ++i) {
    float rounded = i < count && finite ? x[i] * inverse : 0.0f;
    rounded += rounded < 0 ? -0.5f : 0.5f;
    int32_t value = int32_t(rounded);
    value = value > 16256 ? 16256 : (value < -16256 ? -16256 : value);
    const int32_t high = (value + 64) >> 7;
    piece->high[i] = int8_t(high);
    piece->low[i] = int8_t(value - 128 * high);
  }
  for (int lane = 0; lane < 16; ++lane) {
    int32_t sum = 0;
    for (int64_t i = 0; i < kPiece; i += 64) {
      for (int j = 0; j < 4; ++j) {
        const int64_t at = i + 4 * lane + j;
        sum += 128 * int32_t(piece->high[at]) + int32_t(piece->low[at]);
      }
    }
    piece->start[lane] = -128 * sum;
  }
  piece->step = finite ? step : NAN;  // what isn't a number stays none in all outputs
}

// R outputs from `o` of B rows of x.
template <int R, int B>
inline void block(const Linear& layer, const Piece* const* rows, int64_t first, int64_t o) {
  const __m512i flip = _mm512_set1_epi8(char(0x80));
  const int64_t groups = layer.inputs / layer.group, in_group = pieces_of_group(layer);
  const int8_t* weight = layer.weight + o * layer.inputs;
  __m512 sums[R][B];
  for (int r = 0; r < R; ++r) {
    for (int b = 0; b < B; ++b) sums[r][b] = _mm512_setzero_ps();
  }
  for (int64_t g = 0, n = 0; g < groups; ++g) {
    int64_t left = layer.group;
    const int8_t* w = weight + g * layer.group;
    for (int64_t piece = 0; piece < in_group; ++piece, ++n, left -= kPiece, w += kPiece) {
      __m512i high[R][B], low[R][B];
      for (int b = 0; b < B; ++b) {
        const __m512i start = _mm512_load_si512(rows[b][n].start);
        for (int r = 0; r < R; ++r) {
          high[r][b] = _mm512_setzero_si512();
          low[r][b] = start;
        }
      }
      const int64_t size = left < kPiece ? left : kPiece;
      for (int64_t i = 0; i < size; i += 64) {
        __m512i bytes[R];
        if (size - i >= 64) {
          for (int r = 0; r < R; ++r) bytes[r] = _mm512_loadu_si512(w + r * layer.inputs + i);
        } else {
          const __mmask64 some = (__mmask64(1) << (size - i)) - 1;
          for (int r = 0; r < R; ++r) {
            bytes[r] = _mm512_maskz_loadu_epi8(some, w + r * layer.inputs + i);
          }
        }
        for (int r = 0; r < R; ++r) bytes[r] = _mm512_xor_si512(bytes[r], flip);
        for (int b = 0; b < B; ++b) {
          const __m512i h = _mm512_load_si512(rows[b][n].high + i);
          const __m512i l = _mm512_load_si512(rows[b][n].low + i);
          for (int r = 0; r < R; ++r) {
            add_products(high[r][b], bytes[r], h);
            add_products(low[r][b], bytes[r], l);
          }
        }
      }
      for (int r = 0; r < R; ++r) {
        const float scale = layer.scales[(o + r) * groups + g];
        for (int b = 0; b < B; ++b) {
          const __m512i whole = _mm512_add_epi32(_mm512_slli_epi32(high[r][b], 7), low[r][b]);
          sums[r][b] = _mm512_fmadd_ps(_mm512_set1_ps(rows[b][n].step * scale),
                                       _mm512_cvtepi32_ps(whole), sums[r][b]);
        }
      }
    }
  }
  for (int r = 0; r < R; ++r) {
    const float bias = layer.bias ? layer.bias[o + r] : 0.0f;
    for (int b = 0; b < B; ++b) {
      layer.y[(first + b) * layer.outputs + o + r] = _mm512_reduce_add_ps(sums[r][b]) + bias;
    }
  }
}

template <int R>
inline void outputs(const Linear& layer, const Piece* pieces, int64_t o) {
  const int64_t count = layer.inputs / layer.group * pieces_of_group(layer);
  int64_t b = 0;
  for (; b + 2 <= layer.batch; b += 2) {
    const Piece* rows[2] = {pieces + b * count, pieces + (b + 1) * count};
    block<R, 2>(layer, rows, b, o);
  }
  for (; b < layer.batch; ++b) {
    const Piece* rows[1] = {pieces + b * count};
    block<R, 1>(layer, rows, b, o);
  }
}

}  // namespace

int64_t linear_avx512_bytes(const Linear& layer) {
  return layer.batch * (layer.inputs / layer.group) * pieces_of_group(layer) *
         int64_t(sizeof(Piece));
}

void linear_avx512_prepare(const Linear& layer, unsigned char* prepared) {
  Piece* piece = reinterpret_cast<Piece*>(prepared);
  for (int64_t b = 0; b < layer.batch; ++b) {
    for (int64_t start = 0; start < layer.inputs; start += layer.group) {
      for (int64_t i = 0; i < layer.group; i += kPiece) {
        const int64_t left = layer.group - i;
        split(layer.x + b * layer.inputs + start + i, left < kPiece ? left : kPiece, piece++);
      }
    }
  }
}

void linear_avx512(const Linear& layer, const unsigned char* prepared, int64_t begin, int64_t end) {
  const Piece* pieces = reinterpret_cast<const Piece*>(prepared);
  int64_t o = begin;
  for (; o + 4 <= end; o += 4) outputs<4>(layer, pieces, o);
  for (; o < end; ++o) outputs<1>(layer, pieces, o);
}

}  // namespace wb
