// A codec's convolutions: what each instruction set offers. No std here: functions of these files'
// flags must not be linked in elsewhere.
#pragma once

#include <stdint.h>

namespace wb {

constexpr int64_t kPanel = 16;  // outputs whose weights lie side by side

// y[row][o] = bias[o] + sum over taps k and inputs i of x[row][k * tap + i] * weight[o][k][i];
// with `add`, added to y. Row t of stream n begins at n * x_stream + t * x_row, rows are counted
// through all streams.
struct Filtering {
  const float* x;
  float* y;
  const float* weight;  // [panels][taps][inputs][kPanel], 0 past the last; of one output no panel
  const float* bias;    // [panels][kPanel] or null
  int64_t x_stream, x_row, y_stream, y_row;
  int64_t length;  // rows of a stream
  int64_t inputs, outputs, taps, tap;
  bool add;
};

struct CodecKernels {
  // The rows [begin, end), and of their outputs the panels [first, last).
  void (*filter)(const Filtering&, int64_t begin, int64_t end, int64_t first, int64_t last);
  void (*elu)(const float* x, int64_t size, float* y);  // y may be x
  void (*gelu)(float* x, int64_t size);
  void (*normalize)(const float* x, const float* weight, const float* bias, int64_t size,
                    float epsilon, float* y);  // y is not x
};

extern const CodecKernels codec_portable, codec_avx2, codec_avx512;

}  // namespace wb
