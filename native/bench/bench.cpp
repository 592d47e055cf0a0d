// Times the kernels alone, at Mimi's and CSM-1B's sizes: workbench_native_bench [frames ...]
// One line a case: the median of many calls, and what that is in memory traffic or products.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
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

// A step of CSM's stacks with `count` layers, 200 positions back; the weights are never written.
void layers(const char* name, int64_t count, int64_t hidden, int64_t heads, int64_t groups,
            int64_t head_dim, int64_t intermediate) {
  constexpr int64_t slots = 201, position = slots - 1;
  const wb_type types[] = {WB_FLOAT32, WB_BFLOAT16, WB_INT8};
  const int64_t sizes[] = {4, 2, 1};
  const int64_t width = (heads + 2 * groups) * head_dim;
  const int64_t weights = hidden * (width + heads * head_dim + 3 * intermediate);
  const std::vector<float> ones(std::max({hidden, slots * head_dim, width, 2 * intermediate}), 1.0f);
  for (int which = 0; which < 3; ++which) {
    std::vector<uint8_t> memory(count * weights * sizes[which]);
    std::vector<std::vector<float>> caches(2 * count, std::vector<float>(groups * slots * head_dim));
    std::vector<wb_layer> made;
    uint8_t* at = memory.data();
    const auto matrix = [&](int64_t outputs, int64_t inputs) {
      const wb_matrix one{at, ones.data(), nullptr, outputs, inputs, types[which]};
      at += outputs * inputs * sizes[which];
      return one;
    };
    for (int64_t i = 0; i < count; ++i) {
      made.push_back({ones.data(), matrix(width, hidden), matrix(hidden, heads * head_dim),
                      ones.data(), matrix(2 * intermediate, hidden), matrix(hidden, intermediate),
                      caches[2 * i].data(), caches[2 * i + 1].data()});
    }
    const wb_stack stack{made.data(), ones.data(), ones.data(), ones.data(), count, hidden, heads,
                         groups, head_dim, intermediate, 1, slots, 1e-5f, WB_FLOAT32};
    std::vector<float> x(hidden, 0.5f);
    std::unique_ptr<void, void (*)(void*)> scratch(
        std::aligned_alloc(64, size_t(wb_stack_bytes(&stack, 1))), std::free);
    const double ms = median_ms(
        [&] { wb_stack_step(&stack, 1, &position, 1, scratch.get(), x.data()); });
    std::printf("layers %s, %ld bytes a weight: %8.3f ms, %5.1f GB/s of weights\n", name,
                long(sizes[which]), ms, double(memory.size()) / ms / 1e6);
  }
}

// A frame of Mimi's decoder at the end of its window, all weights the same memory's parts.
void codec(const char* name, int64_t filters, int64_t hidden, int64_t layers, int64_t heads,
           int64_t inner, int64_t books, int64_t entries, int64_t dim) {
  constexpr int64_t window = 250, slots = window + 63;
  const int64_t ratios[] = {8, 6, 5, 4}, head_dim = hidden / heads;
  std::vector<std::vector<float>> kept;
  int64_t weights = 0, products = 0;
  const auto numbers = [&](int64_t count, float level) {
    kept.emplace_back(count, level);
    return kept.back().data();
  };
  // `calls`: how often it is applied in a frame.
  const auto filter = [&](int64_t inputs, int64_t outputs, int64_t taps, int64_t repeat,
                          int64_t calls, bool depthwise = false) {
    const int64_t all = outputs * repeat, padded = (all + 15) / 16 * 16;
    const int64_t count = depthwise ? taps * all : taps * inputs * padded;
    weights += count;
    products += taps * all * (depthwise ? 1 : inputs) * calls;
    return wb_filter{numbers(count, 0.01f), depthwise ? nullptr : numbers(padded, 0.0f), inputs,
                     all, taps, 1, repeat, 0, depthwise};
  };
  std::vector<wb_codec_layer> made;
  for (int64_t i = 0; i < layers; ++i) {
    float *ones = numbers(hidden, 1.0f), *zeros = numbers(hidden, 0.0f);
    made.push_back({ones, zeros, ones, zeros, filter(hidden, 3 * hidden, 1, 1, 2),
                    filter(hidden, hidden, 1, 1, 2), filter(hidden, inner, 1, 1, 2),
                    filter(inner, hidden, 1, 1, 2)});
  }
  int64_t channels = 16 * filters, length = 2;
  const wb_filter first = filter(hidden, channels, 7, 1, length);
  std::vector<wb_residual> blocks;
  std::vector<wb_upsampling> stages;
  blocks.reserve(4);
  for (int64_t ratio : ratios) {
    const wb_filter up = filter(channels, channels / 2, 2, ratio, length);
    channels /= 2;
    length *= ratio;
    blocks.push_back({filter(channels, channels / 2, 3, 1, length),
                      filter(channels / 2, channels, 1, 1, length), wb_filter{}});
    stages.push_back({up, &blocks.back(), 1});
  }
  const wb_codec codec{numbers(books * entries * dim, 0.1f), filter(dim, hidden, 1, 1, 1),
                       filter(dim, hidden, 1, 1, 1), filter(hidden, hidden, 2, 2, 1, true),
                       made.data(), numbers(head_dim / 2, 0.1f), first, stages.data(),
                       filter(channels, 1, 3, 1, length), books, entries, dim, 1, layers, hidden,
                       heads, heads, head_dim, window, 4, 1e-5f, 1.0f};
  std::vector<float> state(wb_codec_state(&codec)), sound(length);
  std::vector<float> keys(layers * slots * hidden), values(keys);
  int64_t position = 1000, used = window;
  const wb_codec_streams streams{state.data(), keys.data(), values.data(), &position, &used, 1,
                                 slots};
  std::unique_ptr<void, void (*)(void*)> scratch(
      std::aligned_alloc(64, size_t(wb_codec_bytes(&codec, 1, 1))), std::free);
  const std::vector<int64_t> codes(books, 1);
  const double ms = median_ms([&] {
    wb_codec_step(&codec, &streams, 1, codes.data(), books, nullptr, 1, scratch.get(),
                  sound.data());
  });
  std::printf("codec %s: %8.3f ms a frame, %5.1f G products/s, %5.1f GB/s of weights\n", name, ms,
              double(products) / ms / 1e6, double(weights) * 4 / ms / 1e6);
}

}  // namespace

int main(int count, char** arguments) {
  std::vector<int64_t> lengths;
  for (int i = 1; i < count; ++i) lengths.push_back(std::atol(arguments[i]));
  if (lengths.empty()) lengths = {1, 13, 125, 1250};
  for (const char* isa : {"avx2", "avx512_vnni", "amx"}) {
    if (wb_set_isa(isa) != WB_OK) continue;
    std::printf("%s\n", wb_isa());
    rvq(lengths);
    linear();
    layers("csm-nano backbone", 5, 256, 4, 4, 64, 768);
    layers("csm-nano depth decoder", 2, 160, 5, 5, 32, 480);
    layers("csm-1b backbone, 2 of 16", 2, 2048, 32, 8, 64, 8192);
    layers("csm-1b depth decoder", 4, 1024, 8, 2, 128, 8192);
    codec("mimi-nano", 16, 192, 2, 4, 768, 6, 512, 64);
    codec("mimi", 64, 512, 8, 8, 2048, 32, 2048, 256);
  }
  return 0;
}
