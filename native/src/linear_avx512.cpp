// int8 weights times activations of 15 bits with VNNI: one pass reads 64 weights and needs two
// multiplications, where widening to float32 would need twelve operations and lag behind memory.
//
// vpdpbusd wants its first factor unsigned: the weights carry +128, which `start` takes away
// exactly, as integers.
#include "activations_avx512.inc"
#include "linear.h"

namespace wb {
namespace {

constexpr int64_t kFarWeights = 1 << 20;  // a model of such products exceeds the caches

struct alignas(64) Piece {
  int8_t high[kPiece];
  int8_t low[kPiece];
  int32_t start[16];
  float step;
};

inline int64_t pieces_of_group(const Linear& layer) { return (layer.group + kPiece - 1) / kPiece; }

void split(const float* x, int64_t count, Piece* piece) {
  piece->step =
      rounded_to_15_bits(x, count, piece->high, piece->low, [](int64_t i) { return i; });
  const __m512i sums = sums_by_four(piece->high, piece->low, kPiece);
  _mm512_store_si512(piece->start,
                     _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_slli_epi32(sums, 7)));
}

// R outputs from `o` of B rows of x. Weights that come from memory (kFar) are asked for ahead in
// the order in which they lie there.
template <int R, int B, bool kFar>
inline void block(const Linear& layer, const Piece* const* rows, int64_t first, int64_t o) {
  const __m512i flip = _mm512_set1_epi8(char(0x80));
  const int64_t groups = layer.inputs / layer.group, in_group = pieces_of_group(layer);
  const int8_t* weight = layer.weight + o * layer.inputs;
  const int8_t* ahead = weight + kAheadBytes;
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
        if constexpr (kFar) {
          for (int r = 0; r < R; ++r, ahead += 64) _mm_prefetch(ahead, _MM_HINT_T1);
        }
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

template <int R, bool kFar>
inline void outputs(const Linear& layer, const Piece* pieces, int64_t o) {
  const int64_t count = layer.inputs / layer.group * pieces_of_group(layer);
  int64_t b = 0;
  for (; b + 2 <= layer.batch; b += 2) {
    const Piece* rows[2] = {pieces + b * count, pieces + (b + 1) * count};
    if (kFar && b == 0) {
      block<R, 2, kFar>(layer, rows, b, o);
    } else {
      block<R, 2, false>(layer, rows, b, o);
    }
  }
  for (; b < layer.batch; ++b) {
    const Piece* rows[1] = {pieces + b * count};
    if (kFar && b == 0) {
      block<R, 1, kFar>(layer, rows, b, o);
    } else {
      block<R, 1, false>(layer, rows, b, o);
    }
  }
}

template <int R, bool kFar>
inline void all(const Linear& layer, const Piece* pieces, int64_t begin, int64_t end) {
  int64_t o = begin;
  for (; o + R <= end; o += R) outputs<R, kFar>(layer, pieces, o);
  for (; o < end; ++o) outputs<1, false>(layer, pieces, o);
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
  // One output after another where memory is the limit: its weights are one stream. With many rows
  // it is the activations' way from level 2, which several outputs share.
  if (layer.outputs * layer.inputs >= kFarWeights) {
    if (layer.batch <= 2) {
      all<1, true>(layer, pieces, begin, end);
    } else {
      all<4, true>(layer, pieces, begin, end);
    }
  } else {
    all<4, false>(layer, pieces, begin, end);
  }
}

}  // namespace wb
