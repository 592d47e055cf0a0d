// Times the kernels alone, at Mimi's and CSM-1B's sizes: workbench_native_bench [frames ...]
// One line a case: the median of many calls, and what that is in memory traffic or products.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <random>
#include <vector>

#include "workbench_native.h"

namespace {

double median_ms(const std::function<void()>& work) {
  using Clock = std::chrono::steady_clock;
  work();
  std::vector<double> times;
  const auto begin = Clock::now();
  while (times.size() < 5 || (times.size() < 500 && Clock::now() - begin < std::chrono::seconds(1))) {
    const auto start = Clock::now();
    work();
    times.push_back(std::chrono::duration<double, std::milli>(Clock::now() - start).count());
  }
  std::nth_element(times.begin(), times.begin() + times.size() / 2, times.end());
  return times[times.size() / 2];
}

void rvq(const std::vector<int64_t>& lengths) {
  constexpr int64_t books = 32, entries = 2048, dim = 256;
  std::mt19937 random(0);
  std::normal_distribution<float> normal;
  std::vector<float> codebooks(books * entries * dim);
  float level = 1;
  for (int64_t k = 0; k < books; ++k, level *= 0.8f) {
    for (int64_t i = 0; i < entries * dim; ++i) {
      codebooks[k * entries * dim + i] = level * normal(random);
    }
  }
  std::vector<uint8_t> packed(wb_rvq_packed_bytes(books, entries, dim));
  wb_rvq_pack(codebooks.data(), books, entries, dim, packed.data());
  for (int64_t frames : lengths) {
    std::vector<float> vectors(frames * dim);
    for (float& one : vectors) one = normal(random);
    std::vector<int64_t> codes(frames * books);
    for (int threads : {1, 2}) {
      const int64_t before = wb_rvq_reranked();
      int64_t calls = 0;
      const double ms = median_ms([&] {
        ++calls;
        wb_rvq_encode(vectors.data(), frames, codebooks.data(), packed.data(), books, entries, dim,
                      threads, codes.data());
      });
      const double searches = double(frames) * books;
      std::printf("rvq_encode %5ld frames %d threads: %9.3f ms, %6.1f G products/s, "
                  "%5.1f GB/s of codebooks if read once, %.1f re-ranked a search\n",
                  long(frames), threads, ms, searches * entries * dim / ms / 1e6,
                  double(packed.size()) / ms / 1e6,
                  double(wb_rvq_reranked() - before) / (double(calls) * searches));
    }
  }
}

void linear() {
  const int64_t shapes[][2] = {{2048, 2048}, {8192, 2048}, {2048, 8192}, {1024, 1024}, {8192, 1024}};
  std::mt19937 random(0);
  for (const auto& shape : shapes) {
    const int64_t outputs = shape[0], inputs = shape[1];
    // As many copies as no cache holds: a decoding step reads each layer's weights once.
    const int64_t copies = std::max<int64_t>(1, (int64_t(256) << 20) / (outputs * inputs));
    std::vector<int8_t> weight(copies * outputs * inputs);
    for (int8_t& one : weight) one = int8_t(random());
    std::vector<float> scales(outputs, 0.01f), x(8 * inputs, 0.5f), y(8 * outputs);
    for (int64_t batch : {1, 8}) {
      int64_t copy = 0;
      const double ms = median_ms([&] {
        wb_int8_linear(x.data(), batch, weight.data() + copy * outputs * inputs, scales.data(),
                       nullptr, outputs, inputs, inputs, 1, y.data());
        copy = (copy + 1) % copies;
      });
      std::printf("int8_linear %5ld x %5ld batch %ld: %8.3f ms, %5.1f GB/s of weights\n",
                  long(outputs), long(inputs), long(batch), ms,
                  double(outputs * inputs) / ms / 1e6);
    }
  }
}

}  // namespace

int main(int count, char** arguments) {
  std::vector<int64_t> lengths;
  for (int i = 1; i < count; ++i) lengths.push_back(std::atol(arguments[i]));
  if (lengths.empty()) lengths = {1, 13, 125, 1250};
  for (const char* isa : {"avx2", "avx512_vnni"}) {
    if (wb_set_isa(isa) != WB_OK) continue;
    std::printf("%s\n", wb_isa());
    rvq(lengths);
    linear();
  }
  return 0;
}
