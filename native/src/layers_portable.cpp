// Decoder layers in plain C++.
#include "layers_kernels.h"
#include "vectors_portable.inc"

namespace wb {
namespace {

constexpr int kRows = 2;

}  // namespace
}  // namespace wb

#include "layers_kernels.inc"

namespace wb {
const Kernels layers_portable = {linear, normalize, gate, attend};
}
