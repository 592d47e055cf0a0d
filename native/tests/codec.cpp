// A codec's decoder against plain double-precision loops over whole clips.
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
using Rows = std::vector<std::vector<double>>;  // [time][channels]

std::mt19937 randomness(11);

Floats normal(int64_t count, float level, float mean = 0) {
  std::normal_distribution<float> draw(mean, level);
  Floats made(count);
  for (float& one : made) one = draw(randomness);
  return made;
}

// A causal convolution, or with `repeat` a transposed one of kernel 2 * repeat.
struct Conv {
  int64_t inputs, outputs, kernel, dilation, repeat;
  bool depthwise, replicate;
  Floats weight, bias, packed, packed_bias;  // weight [outputs][inputs][kernel]
  wb_filter c{};

  Conv(int64_t inputs, int64_t outputs, int64_t kernel, int64_t dilation = 1, int64_t repeat = 0,
       bool depthwise = false, bool replicate = false)
      : inputs(inputs), outputs(outputs), kernel(kernel), dilation(dilation), repeat(repeat),
        depthwise(depthwise), replicate(replicate) {
    const int64_t fan = (depthwise ? 1 : inputs) * (repeat ? 2 : kernel);
    weight = normal(outputs * (depthwise ? 1 : inputs) * kernel, 1 / std::sqrt(float(fan)));
    if (!depthwise) bias = normal(outputs, 0.1f);
    const int64_t taps = repeat ? 2 : kernel, times = repeat ? repeat : 1, all = outputs * times;
    const int64_t panels = (all + 15) / 16;
    packed.assign(depthwise ? taps * all : panels * taps * inputs * 16, 0.0f);
    packed_bias.assign(panels * 16, 0.0f);
    for (int64_t k = 0; k < taps; ++k) {
      for (int64_t j = 0; j < times; ++j) {
        for (int64_t o = 0; o < outputs; ++o) {
          const int64_t out = j * outputs + o, at = repeat ? (1 - k) * repeat + j : k;
          if (!bias.empty()) packed_bias[out] = bias[o];
          if (depthwise) packed[(k * times + j) * outputs + o] = weight[o * kernel + at];
          for (int64_t i = 0; !depthwise && i < inputs; ++i) {
            const int64_t row = (out / 16 * taps + k) * inputs + i;
            packed[all == 1 ? row : row * 16 + out % 16] = weight[(o * inputs + i) * kernel + at];
          }
        }
      }
    }
    c = {packed.data(), bias.empty() ? nullptr : packed_bias.data(), inputs, all, taps, dilation,
         times, replicate, depthwise};
  }
  Conv(Conv&&) = default;

  Rows operator()(const Rows& x) const {
    const int64_t length = int64_t(x.size());
    Rows y(length * (repeat ? repeat : 1), std::vector<double>(outputs));
    for (auto& row : y) {
      for (int64_t o = 0; o < outputs && !bias.empty(); ++o) row[o] = bias[o];
    }
    for (int64_t t = 0; t < length; ++t) {
      for (int64_t k = 0; k < kernel; ++k) {
        const int64_t to = repeat ? t * repeat + k : t;
        const int64_t from = repeat ? t : t - (kernel - 1 - k) * dilation;
        if (to >= int64_t(y.size()) || (from < 0 && !replicate)) continue;
        for (int64_t o = 0; o < outputs; ++o) {
          for (int64_t i = depthwise ? o : 0; i < (depthwise ? o + 1 : inputs); ++i) {
            const int64_t at = depthwise ? o : o * inputs + i;
            y[to][o] += double(weight[at * kernel + k]) * x[std::max<int64_t>(from, 0)][i];
          }
        }
      }
    }
    return y;
  }
};

void add(Rows& x, const Rows& more) {
  for (size_t t = 0; t < x.size(); ++t) {
    for (size_t i = 0; i < x[t].size(); ++i) x[t][i] += more[t][i];
  }
}

