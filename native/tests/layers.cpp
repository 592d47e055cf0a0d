// Decoder layers against plain double-precision loops.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "check.h"
#include "workbench_native.h"

namespace {

using Floats = std::vector<float>;

std::mt19937 randomness(7);

Floats normal(int64_t count, float level, float mean = 0) {
  std::normal_distribution<float> draw(mean, level);
  Floats made(count);
  for (float& one : made) one = draw(randomness);
  return made;
}

// A matrix in one of the three types, and what it is worth in float32.
struct Matrix {
  Floats exact, scales, bias;
  std::vector<uint16_t> halves;
  std::vector<int8_t> bytes;
  wb_matrix c{};

  Matrix(int64_t outputs, int64_t inputs, wb_type type, bool biased)
      : exact(normal(outputs * inputs, 1 / std::sqrt(float(inputs)))) {
    c.outputs = outputs;
    c.inputs = inputs;
    c.type = type;
    c.weight = exact.data();
    if (type == WB_BFLOAT16) {
      for (float& one : exact) {
        uint32_t bits;
        std::memcpy(&bits, &one, 4);
        bits &= 0xffff0000u;
        std::memcpy(&one, &bits, 4);
        halves.push_back(uint16_t(bits >> 16));
      }
      c.weight = halves.data();
    } else if (type == WB_INT8) {
      scales = Floats(outputs, 3 / (127 * std::sqrt(float(inputs))));
      for (float& one : exact) {
        const float steps = std::min(127.0f, std::max(-127.0f, std::round(one / scales[0])));
        bytes.push_back(int8_t(steps));
        one = steps * scales[0];
      }
      c.weight = bytes.data();
      c.scales = scales.data();
    }
    if (biased) {
      bias = normal(outputs, 0.1f);
      c.bias = bias.data();
    }
  }
  Matrix(const Matrix&) = delete;
  Matrix(Matrix&&) = default;

  std::vector<double> times(const std::vector<double>& x) const {
    std::vector<double> y(c.outputs);
    for (int64_t o = 0; o < c.outputs; ++o) {
      y[o] = bias.empty() ? 0 : bias[o];
      for (int64_t i = 0; i < c.inputs; ++i) y[o] += double(exact[o * c.inputs + i]) * x[i];
    }
    return y;
  }
};

struct Shape {
  int64_t layers, hidden, heads, groups, head_dim, intermediate, batch, slots;
};

struct Stack {
  struct Layer {
    Floats attention_norm, mlp_norm, keys, values;
    Matrix query_key_value, out, gate_up, down;
  };
  Shape shape;
  std::vector<Layer> layers;
  std::vector<wb_layer> c_layers;
  Floats norm, cos, sin;
  wb_stack c{};

  Stack(const Shape& s, wb_type type, bool biased) : shape(s) {
    const int64_t cache = s.batch * s.groups * s.slots * s.head_dim;
    for (int64_t i = 0; i < s.layers; ++i) {
      layers.push_back({normal(s.hidden, 0.1f, 1), normal(s.hidden, 0.1f, 1), Floats(cache),
                        Floats(cache),
                        {(s.heads + 2 * s.groups) * s.head_dim, s.hidden, type, biased},
                        {s.hidden, s.heads * s.head_dim, type, biased},
                        {2 * s.intermediate, s.hidden, type, biased},
                        {s.hidden, s.intermediate, type, biased}});
    }
    for (Layer& one : layers) {
      c_layers.push_back({one.attention_norm.data(), one.query_key_value.c, one.out.c,
                          one.mlp_norm.data(), one.gate_up.c, one.down.c, one.keys.data(),
                          one.values.data()});
    }
    norm = normal(s.hidden, 0.1f, 1);
    for (int64_t t = 0; t < s.slots; ++t) {
      for (int64_t d = 0; d < s.head_dim; ++d) {
        const double angle = double(t) / std::pow(100.0, 2.0 * double(d % (s.head_dim / 2)) / s.head_dim);
        cos.push_back(float(std::cos(angle)));
        sin.push_back(float(std::sin(angle)));
      }
    }
    c = {c_layers.data(), norm.data(), cos.data(), sin.data(), s.layers, s.hidden, s.heads,
         s.groups, s.head_dim, s.intermediate, s.batch, s.slots, 1e-5f, WB_FLOAT32};
  }
};

std::vector<double> normed(const std::vector<double>& x, const Floats& weight) {
  double squares = 0;
  for (double one : x) squares += one * one;
  std::vector<double> y(x);
  const double scale = 1 / std::sqrt(squares / double(x.size()) + 1e-5);
  for (size_t i = 0; i < x.size(); ++i) y[i] *= scale * weight[i];
  return y;
}

// One row of a stack in double precision, with caches that grow.
struct Exact {
  const Stack& stack;
  std::vector<std::vector<std::vector<double>>> keys, values;  // [layer][position][groups * dim]

