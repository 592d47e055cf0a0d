// Linear layers with int4 weights against plain double-precision loops.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include "check.h"
#include "workbench_native.h"

void test_int4() {
  const int64_t shapes[][3] = {// batch, outputs, inputs
                               {1, 1, 32},  {1, 5, 64},   {2, 7, 96},   {3, 9, 128},  {8, 33, 160},
                               {5, 6, 384}, {1, 16, 992}, {4, 12, 256}, {6, 3000, 2080}};
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  for (const auto& s : shapes) {
    const int64_t batch = s[0], outputs = s[1], inputs = s[2], blocks = s[2] / 32;
    std::vector<float> x(batch * inputs), bias(outputs), y(batch * outputs), again(y), one(outputs);
    std::vector<uint8_t> weight(outputs * inputs / 2);
    std::vector<uint16_t> scales(outputs * blocks);
    for (float& number : x) number = normal(random);
    for (float& number : bias) number = normal(random);
    for (uint8_t& byte : weight) byte = uint8_t(random());
    for (uint16_t& scale : scales) scale = uint16_t(0x3c00 + random() % 256);  // 0.008 to 0.03
    const auto exact = [&](int64_t o, int64_t i) {
      const int64_t block = o * blocks + i / 32;
      const int byte = weight[block * 16 + i % 16];
      const uint32_t bits = uint32_t(scales[block]) << 16;
      float scale;
      std::memcpy(&scale, &bits, 4);
      return double(scale) * ((i % 32 < 16 ? byte & 15 : byte >> 4) - 8);
    };
    for (const float* offset : {static_cast<const float*>(nullptr), static_cast<const float*>(bias.data())}) {
      const auto run = [&](int64_t rows, int threads, float* to) {
        return wb_int4_linear(x.data(), rows, weight.data(), scales.data(), offset, outputs, inputs,
                              threads, to);
      };
      CHECK(run(batch, 1, y.data()) == WB_OK, "status");
      run(batch, 3, again.data());
      CHECK(std::memcmp(y.data(), again.data(), y.size() * 4) == 0, "threads change the result");
      run(1, 1, one.data());
      CHECK(std::memcmp(y.data(), one.data(), one.size() * 4) == 0, "rows change the result");
      for (int64_t b = 0; b < batch; ++b) {
        float peak = 0;
        for (int64_t i = 0; i < inputs; ++i) peak = std::fmax(peak, std::fabs(x[b * inputs + i]));
        for (int64_t o = 0; o < outputs; ++o) {
          double sum = offset ? offset[o] : 0.0, size = 0;
          for (int64_t i = 0; i < inputs; ++i) {
            const double w = exact(o, i);
            sum += double(x[b * inputs + i]) * w;
            size += std::fabs(w);
          }
          // Half a step of each activation, and float32's own rounding.
          const double bound = size * peak * (1 / 32512.0 + 1e-6) + 1e-6;
          CHECK(std::fabs(y[b * outputs + o] - sum) <= bound, "%s: %g, not %g", wb_isa(),
                double(y[b * outputs + o]), sum);
        }
      }
    }
    x[0] = NAN;
    wb_int4_linear(x.data(), batch, weight.data(), scales.data(), nullptr, outputs, inputs, 1,
                   y.data());
    CHECK(std::isnan(y[0]), "NaN is lost");
    CHECK(batch == 1 || std::isfinite(y[outputs]), "NaN has spread");
  }
  float number = 0;
  CHECK(wb_int4_linear(&number, 1, nullptr, nullptr, nullptr, 1, 32, 1, &number) == WB_BAD_ARGUMENT,
        "null");
  CHECK(wb_int4_linear(&number, 1, nullptr, nullptr, nullptr, 1, 48, 1, &number) == WB_BAD_ARGUMENT,
        "half a block");
  CHECK(wb_int4_linear(nullptr, 0, nullptr, nullptr, nullptr, 1, 32, 1, nullptr) == WB_OK, "no rows");
}
