#include "linear.h"

namespace wb {

void linear_portable(const Linear& layer, int64_t begin, int64_t end) {
  const int64_t groups = layer.inputs / layer.group;
  for (int64_t o = begin; o < end; ++o) {
    for (int64_t b = 0; b < layer.batch; ++b) {
      const float* x = layer.x + b * layer.inputs;
      const int8_t* weight = layer.weight + o * layer.inputs;
      float sum = 0;
      for (int64_t g = 0; g < groups; ++g) {
        float lanes[8] = {0};
        int64_t i = 0;
        for (; i + 8 <= layer.group; i += 8) {
          for (int lane = 0; lane < 8; ++lane) lanes[lane] += x[i + lane] * float(weight[i + lane]);
        }
        for (int lane = 0; i < layer.group; ++i, ++lane) lanes[lane] += x[i] * float(weight[i]);
        float part = 0;
        for (float lane : lanes) part += lane;
        sum += part * layer.scales[o * groups + g];
        x += layer.group;
        weight += layer.group;
      }
      layer.y[b * layer.outputs + o] = sum + (layer.bias ? layer.bias[o] : 0.0f);
    }
  }
}

}  // namespace wb
