// Linear layers with int8 weights: what each instruction set offers.
#pragma once

#include <cstdint>

namespace wb {

struct Linear {
  const float* x;        // [batch][inputs]
  const int8_t* weight;  // [outputs][inputs]
  const float* scales;   // [outputs][inputs / group]
  const float* bias;     // [outputs] or null
  float* y;              // [batch][outputs]
  int64_t batch, outputs, inputs, group;
};

// Computes the outputs [begin, end) of all rows of x.
void linear_portable(const Linear&, int64_t begin, int64_t end);
void linear_avx2(const Linear&, int64_t begin, int64_t end);

// With VNNI the activations are integers as well, of 15 bits, in pieces of up to 256 inputs with a
// step of their own: prepared once, used by all threads. `group` must be a multiple of 64 or equal
// to `inputs`.
int64_t linear_avx512_bytes(const Linear&);  // of the prepared activations
void linear_avx512_prepare(const Linear&, unsigned char* prepared);
void linear_avx512(const Linear&, const unsigned char* prepared, int64_t begin, int64_t end);

}  // namespace wb
