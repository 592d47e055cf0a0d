// Linear layers with int8 weights: the entry points, outputs shared among threads.
#include "linear.h"

#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include "isa.h"
#include "parallel.h"
#include "workbench_native.h"

namespace wb {
namespace {

// Below some 100 us of work a second thread costs more than it takes over.
constexpr int64_t kWeightsPerThread = 1 << 21;
constexpr int64_t kGrain = 4;  // outputs computed side by side

struct Free {
  void operator()(unsigned char* memory) const { std::free(memory); }
};

int run(const Linear& layer, int threads) {
  const auto all = [&](const auto& work) {
    const int64_t useful = layer.outputs * layer.inputs / kWeightsPerThread + 1;
    shared(layer.outputs, kGrain, int(std::min<int64_t>(threads, useful)), work);
  };
#ifdef WB_X86
  if (isa() >= Isa::avx512_vnni && (layer.group % 64 == 0 || layer.group == layer.inputs)) {
    std::unique_ptr<unsigned char, Free> prepared(
        static_cast<unsigned char*>(std::aligned_alloc(64, linear_avx512_bytes(layer))));
    if (!prepared) return WB_NO_MEMORY;
    linear_avx512_prepare(layer, prepared.get());
    all([&](int64_t begin, int64_t end) { linear_avx512(layer, prepared.get(), begin, end); });
    return WB_OK;
  }
  if (isa() != Isa::portable) {
    all([&](int64_t begin, int64_t end) { linear_avx2(layer, begin, end); });
    return WB_OK;
  }
#endif
  all([&](int64_t begin, int64_t end) { linear_portable(layer, begin, end); });
  return WB_OK;
}

bool sensible(const Linear& layer, int threads) {
  if (layer.batch < 0 || layer.outputs < 1 || layer.inputs < 1 || threads < 1) return false;
  if (layer.group < 1 || layer.inputs % layer.group) return false;
  return layer.batch == 0 || (layer.x && layer.y && layer.weight && layer.scales);
}

float widened(uint16_t half) {
  const uint32_t bits = uint32_t(half) << 16;
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

uint16_t narrowed(float value) {  // to the nearest, ties to even, as PyTorch rounds
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  if (value != value) return 0x7fc0;
  return uint16_t((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

}  // namespace
}  // namespace wb

int wb_int8_linear(const float* x, int64_t batch, const int8_t* weight, const float* scales,
                   const float* bias, int64_t outputs, int64_t inputs, int64_t group, int threads,
                   float* y) {
  const wb::Linear layer{x, weight, scales, bias, y, batch, outputs, inputs, group};
  if (!wb::sensible(layer, threads)) return WB_BAD_ARGUMENT;
  if (batch == 0) return WB_OK;
  try {
    return wb::run(layer, threads);
  } catch (const std::bad_alloc&) {
    return WB_NO_MEMORY;
  }
}

int wb_int8_linear_bf16(const uint16_t* x, int64_t batch, const int8_t* weight, const float* scales,
                        const float* bias, int64_t outputs, int64_t inputs, int64_t group,
                        int threads, uint16_t* y) {
  if (batch < 0 || outputs < 1 || inputs < 1 || (batch > 0 && (!x || !y))) return WB_BAD_ARGUMENT;
  if (batch == 0) return WB_OK;
  std::unique_ptr<float[]> memory(new (std::nothrow) float[batch * (inputs + outputs)]);
  if (!memory) return WB_NO_MEMORY;
  float* wide_x = memory.get();
  float* wide_y = wide_x + batch * inputs;
  for (int64_t i = 0; i < batch * inputs; ++i) wide_x[i] = wb::widened(x[i]);
  const int status = wb_int8_linear(wide_x, batch, weight, scales, bias, outputs, inputs, group,
                                    threads, wide_y);
  if (status != WB_OK) return status;
  for (int64_t i = 0; i < batch * outputs; ++i) y[i] = wb::narrowed(wide_y[i]);
  return WB_OK;
}
