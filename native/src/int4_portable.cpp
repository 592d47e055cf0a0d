#include "int4.h"

namespace wb {

void int4_portable(const Int4& layer, int64_t begin, int64_t end) {
  const int64_t blocks = layer.inputs / kInt4Block;
  for (int64_t o = begin; o < end; ++o) {
    const uint16_t* scales = layer.scales + o * blocks;
    for (int64_t row = 0; row < layer.batch; ++row) {
      const uint8_t* weight = layer.weight + o * blocks * kInt4BlockBytes;
      const float* x = layer.x + row * layer.inputs;
      float sum = 0;
      for (int64_t b = 0; b < blocks; ++b, weight += kInt4BlockBytes, x += kInt4Block) {
        float part = 0;
        for (int64_t j = 0; j < kInt4BlockBytes; ++j) {
          part += x[j] * float((weight[j] & 15) - 8);
          part += x[j + kInt4BlockBytes] * float((weight[j] >> 4) - 8);
        }
        sum += part * int4_scale(scales[b]);
      }
      int4_store(layer, row, o, sum);
    }
  }
}

}  // namespace wb