  explicit Exact(const Stack& of) : stack(of), keys(of.layers.size()), values(of.layers.size()) {}

  std::vector<double> step(std::vector<double> x) {
    const Shape& s = stack.shape;
    const int64_t dim = s.head_dim, position = int64_t(keys[0].size());
    const auto rotate = [&](double* v) {
      for (int64_t i = 0; i < dim / 2; ++i) {
        const double a = v[i], b = v[i + dim / 2];
        const double cos = stack.cos[position * dim + i], sin = stack.sin[position * dim + i];
        v[i] = a * cos - b * sin;
        v[i + dim / 2] = b * cos + a * sin;
      }
    };
    for (size_t index = 0; index < stack.layers.size(); ++index) {
      const Stack::Layer& layer = stack.layers[index];
      std::vector<double> all = layer.query_key_value.times(normed(x, layer.attention_norm));
      for (int64_t h = 0; h < s.heads + s.groups; ++h) rotate(all.data() + h * dim);
      const auto key = all.begin() + s.heads * dim, value = key + s.groups * dim;
      keys[index].emplace_back(key, value);
      values[index].emplace_back(value, all.end());
      std::vector<double> attended(s.heads * dim);
      for (int64_t h = 0; h < s.heads; ++h) {
        const int64_t g = h / (s.heads / s.groups);
        std::vector<double> shares;
        double most = -1e300, total = 0;
        for (const auto& one : keys[index]) {
          double score = 0;
          for (int64_t d = 0; d < dim; ++d) score += all[h * dim + d] * one[g * dim + d];
          shares.push_back(score / std::sqrt(double(dim)));
          most = std::max(most, shares.back());
        }
        for (double& share : shares) total += share = std::exp(share - most);
        for (size_t t = 0; t < shares.size(); ++t) {
          for (int64_t d = 0; d < dim; ++d) {
            attended[h * dim + d] += shares[t] / total * values[index][t][g * dim + d];
          }
        }
      }
      const auto more = layer.out.times(attended);
      for (size_t i = 0; i < x.size(); ++i) x[i] += more[i];
      const auto gate_up = layer.gate_up.times(normed(x, layer.mlp_norm));
      std::vector<double> gated(s.intermediate);
      for (int64_t i = 0; i < s.intermediate; ++i) {
        gated[i] = gate_up[i] / (1 + std::exp(-gate_up[i])) * gate_up[s.intermediate + i];
      }
      const auto rest = layer.down.times(gated);
      for (size_t i = 0; i < x.size(); ++i) x[i] += rest[i];
    }
    return normed(x, stack.norm);
  }
};

struct Scratch {
  std::unique_ptr<unsigned char, void (*)(void*)> memory;
  explicit Scratch(int64_t bytes)
      : memory(static_cast<unsigned char*>(std::aligned_alloc(64, size_t(bytes + 63) / 64 * 64)),
               std::free) {}
};

const Shape kShapes[] = {{1, 1, 1, 1, 2, 1, 1, 3},      {2, 32, 4, 2, 8, 48, 1, 9},
                         {1, 37, 3, 3, 6, 21, 2, 20},   {3, 64, 8, 2, 16, 96, 4, 6},
                         {1, 100, 6, 1, 18, 130, 5, 5}, {1, 160, 5, 5, 32, 480, 8, 4},
                         {1, 256, 4, 2, 70, 1100, 3, 4},
                         // Products that come from memory, an odd number of outputs and inputs.
                         {1, 1031, 2, 2, 6, 1021, 1, 4}, {1, 603, 2, 1, 64, 901, 3, 5}};

}  // namespace

