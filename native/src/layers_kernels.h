// Decoder layers: what each instruction set offers. No std here: functions of these files' flags
// must not be linked in elsewhere.
#pragma once

#include <stdint.h>

namespace wb {

// y[row][o] = bias[o] + sum over i of x[row][i] * weight[o][i]; with `add`, added to y.
struct Product {
  const float* x;
  const void* weight;
  const float* bias;  // or null
  float* y;
  int64_t rows, outputs, inputs;
  bool bf16, add;
};

// The query heads that share a key head; the queries are scaled already.
struct Attention {
  const float* queries;  // [heads][head_dim]
  const void* keys;      // [length][head_dim]
  const void* values;
  float* scores;  // [heads][length], scratch
  float* y;       // [heads][head_dim]
  int64_t heads, length, head_dim;
  bool bf16;  // keys and values
};

struct Kernels {
  void (*linear)(const Product&, int64_t begin, int64_t end);  // the outputs [begin, end)
  void (*normalize)(const float* x, const float* weight, int64_t size, float epsilon, float* y);
  void (*gate)(const float* gate_up, int64_t size, float* y);  // silu(gate) * up
  void (*attend)(const Attention&);
};

extern const Kernels layers_portable, layers_avx2, layers_avx512;

static inline float widened(uint16_t half) {
  union {
    uint32_t bits;
    float value;
  } both = {uint32_t(half) << 16};
  return both.value;
}

}  // namespace wb
