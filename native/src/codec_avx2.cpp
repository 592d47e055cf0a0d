// A codec's kernels, 8 floats at a time.
#include "codec_kernels.h"
#include "vectors_avx2.inc"

namespace wb {
namespace {

constexpr int kTileRows = 4, kTilePanels = 1, kFewPanels = 2;

}  // namespace
}  // namespace wb

#include "codec_kernels.inc"

namespace wb {
const CodecKernels codec_avx2 = {filter, elu, gelu, normalize};
}