void test_layers() {
  for (const Shape& s : kShapes) {
    for (wb_type type : {WB_FLOAT32, WB_BFLOAT16, WB_INT8}) {
      Stack stack(s, type, s.heads == 3);
      const int64_t tokens = s.slots > 4 ? 2 : 1;
      Scratch scratch(wb_stack_bytes(&stack.c, tokens));
      std::vector<Exact> exact(s.batch, Exact(stack));
      for (int64_t start = 0; start + tokens <= s.slots; start += tokens) {
        // With VNNI int8 activations are rounded to 15 bits.
        const double tolerance = type == WB_INT8 ? 3e-3 : 2e-5;
        Floats x = normal(s.batch * tokens * s.hidden, 1), given = x;
        std::vector<int64_t> positions;
        for (int64_t row = 0; row < s.batch * tokens; ++row) {
          positions.push_back(start + row % tokens);
        }
        const int threads = 1 + int(start % 3);
        CHECK(wb_stack_step(&stack.c, tokens, positions.data(), threads, scratch.memory.get(),
                            x.data()) == WB_OK,
              "status");
        for (int64_t row = 0; row < s.batch * tokens; ++row) {
          const auto from = given.begin() + row * s.hidden;
          const auto expected = exact[row / tokens].step({from, from + s.hidden});
          double error = 0;
          for (int64_t i = 0; i < s.hidden; ++i) {
            error = std::max(error, std::fabs(x[row * s.hidden + i] - expected[i]));
          }
          CHECK(error < tolerance, "%s: type %d, hidden %ld, row %ld: off by %g", wb_isa(), type,
                long(s.hidden), long(row), error);
        }
      }
    }
  }
  // A token of NaN stays in its row; arguments without sense are refused.
  Stack stack({1, 32, 4, 2, 8, 48, 2, 9}, WB_FLOAT32, false);
  Scratch scratch(wb_stack_bytes(&stack.c, 1));
  Floats x = normal(64, 1);
  x[3] = NAN;
  int64_t positions[2] = {0, 0};
  const auto step = [&] {
    return wb_stack_step(&stack.c, 1, positions, 1, scratch.memory.get(), x.data());
  };
  CHECK(step() == WB_OK, "status");
  CHECK(std::all_of(x.begin(), x.begin() + 32, [](float v) { return std::isnan(v); }), "lost");
  CHECK(std::all_of(x.begin() + 32, x.end(), [](float v) { return std::isfinite(v); }), "spread");
  for (int64_t wrong : {-1, 9}) {
    positions[1] = wrong;
    CHECK(step() == WB_BAD_ARGUMENT, "position %ld", long(wrong));
  }
  positions[1] = 0;
  stack.c.groups = 3;
  CHECK(step() == WB_BAD_ARGUMENT, "heads by groups");
  CHECK(wb_stack_bytes(&stack.c, 1) == -1, "heads by groups");
}

