// The kernels against plain double-precision loops, on every instruction set that runs here.
// Built with sanitizers by tests/native/test_sanitizers.py; prints one line a failure.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "check.h"
#include "workbench_native.h"

int failures = 0;

namespace {

struct Problem {
  int64_t books, entries, dim, frames;
  std::vector<float> codebooks, vectors;
  std::vector<uint8_t> packed;
};

Problem problem(int64_t books, int64_t entries, int64_t dim, int64_t frames, float level = 1) {
  std::mt19937 random(unsigned(books * 31 + entries * 7 + dim * 3 + frames));
  std::normal_distribution<float> normal;
  Problem made{books, entries, dim, frames, {}, {}, {}};
  made.codebooks.resize(books * entries * dim);
  made.vectors.resize(frames * dim);
  for (int64_t k = 0; k < books; ++k) {
    for (int64_t i = 0; i < entries * dim; ++i) {
      made.codebooks[k * entries * dim + i] = level * normal(random) / float(1 + k);
    }
  }
  for (float& one : made.vectors) one = level * normal(random);
  made.packed.resize(wb_rvq_packed_bytes(books, entries, dim));
  return made;
}

void pack(Problem& p) {
  const int status =
      wb_rvq_pack(p.codebooks.data(), p.books, p.entries, p.dim, p.packed.data());
  CHECK(status == WB_OK, "status %d", status);
}

std::vector<int64_t> encoded(const Problem& p, int threads = 1) {
  std::vector<int64_t> codes(p.frames * p.books, -1);
  const int status = wb_rvq_encode(p.vectors.data(), p.frames, p.codebooks.data(), p.packed.data(),
                                   p.books, p.entries, p.dim, threads, codes.data());
  CHECK(status == WB_OK, "status %d", status);
  return codes;
}

// float32 residuals, distances in double in index order: differs from the kernels' sum by order
// only, so that an index may differ where two distances are equal to 1e-12.
void compare(const Problem& p, const std::vector<int64_t>& codes) {
  for (int64_t f = 0; f < p.frames; ++f) {
    std::vector<float> residual(p.vectors.begin() + f * p.dim,
                                p.vectors.begin() + (f + 1) * p.dim);
    for (int64_t k = 0; k < p.books; ++k) {
      const float* book = p.codebooks.data() + k * p.entries * p.dim;
      double least = std::numeric_limits<double>::infinity(), chosen = 0;
      int64_t best = 0;
      const int64_t code = codes[f * p.books + k];
      CHECK(code >= 0 && code < p.entries, "code %ld", long(code));
      if (code < 0 || code >= p.entries) return;
      for (int64_t v = 0; v < p.entries; ++v) {
        double sum = 0;
        for (int64_t i = 0; i < p.dim; ++i) {
          const double gap = double(residual[i]) - double(book[v * p.dim + i]);
          sum += gap * gap;
        }
        if (sum < least) {
          least = sum;
          best = v;
        }
        if (v == code) chosen = sum;
      }
      CHECK(code == best || chosen <= least * (1 + 1e-12),
            "%s: frame %ld book %ld: %ld, not %ld (%.17g, %.17g)", wb_isa(), long(f), long(k),
            long(code), long(best), chosen, least);
      for (int64_t i = 0; i < p.dim; ++i) residual[i] -= book[code * p.dim + i];
    }
  }
}

void test_encode() {
  const int64_t shapes[][4] = {{1, 1, 1, 1},    {2, 3, 2, 5},    {4, 16, 8, 7},   {3, 64, 64, 33},
                               {3, 65, 30, 40}, {2, 100, 257, 9}, {4, 130, 12, 70}, {2, 256, 256, 3},
                               // full tiles of AMX's, and their rest
                               {2, 100, 64, 4}, {3, 70, 64, 16}, {2, 200, 128, 50}, {2, 65, 192, 150}};
  for (const auto& s : shapes) {
    for (float level : {1.0f, 1e-4f, 1e5f}) {
      Problem p = problem(s[0], s[1], s[2], s[3], level);
      pack(p);
      const auto codes = encoded(p);
      compare(p, codes);
      CHECK(encoded(p, 3) == codes, "threads change the codes");
    }
  }
}

void test_extremes() {
  // Beyond float32's range in squares, and below it: every entry is measured exactly.
  for (float level : {1e20f, 1e-25f, 1e-35f}) {
    Problem p = problem(2, 70, 16, 5, level);
    pack(p);
    compare(p, encoded(p));
  }
  Problem zeros = problem(2, 70, 16, 5);
  std::fill(zeros.vectors.begin(), zeros.vectors.end(), 0.0f);
  pack(zeros);
  compare(zeros, encoded(zeros));
}

void test_ties() {
  Problem p = problem(2, 200, 24, 10);
  for (int64_t k = 0; k < p.books; ++k) {  // entry v + 100 equals entry v
    float* book = p.codebooks.data() + k * p.entries * p.dim;
    std::memcpy(book + 100 * p.dim, book, 100 * p.dim * sizeof(float));
  }
  pack(p);
  for (int64_t code : encoded(p)) CHECK(code < 100, "code %ld: not the lowest", long(code));
  std::fill(p.codebooks.begin(), p.codebooks.end(), 0.25f);
  pack(p);
  for (int64_t code : encoded(p)) CHECK(code == 0, "code %ld: not the lowest", long(code));
}

void test_refusals() {
  Problem p = problem(2, 16, 8, 4);
  pack(p);
  std::vector<int64_t> codes(p.frames * p.books);
  const auto status = [&] {
    return wb_rvq_encode(p.vectors.data(), p.frames, p.codebooks.data(), p.packed.data(), p.books,
                         p.entries, p.dim, 1, codes.data());
  };
  for (float wrong : {NAN, INFINITY, -INFINITY, 1e31f}) {
    p.vectors[5] = wrong;
    CHECK(status() == WB_NOT_FINITE, "%g", double(wrong));
  }
  CHECK(wb_rvq_encode(nullptr, 1, nullptr, nullptr, 1, 1, 1, 1, nullptr) == WB_BAD_ARGUMENT, "null");
  CHECK(wb_rvq_encode(nullptr, 0, nullptr, nullptr, 1, 1, 1, 1, nullptr) == WB_OK, "no frames");
  p.codebooks[3] = NAN;
  CHECK(wb_rvq_pack(p.codebooks.data(), p.books, p.entries, p.dim, p.packed.data()) ==
            WB_NOT_FINITE,
        "codebook");
  CHECK(wb_set_isa("mmx") == WB_BAD_ARGUMENT, "isa");
}

void test_linear() {
  const int64_t shapes[][4] = {// batch, outputs, inputs, group
                               {1, 1, 1, 1},       {1, 5, 64, 64},    {2, 7, 100, 100},
                               {3, 9, 300, 300},   {8, 33, 512, 64},  {5, 6, 384, 128},
                               {1, 16, 1000, 500}, {4, 12, 96, 32},   {7, 4, 640, 320},
                               {3, 1031, 1024, 1024}};
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  for (const auto& s : shapes) {
    const int64_t batch = s[0], outputs = s[1], inputs = s[2], groups = s[2] / s[3];
    std::vector<float> x(batch * inputs), scales(outputs * groups), bias(outputs),
        y(batch * outputs), again(batch * outputs);
    std::vector<int8_t> weight(outputs * inputs);
    for (float& one : x) one = normal(random);
    for (float& one : scales) one = 0.01f * (1 + std::fabs(normal(random)));
    for (float& one : bias) one = normal(random);
    for (int8_t& one : weight) one = int8_t(int(random() % 256) - 128);
    for (const float* offset : {static_cast<const float*>(nullptr), static_cast<const float*>(bias.data())}) {
      CHECK(wb_int8_linear(x.data(), batch, weight.data(), scales.data(), offset, outputs, inputs,
                           s[3], 1, y.data()) == WB_OK,
            "status");
      wb_int8_linear(x.data(), batch, weight.data(), scales.data(), offset, outputs, inputs, s[3],
                     3, again.data());
      CHECK(std::memcmp(y.data(), again.data(), y.size() * 4) == 0, "threads change the result");
      for (int64_t b = 0; b < batch; ++b) {
        float peak = 0;
        for (int64_t i = 0; i < inputs; ++i) peak = std::fmax(peak, std::fabs(x[b * inputs + i]));
        for (int64_t o = 0; o < outputs; ++o) {
          double sum = offset ? offset[o] : 0.0, size = 0;
          for (int64_t i = 0; i < inputs; ++i) {
            const double w = double(weight[o * inputs + i]) * scales[o * groups + i / s[3]];
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
    wb_int8_linear(x.data(), batch, weight.data(), scales.data(), nullptr, outputs, inputs, s[3], 1,
                   y.data());
    CHECK(std::isnan(y[0]), "NaN is lost");
  }
}

void test_linear_bf16() {
  const uint16_t x[2] = {0x3f80, 0x4000};  // 1, 2
  const int8_t weight[4] = {1, 2, 3, 4};
  const float scales[2] = {1, 0.5f};
  uint16_t y[2];
  CHECK(wb_int8_linear_bf16(x, 1, weight, scales, nullptr, 2, 2, 2, 1, y) == WB_OK, "status");
  CHECK(y[0] == 0x40a0 && y[1] == 0x40b0, "%x %x", y[0], y[1]);  // 5, 5.5
}

}  // namespace

int main() {
  CHECK(wb_abi_version() == WB_ABI_VERSION, "version");
  int tried = 0;
  for (const char* name : {"portable", "avx2", "avx512_vnni", "amx"}) {
    if (wb_set_isa(name) != WB_OK) {
      std::printf("%s: not on this machine\n", name);
      continue;
    }
    ++tried;
    test_encode();
    test_extremes();
    test_ties();
    test_refusals();
    test_linear();
    test_linear_bf16();
    test_int4();
    test_layers();
    test_frame();
    test_codec();
    std::printf("%s: tested\n", wb_isa());
  }
  std::printf("%d instruction sets, %d failures\n", tried, failures);
  return failures ? 1 : 0;
}