Rows elu(Rows x) {
  for (auto& row : x) {
    for (double& one : row) one = one > 0 ? one : std::expm1(one);
  }
  return x;
}

struct Shape {
  int64_t books, semantic, dim, hidden, heads, groups, head_dim, inner, layers, window, filters;
  std::vector<int64_t> ratios, dilations;
  bool projected, depthwise, shortcut, replicate;
};

const int64_t kEntries = 9;

struct Codec {
  struct Layer {
    Floats attention_norm, attention_shift, mlp_norm, mlp_shift;
    Conv query_key_value, out, up, down;
  };
  struct Block {
    Conv narrow, widen, shortcut;
  };
  struct Stage {
    Conv up;
    std::vector<Block> blocks;
    std::vector<wb_residual> c;
  };
  Shape shape;
  Floats table, frequencies;
  Conv semantic_out, acoustic_out, upsample, first, last;
  std::vector<Layer> layers;
  std::vector<Stage> stages;
  std::vector<wb_codec_layer> c_layers;
  std::vector<wb_upsampling> c_stages;
  wb_codec c{};

  explicit Codec(const Shape& s)
      : shape(s), table(normal(s.books * kEntries * s.dim, 1)), semantic_out(s.dim, s.hidden, 1),
        acoustic_out(s.dim, s.hidden, 1),
        upsample(s.hidden, s.hidden, 4, 1, 2, s.depthwise),
        first(s.hidden, s.filters << s.ratios.size(), 5, 1, 0, false, s.replicate),
        last(s.filters, 1, 3, 1, 0, false, s.replicate) {
    for (int64_t i = 0; i < s.head_dim / 2; ++i) {
      frequencies.push_back(std::pow(30.0f, -2.0f * float(i) / float(s.head_dim)));
    }
    for (int64_t i = 0; i < s.layers; ++i) {
      layers.push_back({normal(s.hidden, 0.1f, 1), normal(s.hidden, 0.1f),
                        normal(s.hidden, 0.1f, 1), normal(s.hidden, 0.1f),
                        Conv(s.hidden, (s.heads + 2 * s.groups) * s.head_dim, 1),
                        Conv(s.heads * s.head_dim, s.hidden, 1), Conv(s.hidden, s.inner, 1),
                        Conv(s.inner, s.hidden, 1)});
    }
    int64_t channels = s.filters << s.ratios.size();
    for (int64_t ratio : s.ratios) {
      stages.push_back({Conv(channels, channels / 2, 2 * ratio, 1, ratio), {}, {}});
      channels /= 2;
      for (int64_t dilation : s.dilations) {
        stages.back().blocks.push_back(
            {Conv(channels, channels / 2, 3, dilation, 0, false, s.replicate),
             Conv(channels / 2, channels, 1), Conv(channels, channels, 1)});
      }
    }
    for (const Layer& one : layers) {
      c_layers.push_back({one.attention_norm.data(), one.attention_shift.data(),
                          one.mlp_norm.data(), one.mlp_shift.data(), one.query_key_value.c,
                          one.out.c, one.up.c, one.down.c});
    }
    for (Stage& stage : stages) {
      for (const Block& one : stage.blocks) {
        stage.c.push_back({one.narrow.c, one.widen.c, s.shortcut ? one.shortcut.c : wb_filter{}});
      }
      c_stages.push_back({stage.up.c, stage.c.data(), int64_t(stage.c.size())});
    }
    const wb_filter none{};
    c = {table.data(), s.projected ? semantic_out.c : none, s.projected ? acoustic_out.c : none,
         upsample.c, c_layers.data(), frequencies.data(), first.c, c_stages.data(), last.c,
         s.books, kEntries, s.dim, s.semantic, s.layers, s.hidden, s.heads, s.groups, s.head_dim,
         s.window, int64_t(stages.size()), 1e-5f, 1.0f};
  }

