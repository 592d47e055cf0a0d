// Linear layers with int4 weights: the entry point, outputs shared among threads.
#include "int4.h"

#include <cstdlib>
#include <memory>
#include <new>

#include "isa.h"
#include "parallel.h"
#include "workbench_native.h"

namespace wb {
namespace {

// Below some 100 us of work a second thread costs more than it takes over.
constexpr int64_t kWeightsPerThread = 1 << 22;

struct Free {
  void operator()(unsigned char* memory) const { std::free(memory); }
};

int run(const Int4& layer, int threads) {
  const auto all = [&](const auto& work) {
    const int64_t useful = layer.outputs * layer.inputs / kWeightsPerThread + 1;
    shared(layer.outputs, 1, int(std::min<int64_t>(threads, useful)), work);
  };
#ifdef WB_X86
  if (isa() >= Isa::avx512_vnni) {
    std::unique_ptr<unsigned char, Free> prepared(static_cast<unsigned char*>(
        std::aligned_alloc(64, size_t(int4_avx512_bytes(layer.batch, layer.inputs)))));
    if (!prepared) return WB_NO_MEMORY;
    int4_avx512_prepare(layer, prepared.get());
    all([&](int64_t begin, int64_t end) { int4_avx512(layer, prepared.get(), begin, end); });
    return WB_OK;
  }
  if (isa() != Isa::portable) {
    all([&](int64_t begin, int64_t end) { int4_avx2(layer, begin, end); });
    return WB_OK;
  }
#endif
  all([&](int64_t begin, int64_t end) { int4_portable(layer, begin, end); });
  return WB_OK;
}

}  // namespace
}  // namespace wb

int wb_int4_linear(const float* x, int64_t batch, const uint8_t* weight, const uint16_t* scales,
                   const float* bias, int64_t outputs, int64_t inputs, int threads, float* y) {
  if (batch < 0 || outputs < 1 || inputs < 1 || inputs % wb::kInt4Block || threads < 1) {
    return WB_BAD_ARGUMENT;
  }
  if (batch == 0) return WB_OK;
  if (!x || !weight || !scales || !y) return WB_BAD_ARGUMENT;
  try {
    return wb::run({x, weight, scales, bias, y, batch, outputs, inputs, false}, threads);
  } catch (const std::bad_alloc&) {
    return WB_NO_MEMORY;
  }
}
