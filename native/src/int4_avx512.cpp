// int4 weights times activations of 15 bits with VNNI: 64 bytes are the codes of 128 inputs, four
// blocks of 32. A lane of the sums belongs to one block, so that scales are applied by lanes.
#include "activations_avx512.inc"
#include "int4.h"

namespace wb {
namespace {

constexpr int64_t kStep = 128;  // inputs in 64 bytes

// The activations in the order of the codes: those of the lower four bits of 64 bytes, then those
// of the upper. Codes carry +8, which `start` takes away exactly, as integers.
struct alignas(64) Piece {
  int8_t high[kPiece];
  int8_t low[kPiece];
  int32_t start[kPiece / kStep][16];
  float step;
};

inline int64_t pieces(int64_t inputs) { return (inputs + kPiece - 1) / kPiece; }

// B rows of prepared activations, `row` the first.
template <int B>
WB_INLINE void output(const Int4& layer, const Piece* prepared, int64_t row, int64_t o) {
  const int64_t blocks = layer.inputs / kInt4Block, count = pieces(layer.inputs);
  const uint8_t* weight = layer.weight + o * blocks * kInt4BlockBytes;
  const uint16_t* scales = layer.scales + o * blocks;
  const __m512i lower = _mm512_set1_epi8(15);
  const __m512i by_block = _mm512_set_epi32(3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0);
  __m512 sums[B];
  for (int b = 0; b < B; ++b) sums[b] = _mm512_setzero_ps();
  for (int64_t start = 0; start < layer.inputs; start += kStep) {
    const int64_t n = start / kPiece, within = start % kPiece, block = start / kInt4Block;
    const int64_t left = blocks - block;
    const uint8_t* from = weight + block * kInt4BlockBytes;
    _mm_prefetch(from + kAheadBytes, _MM_HINT_T1);
    __m512i bytes;
    __m128i halves;
    if (left >= 4) {
      bytes = _mm512_loadu_si512(from);
      halves = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(scales + block));
    } else {
      bytes = _mm512_maskz_loadu_epi8((__mmask64(1) << (kInt4BlockBytes * left)) - 1, from);
      halves = _mm_maskz_loadu_epi16(__mmask8((1 << left) - 1), scales + block);
    }
    const __m512i codes[2] = {_mm512_and_si512(bytes, lower),
                              _mm512_and_si512(_mm512_srli_epi16(bytes, 4), lower)};
    const __m128i four = _mm_slli_epi32(_mm_cvtepu16_epi32(halves), 16);
    const __m512 scale = _mm512_castsi512_ps(
        _mm512_permutexvar_epi32(by_block, _mm512_castsi128_si512(four)));
    for (int b = 0; b < B; ++b) {
      const Piece& piece = prepared[(row + b) * count + n];
      __m512i high = _mm512_setzero_si512();
      __m512i low = _mm512_load_si512(piece.start[within / kStep]);
      for (int half = 0; half < 2; ++half) {
        add_products(high, codes[half], _mm512_load_si512(piece.high + within + 64 * half));
        add_products(low, codes[half], _mm512_load_si512(piece.low + within + 64 * half));
      }
      const __m512i whole = _mm512_add_epi32(_mm512_slli_epi32(high, 7), low);
      sums[b] = _mm512_fmadd_ps(_mm512_mul_ps(scale, _mm512_set1_ps(piece.step)),
                                _mm512_cvtepi32_ps(whole), sums[b]);
    }
  }
  for (int b = 0; b < B; ++b) int4_store(layer, row + b, o, _mm512_reduce_add_ps(sums[b]));
}

}  // namespace

int64_t int4_avx512_bytes(int64_t batch, int64_t inputs) {
  return batch * pieces(inputs) * int64_t(sizeof(Piece));
}

void int4_avx512_prepare(const Int4& layer, unsigned char* prepared) {
  Piece* piece = reinterpret_cast<Piece*>(prepared);
  const auto place = [](int64_t i) {
    return i / kStep * kStep + i / 16 % 2 * 64 + i % kStep / kInt4Block * 16;
  };
  for (int64_t b = 0; b < layer.batch; ++b) {
    for (int64_t i = 0; i < layer.inputs; i += kPiece, ++piece) {
      const int64_t left = layer.inputs - i;
      piece->step = rounded_to_15_bits(layer.x + b * layer.inputs + i,
                                       left < kPiece ? left : kPiece, piece->high, piece->low,
                                       place);
      for (int64_t at = 0; at < kPiece; at += kStep) {
        const __m512i sums = sums_by_four(piece->high + at, piece->low + at, kStep);
        _mm512_store_si512(piece->start[at / kStep],
                           _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_slli_epi32(sums, 3)));
      }
    }
  }
}

void int4_avx512(const Int4& layer, const unsigned char* prepared, int64_t begin, int64_t end) {
  const Piece* all = reinterpret_cast<const Piece*>(prepared);
  for (int64_t o = begin; o < end; ++o) {
    int64_t b = 0;
    for (; b + 4 <= layer.batch; b += 4) output<4>(layer, all, b, o);
    for (; b < layer.batch; ++b) output<1>(layer, all, b, o);
  }
}

}  // namespace wb
