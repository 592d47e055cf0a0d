// A codec's decoder: one step of its streams, layer by layer.
#include "codec_step.h"

#include <algorithm>
#include <cstring>

namespace wb {
namespace {

constexpr int64_t kFewRows = 64;          // below, threads share a product's outputs, not its rows
constexpr int64_t kRowGrain = 8;          // rows that are computed side by side
constexpr int64_t kPanelGrain = 4;        // and panels, where rows are few
constexpr int64_t kShared = int64_t(1) << 21;  // multiply-adds that are worth handing over

}  // namespace

CodecBuffers codec_buffers(const wb_codec& codec, int64_t batch, int64_t frames, Arena& arena) {
  const CodecSizes sizes = codec_sizes(codec, frames);
  const int64_t rows = batch * frames * codec.upsample.repeat;
  CodecBuffers made{};
  made.raw = arena.take<float>(batch * sizes.raw);
  made.padded = arena.take<float>(batch * sizes.padded);
  made.narrow = arena.take<float>(batch * sizes.narrow);
  made.vectors = arena.take<float>(batch * frames * codec.dim);
  made.projected = arena.take<float>(rows * (codec.heads + 2 * codec.groups) * codec.head_dim);
  made.inner = arena.take<float>(batch * sizes.inner);
  made.scores = arena.take<float>(codec.heads / codec.groups * codec.window);
  made.cos = arena.take<float>(rows * codec.head_dim);
  made.sin = arena.take<float>(rows * codec.head_dim);
  return made;
}

void CodecStep::run(const int64_t* codes, int64_t books, float* sound) {
  embed(codes, books);
  int64_t length = upsample(frames_);
  transform(length);
  convolve(codec_.first, length, false);
  for (int64_t i = 0; i < codec_.stage_count; ++i) {
    const wb_upsampling& stage = codec_.stages[i];
    convolve(stage.up, length, true);
    length *= stage.up.repeat;
    for (int64_t j = 0; j < stage.count; ++j) add_residual(stage.residuals[j], length);
  }
  convolve(codec_.last, length, true);
  for (int64_t n = 0; n < count_; ++n) {
    std::memcpy(sound + active_[n] * length, b_.raw + n * length, size_t(length) * sizeof(float));
    streams_.positions[active_[n]] += frames_ * codec_.upsample.repeat;
  }
}

void CodecStep::apply(const wb_filter& filter, const float* x, int64_t x_stream, int64_t length,
                      float* y, bool add) {
  Filtering f{};
  f.x = x;
  f.y = y;
  f.weight = filter.weight;
  f.bias = filter.bias;
  f.x_stream = x_stream;
  f.x_row = filter.inputs;
  f.y_stream = length * filter.outputs;
  f.y_row = filter.outputs;
  f.length = length;
  f.inputs = filter.inputs;
  f.outputs = filter.outputs;
  f.taps = filter.taps;
  f.tap = filter.dilation * filter.inputs;
  f.add = add;
  if (filter.dilation == 1) {  // the taps' rows lie one behind the other
    f.inputs *= f.taps;
    f.taps = 1;
  }
  const int64_t rows = count_ * length, all = panels(filter);
  const auto kernel = codec_kernels().filter;
  if (rows * f.taps * f.inputs * f.outputs < kShared) {
    kernel(f, 0, rows, 0, all);
  } else if (rows >= kFewRows) {
    team_.run(rows, kRowGrain,
              [&](int64_t begin, int64_t end) { kernel(f, begin, end, 0, all); });
  } else {
    team_.run(all, kPanelGrain,
              [&](int64_t first, int64_t last) { kernel(f, 0, rows, first, last); });
  }
}

void CodecStep::pad(const wb_filter& filter, int64_t length, bool elu) {
  const int64_t before = context(filter) * filter.inputs, size = length * filter.inputs;
  for (int64_t n = 0; n < count_; ++n) {
    const float* x = b_.raw + n * size;
    float* to = b_.padded + n * (before + size);
    float* state = streams_.state + active_[n] * state_ + kept_;
    if (elu) {
      codec_kernels().elu(x, size, to + before);
    } else {
      std::memcpy(to + before, x, size_t(size) * sizeof(float));
    }
    if (filter.replicate && streams_.positions[active_[n]] == 0) {
      for (int64_t i = 0; i < before; ++i) to[i] = to[before + i % filter.inputs];
    } else {
      std::memcpy(to, state, size_t(before) * sizeof(float));
    }
    std::memcpy(state, to + size, size_t(before) * sizeof(float));
  }
  kept_ += before;
}

void CodecStep::convolve(const wb_filter& filter, int64_t length, bool elu) {
  pad(filter, length, elu);
  apply(filter, b_.padded, (context(filter) + length) * filter.inputs, length, b_.raw);
}

void CodecStep::add_residual(const wb_residual& block, int64_t length) {
  pad(block.narrow, length, true);
  apply(block.narrow, b_.padded, (context(block.narrow) + length) * block.narrow.inputs, length,
        b_.narrow);
  codec_kernels().elu(b_.narrow, count_ * length * block.narrow.outputs, b_.narrow);
  if (block.shortcut.weight) {
    const int64_t size = count_ * length * block.shortcut.inputs;
    std::memcpy(b_.padded, b_.raw, size_t(size) * sizeof(float));
    apply(block.shortcut, b_.padded, length, b_.raw);
  }
  apply(block.widen, b_.narrow, length, b_.raw, true);
}

void CodecStep::embed(const int64_t* codes, int64_t books) {
  const int64_t size = count_ * frames_ * codec_.dim;
  const int64_t semantic = std::min(codec_.semantic, books);
  std::memset(b_.raw, 0, size_t(count_ * frames_ * codec_.hidden) * sizeof(float));
  for (const bool acoustic : {false, true}) {
    const int64_t begin = acoustic ? semantic : 0, end = acoustic ? books : semantic;
    if (begin == end) continue;
    std::memset(b_.vectors, 0, size_t(size) * sizeof(float));
    for (int64_t n = 0; n < count_; ++n) {
      const int64_t* mine = codes + active_[n] * books * frames_;
      for (int64_t book = begin; book < end; ++book) {
        for (int64_t t = 0; t < frames_; ++t) {
          const int64_t entry = book * codec_.entries + mine[book * frames_ + t];
          const float* from = codec_.table + entry * codec_.dim;
          float* to = b_.vectors + (n * frames_ + t) * codec_.dim;
          for (int64_t i = 0; i < codec_.dim; ++i) to[i] += from[i];
        }
      }
    }
    const wb_filter& out = acoustic ? codec_.acoustic_out : codec_.semantic_out;
    if (out.weight) {
      apply(out, b_.vectors, frames_, b_.raw, true);
    } else {
      for (int64_t i = 0; i < size; ++i) b_.raw[i] += b_.vectors[i];
    }
  }
}

int64_t CodecStep::upsample(int64_t length) {
  const wb_filter& filter = codec_.upsample;
  if (!filter.depthwise) {
    convolve(filter, length, false);
    return length * filter.repeat;
  }
  const int64_t channels = filter.inputs, before = context(filter);
  pad(filter, length, false);
  float* y = b_.raw;
  for (int64_t row = 0; row < count_ * length; ++row) {
    const float* x = b_.padded + (row / length * (before + length) + row % length) * channels;
    for (int64_t j = 0; j < filter.repeat; ++j, y += channels) {
      std::memset(y, 0, size_t(channels) * sizeof(float));
      for (int64_t k = 0; k < filter.taps; ++k) {
        const float* weight = filter.weight + (k * filter.repeat + j) * channels;
        const float* tap = x + k * filter.dilation * channels;
        for (int64_t i = 0; i < channels; ++i) y[i] += weight[i] * tap[i];
      }
    }
  }
  return length * filter.repeat;
}

int64_t codec_bytes(const wb_codec& codec, int64_t batch, int64_t frames) {
  Arena arena(nullptr);
  codec_buffers(codec, batch, frames, arena);
  return arena.used();
}

void codec_step(Team& team, const wb_codec& codec, const wb_codec_streams& streams, int64_t frames,
                const int64_t* codes, int64_t books, const int64_t* active, int64_t count,
                void* scratch, float* sound) {
  CodecStep(team, codec, streams, frames, active, count, scratch).run(codes, books, sound);
}

}  // namespace wb
