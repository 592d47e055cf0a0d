// Decoder layers, 8 floats at a time.
#include "layers_kernels.h"
#include "vectors_avx2.inc"

namespace wb {
namespace {

constexpr int kRows = 2;

}  // namespace
}  // namespace wb

#include "layers_kernels.inc"

namespace wb {
const Kernels layers_avx2 = {linear, normalize, gate, attend};
}
