// Decoder layers: what a call carries with it.
#pragma once

#include <cstdint>

#include "layers_kernels.h"
#include "team.h"
#include "workbench_native.h"

namespace wb {

const Kernels& kernels();

// Scratch memory handed out piece by piece; from a null pointer it only counts the bytes.
class Arena {
 public:
  explicit Arena(void* memory) : memory_(static_cast<unsigned char*>(memory)) {}

  template <typename T>
  T* take(int64_t count) {
    T* piece = memory_ ? reinterpret_cast<T*>(memory_ + used_) : nullptr;
    used_ += (count * int64_t(sizeof(T)) + 63) / 64 * 64;
    return piece;
  }

  int64_t used() const { return used_; }

 private:
  unsigned char* memory_;
  int64_t used_ = 0;
};

// What products need beside x and y.
struct Workspace {
  float* sum = nullptr;               // an int8 product that is to be added
  unsigned char* prepared = nullptr;  // activations as int8 kernels want them
};

// y = matrix * x (or y += with `add`) for `rows` rows, shared among the team where it pays.
void multiply(Team& team, const Workspace& workspace, const wb_matrix& matrix, const float* x,
              int64_t rows, float* y, bool add = false);
bool sensible(const wb_matrix& matrix, int64_t outputs, int64_t inputs);
int64_t prepared_bytes(const wb_matrix& matrix, int64_t rows);

// Rotary embedding (Su et al. 2021, arXiv 2104.09864), halves rotated as Llama does, then scaled;
// cos and sin are [size].
void rotate(float* x, const float* cos, const float* sin, int64_t size, float scale);

bool sensible(const wb_stack& stack);
bool within(const wb_stack& stack, const int64_t* positions, int64_t count);
int64_t stack_bytes(const wb_stack& stack, int64_t tokens);
void stack_step(Team& team, const wb_stack& stack, int64_t tokens, const int64_t* positions,
                void* scratch, float* x);

// As many of `threads` as the stack's largest product is worth.
int useful_threads(const wb_stack& stack, int threads);

}  // namespace wb
