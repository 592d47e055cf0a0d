// Decoder layers from static caches: one call for a whole stack.
#include "layers.h"

#include <cmath>
#include <cstring>
#include <new>

#include "int4.h"
#include "isa.h"
#include "linear.h"

namespace wb {
namespace {

// So many take a thread some 10 us from a cache and 30 from memory, far more than handing over.
constexpr int64_t kWeightsPerThread = 1 << 17;
constexpr int64_t kGrain = 8;  // outputs computed side by side

struct Buffers {
  float *normed, *projected, *attended, *gate_up, *gated, *scores;
  Workspace workspace;
};

int64_t projected_width(const wb_stack& stack) {
  return (stack.heads + 2 * stack.groups) * stack.head_dim;
}

Buffers buffers(const wb_stack& stack, int64_t rows, Arena& arena) {
  int64_t prepared = 0;
  for (int64_t i = 0; i < stack.count; ++i) {
    const wb_layer& layer = stack.layers[i];
    for (const wb_matrix* one : {&layer.query_key_value, &layer.out, &layer.gate_up, &layer.down}) {
      prepared = std::max(prepared, prepared_bytes(*one, rows));
    }
  }
  Buffers made{};
  made.normed = arena.take<float>(rows * stack.hidden);
  made.projected = arena.take<float>(rows * projected_width(stack));
  made.attended = arena.take<float>(rows * stack.heads * stack.head_dim);
  made.gate_up = arena.take<float>(rows * 2 * stack.intermediate);
  made.gated = arena.take<float>(rows * stack.intermediate);
  made.scores = arena.take<float>(stack.heads / stack.groups * stack.slots);
  made.workspace.sum = arena.take<float>(rows * stack.hidden);
  made.workspace.prepared = arena.take<unsigned char>(prepared);
  return made;
}

uint16_t narrowed(float value) {  // to the nearest, ties to even, as PyTorch rounds
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  if (value != value) return 0x7fc0;
  return uint16_t((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

void keep(void* cache, bool bf16, int64_t at, const float* x, int64_t size) {
  if (!bf16) {
    std::memcpy(static_cast<float*>(cache) + at, x, size_t(size) * sizeof(float));
    return;
  }
  uint16_t* to = static_cast<uint16_t*>(cache) + at;
  for (int64_t i = 0; i < size; ++i) to[i] = narrowed(x[i]);
}

const void* offset(const void* cache, bool bf16, int64_t at) {
  return static_cast<const unsigned char*>(cache) + at * (bf16 ? 2 : 4);
}

// Queries are rotated and scaled in place, keys and values go into the caches.
void place(const wb_stack& stack, const wb_layer& layer, int64_t tokens, const int64_t* positions,
           float* projected) {
  const int64_t dim = stack.head_dim, rows = stack.batch * tokens;
  const bool bf16 = stack.cache_type == WB_BFLOAT16;
  for (int64_t row = 0; row < rows; ++row, projected += projected_width(stack)) {
    const int64_t position = positions[row];
    const float* cos = stack.cos + position * dim;
    const float* sin = stack.sin + position * dim;
    for (int64_t h = 0; h < stack.heads; ++h) {
      rotate(projected + h * dim, cos, sin, dim, 1.0f / std::sqrt(float(dim)));
    }
    float* keys = projected + stack.heads * dim;
    const float* values = keys + stack.groups * dim;
    for (int64_t g = 0; g < stack.groups; ++g) {
      const int64_t at = ((row / tokens * stack.groups + g) * stack.slots + position) * dim;
      rotate(keys + g * dim, cos, sin, dim, 1.0f);
      keep(layer.keys, bf16, at, keys + g * dim, dim);
      keep(layer.values, bf16, at, values + g * dim, dim);
    }
  }
}

void attend(const wb_stack& stack, const wb_layer& layer, int64_t tokens, const int64_t* positions,
            const Buffers& buffers) {
  const int64_t dim = stack.head_dim, shared_by = stack.heads / stack.groups;
  const bool bf16 = stack.cache_type == WB_BFLOAT16;
  for (int64_t row = 0; row < stack.batch * tokens; ++row) {
    for (int64_t g = 0; g < stack.groups; ++g) {
      const int64_t at = (row / tokens * stack.groups + g) * stack.slots * dim;
      kernels().attend({buffers.projected + row * projected_width(stack) + g * shared_by * dim,
                        offset(layer.keys, bf16, at), offset(layer.values, bf16, at),
                        buffers.scores,
                        buffers.attended + (row * stack.heads + g * shared_by) * dim, shared_by,
                        positions[row] + 1, dim, bf16});
    }
  }
}

}  // namespace

const Kernels& kernels() {
#ifdef WB_X86
  if (isa() >= Isa::avx512_vnni) return layers_avx512;
  if (isa() == Isa::avx2) return layers_avx2;
#endif
  return layers_portable;
}

void rotate(float* x, const float* cos, const float* sin, int64_t size, float scale) {
  const int64_t half = size / 2;
  for (int64_t i = 0; i < half; ++i) {
    const float first = x[i], second = x[i + half];
    x[i] = (first * cos[i] - second * sin[i]) * scale;
    x[i + half] = (second * cos[i + half] + first * sin[i + half]) * scale;
  }
}

int64_t prepared_bytes(const wb_matrix& matrix, int64_t rows) {
#ifdef WB_X86
  if (matrix.type == WB_INT8) {  // whatever the instruction set: it may change between calls
    return linear_avx512_bytes({nullptr, nullptr, nullptr, nullptr, nullptr, rows, matrix.outputs,
                                matrix.inputs, matrix.inputs});
  }
  if (matrix.type == WB_INT4) return int4_avx512_bytes(rows, matrix.inputs);
#endif
  (void)matrix, (void)rows;
  return 0;
}

void multiply(Team& team, const Workspace& workspace, const wb_matrix& matrix, const float* x,
              int64_t rows, float* y, bool add) {
  const auto all = [&](const auto& work) {
    if (matrix.outputs * matrix.inputs < 2 * kWeightsPerThread) {
      work(int64_t{0}, matrix.outputs);
    } else {
      team.run(matrix.outputs, kGrain, work);
    }
  };
  if (matrix.type == WB_FLOAT32 || matrix.type == WB_BFLOAT16) {
    const Product product{x,    matrix.weight,  matrix.bias,   y,
                          rows, matrix.outputs, matrix.inputs, matrix.type == WB_BFLOAT16,
                          add};
    const auto linear = kernels().linear;
    all([&](int64_t begin, int64_t end) { linear(product, begin, end); });
    return;
  }
  if (matrix.type == WB_INT4) {
    const Int4 layer{x,           static_cast<const uint8_t*>(matrix.weight),
                     static_cast<const uint16_t*>(matrix.scales),
                     matrix.bias, y, rows, matrix.outputs, matrix.inputs, add};
#ifdef WB_X86
    if (isa() >= Isa::avx512_vnni) {
      int4_avx512_prepare(layer, workspace.prepared);
      all([&](int64_t begin, int64_t end) {
        int4_avx512(layer, workspace.prepared, begin, end);
      });
      return;
    }
    if (isa() == Isa::avx2) {
      all([&](int64_t begin, int64_t end) { int4_avx2(layer, begin, end); });
      return;
    }
#endif
    all([&](int64_t begin, int64_t end) { int4_portable(layer, begin, end); });
    return;
  }
  const Linear layer{x, static_cast<const int8_t*>(matrix.weight),
                     static_cast<const float*>(matrix.scales), matrix.bias,
                     add ? workspace.sum : y,
                     rows, matrix.outputs, matrix.inputs, matrix.inputs};
#ifdef WB_X86
  if (isa() >= Isa::avx512_vnni) {
    linear_avx512_prepare(layer, workspace.prepared);
    all([&](int64_t begin, int64_t end) {
      linear_avx512(layer, workspace.prepared, begin, end);
    });
  } else if (isa() == Isa::avx2) {
    all([&](int64_t begin, int64_t end) { linear_avx2(layer, begin, end); });
  } else
#endif
  {
    all([&](int64_t begin, int64_t end) { linear_portable(layer, begin, end); });
  }
  if (add) {
    for (int64_t i = 0; i < rows * matrix.outputs; ++i) y[i] += workspace.sum[i];
  }
}

bool sensible(const wb_matrix& matrix, int64_t outputs, int64_t inputs) {
  return matrix.weight && matrix.outputs == outputs && matrix.inputs == inputs &&
         (matrix.type == WB_FLOAT32 || matrix.type == WB_BFLOAT16 ||
          (matrix.type == WB_INT8 && matrix.scales) ||
          (matrix.type == WB_INT4 && matrix.scales && inputs % kInt4Block == 0));
}

bool sensible(const wb_stack& stack) {
  for (int64_t size : {stack.count, stack.hidden, stack.heads, stack.groups, stack.head_dim,
                       stack.intermediate, stack.batch, stack.slots}) {
    if (size < 1) return false;
  }
  if (!stack.layers || !stack.norm || !stack.cos || !stack.sin) return false;
  if (stack.heads % stack.groups || stack.head_dim % 2) return false;
  if (stack.cache_type != WB_FLOAT32 && stack.cache_type != WB_BFLOAT16) return false;
  for (int64_t i = 0; i < stack.count; ++i) {
    const wb_layer& layer = stack.layers[i];
    if (!layer.attention_norm || !layer.mlp_norm || !layer.keys || !layer.values ||
        !sensible(layer.query_key_value, projected_width(stack), stack.hidden) ||
        !sensible(layer.out, stack.hidden, stack.heads * stack.head_dim) ||
        !sensible(layer.gate_up, 2 * stack.intermediate, stack.hidden) ||
        !sensible(layer.down, stack.hidden, stack.intermediate)) {
      return false;
    }
  }
  return true;
}

bool within(const wb_stack& stack, const int64_t* positions, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    if (positions[i] < 0 || positions[i] >= stack.slots) return false;
  }
  return true;
}

int64_t stack_bytes(const wb_stack& stack, int64_t tokens) {
  Arena arena(nullptr);
  buffers(stack, stack.batch * tokens, arena);
  return arena.used();
}

int useful_threads(const wb_stack& stack, int threads) {
  const wb_matrix& largest = stack.layers[0].gate_up;
  const int64_t useful = largest.outputs * largest.inputs / kWeightsPerThread;
  return int(std::max<int64_t>(1, std::min<int64_t>(threads, useful)));
}

void stack_step(Team& team, const wb_stack& stack, int64_t tokens, const int64_t* positions,
                void* scratch, float* x) {
  Arena arena(scratch);
  const int64_t rows = stack.batch * tokens, hidden = stack.hidden;
  const Buffers b = buffers(stack, rows, arena);
  const auto normalize = [&](const float* weight, float* y) {
    for (int64_t row = 0; row < rows; ++row) {
      kernels().normalize(x + row * hidden, weight, hidden, stack.epsilon, y + row * hidden);
    }
  };
  for (int64_t i = 0; i < stack.count; ++i) {
    const wb_layer& layer = stack.layers[i];
    normalize(layer.attention_norm, b.normed);
    multiply(team, b.workspace, layer.query_key_value, b.normed, rows, b.projected);
    place(stack, layer, tokens, positions, b.projected);
    attend(stack, layer, tokens, positions, b);
    multiply(team, b.workspace, layer.out, b.attended, rows, x, true);
    normalize(layer.mlp_norm, b.normed);
    multiply(team, b.workspace, layer.gate_up, b.normed, rows, b.gate_up);
    for (int64_t row = 0; row < rows; ++row) {
      kernels().gate(b.gate_up + row * 2 * stack.intermediate, stack.intermediate,
                     b.gated + row * stack.intermediate);
    }
    multiply(team, b.workspace, layer.down, b.gated, rows, x, true);
  }
  normalize(stack.norm, x);
}

}  // namespace wb

int64_t wb_stack_bytes(const wb_stack* stack, int64_t tokens) {
  if (!stack || tokens < 1 || !wb::sensible(*stack)) return -1;
  return wb::stack_bytes(*stack, tokens);
}

int wb_stack_step(const wb_stack* stack, int64_t tokens, const int64_t* positions, int threads,
                  void* scratch, float* x) {
  if (!stack || tokens < 1 || !positions || threads < 1 || !scratch || !x ||
      !wb::sensible(*stack) || !wb::within(*stack, positions, stack->batch * tokens)) {
    return WB_BAD_ARGUMENT;
  }
  try {
    wb::Team team(wb::useful_threads(*stack, threads));
    wb::stack_step(team, *stack, tokens, positions, scratch, x);
    return WB_OK;
  } catch (const std::bad_alloc&) {
    return WB_NO_MEMORY;
  }
}