  // The sound of codes [books][frames].
  std::vector<double> decoded(const std::vector<int64_t>& codes, int64_t books) const {
    const int64_t frames = int64_t(codes.size()) / books;
    Rows parts[2], x;
    for (int64_t t = 0; t < frames; ++t) {
      for (int part : {0, 1}) {
        std::vector<double> sum(shape.dim);
        for (int64_t book = 0; book < books; ++book) {
          if ((book >= shape.semantic) != (part == 1)) continue;
          const float* entry = &table[(book * kEntries + codes[book * frames + t]) * shape.dim];
          for (int64_t i = 0; i < shape.dim; ++i) sum[i] += entry[i];
        }
        parts[part].push_back(sum);
      }
    }
    x = shape.projected ? semantic_out(parts[0]) : parts[0];
    if (books > shape.semantic) add(x, shape.projected ? acoustic_out(parts[1]) : parts[1]);
    x = upsample(x);
    for (const Layer& layer : layers) transform(layer, x);
    x = first(x);
    for (const Stage& stage : stages) {
      x = stage.up(elu(x));
      for (const Block& block : stage.blocks) {
        const Rows inside = block.widen(elu(block.narrow(elu(x))));
        if (shape.shortcut) x = block.shortcut(x);
        add(x, inside);
      }
    }
    std::vector<double> sound;
    for (const auto& row : last(elu(x))) sound.push_back(row[0]);
    return sound;
  }

  static Rows normed(const Rows& x, const Floats& weight, const Floats& bias) {
    Rows y(x);
    for (auto& row : y) {
      double mean = 0, square = 0;
      for (double one : row) mean += one / double(row.size());
      for (double one : row) square += (one - mean) * (one - mean) / double(row.size());
      for (size_t i = 0; i < row.size(); ++i) {
        row[i] = (row[i] - mean) / std::sqrt(square + 1e-5) * weight[i] + bias[i];
      }
    }
    return y;
  }

  void transform(const Layer& layer, Rows& x) const {
    const Shape& s = shape;
    Rows all = layer.query_key_value(normed(x, layer.attention_norm, layer.attention_shift));
    Rows attended(x.size(), std::vector<double>(s.heads * s.head_dim));
    for (size_t t = 0; t < all.size(); ++t) {
      for (int64_t h = 0; h < s.heads + s.groups; ++h) {
        for (int64_t i = 0; i < s.head_dim / 2; ++i) {
          const double angle = double(t) * frequencies[i];
          double &a = all[t][h * s.head_dim + i], &b = all[t][h * s.head_dim + s.head_dim / 2 + i];
          const double first = a * std::cos(angle) - b * std::sin(angle);
          b = b * std::cos(angle) + a * std::sin(angle);
          a = first;
        }
      }
      for (int64_t h = 0; h < s.heads; ++h) {
        const int64_t key = (s.heads + h / (s.heads / s.groups)) * s.head_dim;
        const size_t begin = size_t(std::max<int64_t>(0, int64_t(t) + 1 - s.window));
        std::vector<double> shares;
        double total = 0;
        for (size_t u = begin; u <= t; ++u) {
          double score = 0;
          for (int64_t d = 0; d < s.head_dim; ++d) {
            score += all[t][h * s.head_dim + d] * all[u][key + d];
          }
          shares.push_back(std::exp(score / std::sqrt(double(s.head_dim))));
          total += shares.back();
        }
        for (size_t u = begin; u <= t; ++u) {
          for (int64_t d = 0; d < s.head_dim; ++d) {
            attended[t][h * s.head_dim + d] +=
                shares[u - begin] / total * all[u][key + s.groups * s.head_dim + d];
          }
        }
      }
    }
    add(x, layer.out(attended));
    Rows inner = layer.up(normed(x, layer.mlp_norm, layer.mlp_shift));
    for (auto& row : inner) {
      for (double& one : row) one *= (1 + std::erf(one / std::sqrt(2.0))) / 2;
    }
    add(x, layer.down(inner));
  }
};

struct Streams {
  Floats state, keys, values;
  std::vector<int64_t> positions, used;
  wb_codec_streams c{};
  std::unique_ptr<unsigned char, void (*)(void*)> scratch;

