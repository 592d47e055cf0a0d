// A codec's kernels in plain C++.
#include "codec_kernels.h"
#include "vectors_portable.inc"

namespace wb {
namespace {

constexpr int kTileRows = 4, kTilePanels = 1, kFewPanels = 1;

}  // namespace
}  // namespace wb

#include "codec_kernels.inc"

namespace wb {
const CodecKernels codec_portable = {filter, elu, gelu, normalize};
}
