// A codec's kernels, 16 floats at a time.
#include "codec_kernels.h"
#include "vectors_avx512.inc"

namespace wb {
namespace {

constexpr int kTileRows = 8, kTilePanels = 2, kFewPanels = 4;

}  // namespace
}  // namespace wb

#include "codec_kernels.inc"

namespace wb {
const CodecKernels codec_avx512 = {filter, elu, gelu, normalize};
}
