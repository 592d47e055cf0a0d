// Linear layers with int4 weights: what each instruction set offers.
#pragma once

#include <stdint.h>

namespace wb {

constexpr int64_t kInt4Block = 32;  // inputs that share a scale
constexpr int64_t kInt4BlockBytes = kInt4Block / 2;

// A weight is scale * (code - 8). A block's byte j holds the code of its input j in the lower four
// bits and that of input j + 16 in the upper ones.
struct Int4 {
  const float* x;          // [batch][inputs]
  const uint8_t* weight;   // [outputs][inputs / 32][16]
  const uint16_t* scales;  // [outputs][inputs / 32], bfloat16
  const float* bias;       // [outputs] or null
  float* y;                // [batch][outputs]
  int64_t batch, outputs, inputs;
  bool add;  // to y
};

// Computes the outputs [begin, end) of all rows of x.
void int4_portable(const Int4&, int64_t begin, int64_t end);
void int4_avx2(const Int4&, int64_t begin, int64_t end);

// With VNNI the activations are integers as well: prepared once, used by all threads.
int64_t int4_avx512_bytes(int64_t batch, int64_t inputs);  // of the prepared activations
void int4_avx512_prepare(const Int4&, unsigned char* prepared);
void int4_avx512(const Int4&, const unsigned char* prepared, int64_t begin, int64_t end);

static inline float int4_scale(uint16_t half) {
  union {
    uint32_t bits;
    float value;
  } both = {uint32_t(half) << 16};
  return both.value;
}

static inline void int4_store(const Int4& layer, int64_t row, int64_t o, float sum) {
  float* y = layer.y + row * layer.outputs + o;
  const float value = sum + (layer.bias ? layer.bias[o] : 0.0f);
  *y = layer.add ? *y + value : value;
}

}  // namespace wb