  Streams(const Codec& codec, int64_t batch, int64_t frames, int64_t spare = 0)
      : state(batch * wb_codec_state(&codec.c)), positions(batch), used(batch),
        scratch(nullptr, std::free) {
    const Shape& s = codec.shape;
    const int64_t slots = s.window - 1 + 2 * frames + spare;
    keys.resize(s.layers * batch * s.groups * slots * s.head_dim);
    values = keys;
    c = {state.data(), keys.data(), values.data(), positions.data(), used.data(), batch, slots};
    const auto bytes = size_t(wb_codec_bytes(&codec.c, batch, frames) + 63) / 64 * 64;
    scratch.reset(static_cast<unsigned char*>(std::aligned_alloc(64, bytes)));
  }

  int step(const Codec& codec, const std::vector<int64_t>& codes, int64_t books, int64_t frames,
           Floats& sound, const uint8_t* active = nullptr, int threads = 1) {
    sound.assign(c.batch * frames * wb_codec_samples(&codec.c), 7.0f);
    return wb_codec_step(&codec.c, &c, frames, codes.data(), books, active, threads, scratch.get(),
                         sound.data());
  }
};

std::vector<int64_t> random_codes(int64_t count) {
  std::vector<int64_t> codes(count);
  for (int64_t& one : codes) one = int64_t(randomness() % unsigned(kEntries));
  return codes;
}

// The frames [begin, begin + count) of codes [books][frames].
std::vector<int64_t> cut(const std::vector<int64_t>& codes, int64_t books, int64_t begin,
                         int64_t count) {
  const int64_t frames = int64_t(codes.size()) / books;
  std::vector<int64_t> part;
  for (int64_t book = 0; book < books; ++book) {
    const auto from = codes.begin() + book * frames + begin;
    part.insert(part.end(), from, from + count);
  }
  return part;
}

const Shape kShapes[] = {
    {4, 1, 6, 10, 2, 2, 4, 12, 2, 5, 3, {3, 2}, {1}, true, true, false, false},
    {3, 2, 16, 16, 4, 2, 6, 40, 1, 3, 4, {4, 3, 2}, {1, 2}, false, false, true, true},
    {5, 1, 8, 32, 2, 1, 16, 70, 2, 9, 8, {5}, {}, true, true, false, false},
};

void test_chunks(const Codec& codec) {
  const Shape& s = codec.shape;
  const int64_t frames = 23, samples = wb_codec_samples(&codec.c);
  for (int64_t books : {s.books, int64_t(1)}) {
    const auto codes = random_codes(books * frames);
    const auto expected = codec.decoded(codes, books);
    CHECK(int64_t(expected.size()) == frames * samples, "%ld samples a frame", long(samples));
    Floats whole;
    for (int64_t chunk : {int64_t(1), int64_t(2), int64_t(7), frames}) {
      Streams streams(codec, 1, chunk, chunk == 2 ? 20 : 0);
      Floats heard, sound;
      for (int64_t begin = 0; begin < frames; begin += chunk) {
        const int64_t count = std::min(chunk, frames - begin);
        CHECK(streams.step(codec, cut(codes, books, begin, count), books, count, sound, nullptr,
                           1 + int(begin % 3)) == WB_OK,
              "status");
        heard.insert(heard.end(), sound.begin(), sound.end());
      }
      double error = 0;
      for (size_t i = 0; i < heard.size(); ++i) {
        error = std::max(error, std::fabs(heard[i] - expected[i]));
      }
      CHECK(error < 2e-5, "%s: hidden %ld, chunks of %ld: off by %g", wb_isa(), long(s.hidden),
            long(chunk), error);
      if (whole.empty()) whole = heard;
      CHECK(std::memcmp(whole.data(), heard.data(), heard.size() * sizeof(float)) == 0,
            "chunks of %ld have other bits", long(chunk));
    }
  }
}

