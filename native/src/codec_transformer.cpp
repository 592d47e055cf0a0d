// A codec's decoder: its transformer over a sliding window.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "codec_step.h"

namespace wb {

void CodecStep::transform(int64_t length) {
  const int64_t rows = count_ * length;
  make_room(length);
  turn(length);
  for (int64_t i = 0; i < codec_.count; ++i) {
    const wb_codec_layer& layer = codec_.layers[i];
    normalize(layer.attention_norm, layer.attention_shift, rows);
    apply(layer.query_key_value, b_.padded, length, b_.projected);
    place(i, length);
    attend(i, length);
    apply(layer.out, b_.inner, length, b_.raw, true);
    normalize(layer.mlp_norm, layer.mlp_shift, rows);
    apply(layer.up, b_.padded, length, b_.inner);
    codec_kernels().gelu(b_.inner, rows * layer.up.outputs);
    apply(layer.down, b_.inner, length, b_.raw, true);
  }
  for (int64_t n = 0; n < count_; ++n) streams_.used[active_[n]] += length;
}

void CodecStep::normalize(const float* weight, const float* bias, int64_t rows) {
  const int64_t size = codec_.hidden;
  for (int64_t row = 0; row < rows; ++row) {
    codec_kernels().normalize(b_.raw + row * size, weight, bias, size, codec_.epsilon,
                              b_.padded + row * size);
  }
}

float* CodecStep::cache(float* all, int64_t layer, int64_t stream, int64_t group) const {
  const int64_t index = (layer * streams_.batch + stream) * codec_.groups + group;
  return all + index * streams_.slots * codec_.head_dim;
}

void CodecStep::make_room(int64_t length) {
  for (int64_t n = 0; n < count_; ++n) {
    int64_t& used = streams_.used[active_[n]];
    if (used + length <= streams_.slots) continue;
    const int64_t seen = std::min(used, codec_.window - 1), dim = codec_.head_dim;
    for (int64_t i = 0; i < codec_.count * codec_.groups; ++i) {
      for (float* all : {streams_.keys, streams_.values}) {
        float* one = cache(all, i / codec_.groups, active_[n], i % codec_.groups);
        std::memmove(one, one + (used - seen) * dim, size_t(seen * dim) * sizeof(float));
      }
    }
    used = seen;
  }
}

void CodecStep::turn(int64_t length) {
  const int64_t half = codec_.head_dim / 2;
  for (int64_t row = 0; row < count_ * length; ++row) {
    const float position = float(streams_.positions[active_[row / length]] + row % length);
    float* cos = b_.cos + row * codec_.head_dim;
    float* sin = b_.sin + row * codec_.head_dim;
    for (int64_t i = 0; i < half; ++i) {
      const float angle = position * codec_.frequencies[i];
      cos[i] = cos[i + half] = std::cos(angle) * codec_.rotary_scale;
      sin[i] = sin[i + half] = std::sin(angle) * codec_.rotary_scale;
    }
  }
}

void CodecStep::place(int64_t layer, int64_t length) {
  const int64_t dim = codec_.head_dim, heads = codec_.heads, groups = codec_.groups;
  float* x = b_.projected;
  for (int64_t row = 0; row < count_ * length; ++row, x += (heads + 2 * groups) * dim) {
    const float* cos = b_.cos + row * dim;
    const float* sin = b_.sin + row * dim;
    const int64_t stream = active_[row / length];
    const int64_t at = (streams_.used[stream] + row % length) * dim;
    for (int64_t h = 0; h < heads; ++h) {
      rotate(x + h * dim, cos, sin, dim, 1.0f / std::sqrt(float(dim)));
    }
    for (int64_t g = 0; g < groups; ++g) {
      float* key = x + (heads + g) * dim;
      rotate(key, cos, sin, dim, 1.0f);
      const size_t bytes = size_t(dim) * sizeof(float);
      std::memcpy(cache(streams_.keys, layer, stream, g) + at, key, bytes);
      std::memcpy(cache(streams_.values, layer, stream, g) + at, key + groups * dim, bytes);
    }
  }
}

void CodecStep::attend(int64_t layer, int64_t length) {
  const int64_t dim = codec_.head_dim, groups = codec_.groups, shared_by = codec_.heads / groups;
  for (int64_t row = 0; row < count_ * length; ++row) {
    const int64_t stream = active_[row / length];
    const int64_t end = streams_.used[stream] + row % length + 1;
    const int64_t seen = std::min(end, codec_.window), begin = end - seen;
    const float* queries = b_.projected + row * (codec_.heads + 2 * groups) * dim;
    for (int64_t g = 0; g < groups; ++g) {
      kernels().attend({queries + g * shared_by * dim,
                        cache(streams_.keys, layer, stream, g) + begin * dim,
                        cache(streams_.values, layer, stream, g) + begin * dim, b_.scores,
                        b_.inner + (row * codec_.heads + g * shared_by) * dim, shared_by, seen,
                        dim, false});
    }
  }
}

}  // namespace wb
