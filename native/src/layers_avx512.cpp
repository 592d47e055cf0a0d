// Decoder layers, 16 floats at a time.
#include "layers_kernels.h"
#include "vectors_avx512.inc"

namespace wb {
namespace {

constexpr int kRows = 4;

}  // namespace
}  // namespace wb

#include "layers_kernels.inc"

namespace wb {
const Kernels layers_avx512 = {linear, normalize, gate, attend};
}