// Streams that come and go have the bits that they have alone, beside one of NaN.
void test_neighbours(const Codec& codec) {
  const int64_t books = codec.shape.books, frames = 12, batch = 5;
  const int64_t samples = wb_codec_samples(&codec.c);
  Streams together(codec, batch, 1);
  std::fill_n(together.state.begin(), together.state.size() / batch, NAN);
  std::vector<Floats> heard(batch);
  std::vector<std::vector<int64_t>> codes;
  for (int64_t i = 0; i < batch; ++i) codes.push_back(random_codes(books * frames));
  std::vector<int64_t> at(batch);
  while (*std::min_element(at.begin() + 1, at.end()) < frames) {
    uint8_t active[batch];
    std::vector<int64_t> now;
    for (int64_t i = 0; i < batch; ++i) {
      active[i] = at[i] < frames && randomness() % 3 != 0;
      const std::vector<int64_t> none(books, -5);
      const auto mine = active[i] ? cut(codes[i], books, at[i], 1) : none;
      now.insert(now.end(), mine.begin(), mine.end());
    }
    Floats sound;
    CHECK(together.step(codec, now, books, 1, sound, active) == WB_OK, "status");
    for (int64_t i = 0; i < batch; ++i) {
      const auto mine = sound.begin() + i * samples;
      if (active[i]) {
        heard[i].insert(heard[i].end(), mine, mine + samples);
        ++at[i];
      } else {
        CHECK(std::all_of(mine, mine + samples, [](float one) { return one == 0; }), "silence");
      }
    }
  }
  for (int64_t i = 1; i < batch; ++i) {
    Streams alone(codec, 1, frames);
    Floats sound;
    CHECK(alone.step(codec, codes[i], books, frames, sound) == WB_OK, "status");
    CHECK(std::memcmp(sound.data(), heard[i].data(), sound.size() * sizeof(float)) == 0,
          "%s: stream %ld", wb_isa(), long(i));
  }
}

void test_refusals(const Codec& codec) {
  const int64_t books = codec.shape.books;
  Streams streams(codec, 2, 1);
  const Floats before = streams.state;
  Floats sound;
  auto codes = random_codes(2 * books);
  for (int64_t wrong : {int64_t(-1), kEntries}) {
    codes[books] = wrong;
    CHECK(streams.step(codec, codes, books, 1, sound) == WB_BAD_ARGUMENT, "code %ld", long(wrong));
  }
  CHECK(streams.state == before && streams.positions[0] == 0, "nothing changed");
  CHECK(streams.step(codec, random_codes(4 * books + 2), books + 1, 1, sound) == WB_BAD_ARGUMENT,
        "books");
  CHECK(streams.step(codec, random_codes(20 * books), books, 10, sound) == WB_BAD_ARGUMENT,
        "a step that the caches can't hold");
  wb_codec wrong = codec.c;
  wrong.groups = 3;
  CHECK(wb_codec_state(&wrong) == -1 && wb_codec_bytes(&wrong, 1, 1) == -1, "heads by groups");
  wrong = codec.c;
  wrong.last.inputs += 1;
  CHECK(wb_codec_samples(&wrong) == -1, "channels");
}

}  // namespace

void test_codec() {
  for (const Shape& shape : kShapes) {
    const Codec codec(shape);
    test_chunks(codec);
    test_neighbours(codec);
    test_refusals(codec);
  }
  // Products that threads share, by rows and by panels.
  const Codec wide({2, 1, 16, 256, 2, 2, 32, 2048, 1, 20, 32, {8}, {1}, true, true, false, false});
  for (int64_t frames : {12, 40}) {
    const auto codes = random_codes(2 * frames);
    Floats one, three;
    Streams alone(wide, 1, frames), shared(wide, 1, frames);
    CHECK(alone.step(wide, codes, 2, frames, one) == WB_OK, "status");
    CHECK(shared.step(wide, codes, 2, frames, three, nullptr, 3) == WB_OK, "status");
    CHECK(one == three, "%s: three threads", wb_isa());
  }
}