void test_frame() {
  constexpr int64_t books = 5, codes = 23, vocabulary = 25, batch = 3;
  for (wb_type type : {WB_FLOAT32, WB_INT8}) {
    Stack backbone({2, 48, 4, 2, 12, 64, batch, 7}, type, false);
    Stack depth({1, 32, 2, 2, 16, 40, batch, books + 1}, type, false);
    const Matrix head(codes, 48, WB_FLOAT32, false), projector(32, 48, type, false);
    std::vector<Matrix> heads;
    std::vector<wb_matrix> c_heads;
    for (int64_t book = 1; book < books; ++book) {
      heads.emplace_back(codes, 32, WB_FLOAT32, false);
      c_heads.push_back(heads.back().c);
    }
    const Floats audio = normal(books * vocabulary * 48, 1);
    const Floats table = normal((books - 1) * vocabulary * 32, 1);
    wb_frame frame{backbone.c, depth.c, head.c, projector.c, c_heads.data(), audio.data(),
                   table.data(), books, codes, vocabulary, WB_FLOAT32, WB_FLOAT32};
    Scratch scratch(wb_frame_bytes(&frame));
    Floats hidden = normal(batch * 48, 1), noise = normal(books * batch * codes, 1);
    const wb_sampling samplings[] = {{0, 0, 0, 0}, {0.8f, 0.5f, 5, 0}, {0, 1, 0, 1}, {2, 0, 90, 0}};
    std::vector<Exact> exact(batch, Exact(backbone));
    for (int64_t step = 0; step < 4; ++step) {
      const wb_sampling& sampling = samplings[step];
      std::vector<int64_t> made(batch * books, -1);
      CHECK(wb_frame_write(&frame, hidden.data(), &sampling, noise.data(), 1,
                           scratch.memory.get(), made.data()) == WB_OK,
            "status");
      for (int64_t row = 0; row < batch; ++row) {
        const std::vector<double> state(hidden.begin() + row * 48, hidden.begin() + row * 48 + 48);
        Exact loop(depth);
        std::vector<double> logits = head.times(state);
        loop.step(projector.times(state));
        for (int64_t book = 0; book < books; ++book) {
          const float temperature = book ? sampling.depth_temperature : sampling.temperature;
          const int64_t top_k = book ? sampling.depth_top_k : sampling.top_k;
          const int64_t code = made[row * books + book];
          CHECK(code >= 0 && code < codes, "code %ld", long(code));
          if (code < 0 || code >= codes) return;
          std::vector<double> ordered(logits), scores(logits);
          std::sort(ordered.rbegin(), ordered.rend());
          for (int64_t v = 0; v < codes && temperature > 0; ++v) {
            const bool kept = top_k == 0 || top_k >= codes || logits[v] >= ordered[top_k - 1];
            scores[v] = kept ? logits[v] / temperature + noise[(book * batch + row) * codes + v]
                             : -INFINITY;
          }
          const double best = *std::max_element(scores.begin(), scores.end());
          // Two scores as near as rounding may change places.
          const double slack = type == WB_INT8 ? 2e-2 : 1e-4;
          CHECK(scores[code] >= best - slack, "%s: book %ld: %g, not %g", wb_isa(), long(book),
                scores[code], best);
          if (book + 1 < books) {
            const auto from = table.begin() + (book * vocabulary + code) * 32;
            logits = heads[book].times(loop.step({from, from + 32}));
          }
        }
      }
      const std::vector<int64_t> positions(batch, step);
      CHECK(wb_frame_read(&frame, made.data(), positions.data(), 1, scratch.memory.get(),
                          hidden.data()) == WB_OK,
            "status");
      for (int64_t row = 0; row < batch; ++row) {
        std::vector<double> x(48);
        for (int64_t book = 0; book < books; ++book) {
          const int64_t entry = book * vocabulary + made[row * books + book];
          for (int64_t i = 0; i < 48; ++i) x[i] += audio[entry * 48 + i];
        }
        const auto expected = exact[row].step(x);
        for (int64_t i = 0; i < 48; ++i) {
          CHECK(std::fabs(hidden[row * 48 + i] - expected[i]) < (type == WB_INT8 ? 3e-3 : 2e-5),
                "%g, not %g", double(hidden[row * 48 + i]), expected[i]);
        }
      }
    }
    std::vector<int64_t> made(batch * books, vocabulary);
    const std::vector<int64_t> positions(batch, 0);
    CHECK(wb_frame_read(&frame, made.data(), positions.data(), 1, scratch.memory.get(),
                        hidden.data()) == WB_BAD_ARGUMENT,
          "a code beyond the vocabulary");
    CHECK(wb_frame_write(&frame, hidden.data(), &samplings[1], nullptr, 1, scratch.memory.get(),
                         made.data()) == WB_BAD_ARGUMENT,
          "no noise");
    hidden[50] = NAN;
    CHECK(wb_frame_write(&frame, hidden.data(), &samplings[1], noise.data(), 1,
                         scratch.memory.get(), made.data()) == WB_NOT_FINITE,
          "NaN");
  }
}
