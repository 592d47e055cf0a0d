// A codec's decoder: its sizes, whether it makes sense, and its plain C interface.
#include "codec.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "isa.h"

namespace wb {
namespace {

// A thread takes some 100 us for so many, far more than starting it.
constexpr int64_t kWorkPerThread = int64_t(1) << 22;

bool sensible(const wb_filter& filter, int64_t inputs, int64_t outputs) {
  return filter.weight && filter.inputs == inputs && filter.outputs == outputs &&
         filter.taps >= 1 && filter.dilation >= 1 && filter.repeat >= 1 &&
         outputs % filter.repeat == 0 &&
         (!filter.depthwise || (filter.outputs == inputs * filter.repeat && !filter.bias));
}

bool linear(const wb_filter& filter, int64_t inputs, int64_t outputs) {
  return sensible(filter, inputs, outputs) && filter.taps == 1 && filter.repeat == 1 &&
         !filter.depthwise;
}

int64_t projected_width(const wb_codec& codec) {
  return (codec.heads + 2 * codec.groups) * codec.head_dim;
}

bool quantizer_sensible(const wb_codec& codec) {
  for (const wb_filter* one : {&codec.semantic_out, &codec.acoustic_out}) {
    if (one->weight ? !linear(*one, codec.dim, codec.hidden) : codec.dim != codec.hidden) {
      return false;
    }
  }
  return codec.table && codec.entries >= 1 && codec.dim >= 1 && codec.semantic >= 0 &&
         codec.semantic <= codec.books;
}

bool transformer_sensible(const wb_codec& codec) {
  for (int64_t size : {codec.hidden, codec.heads, codec.groups, codec.head_dim, codec.window}) {
    if (size < 1) return false;
  }
  if (codec.heads % codec.groups || codec.head_dim % 2 || !codec.frequencies) return false;
  for (int64_t i = 0; i < codec.count; ++i) {
    const wb_codec_layer& layer = codec.layers[i];
    if (!layer.attention_norm || !layer.attention_shift || !layer.mlp_norm || !layer.mlp_shift ||
        !linear(layer.query_key_value, codec.hidden, projected_width(codec)) ||
        !linear(layer.out, codec.heads * codec.head_dim, codec.hidden) ||
        !linear(layer.up, codec.hidden, layer.up.outputs) ||
        !linear(layer.down, layer.up.outputs, codec.hidden)) {
      return false;
    }
  }
  return true;
}

bool seanet_sensible(const wb_codec& codec) {
  if (!sensible(codec.first, codec.hidden, codec.first.outputs)) return false;
  if (codec.first.repeat != 1 || codec.first.depthwise) return false;
  int64_t channels = codec.first.outputs;
  for (int64_t i = 0; i < codec.stage_count; ++i) {
    const wb_upsampling& stage = codec.stages[i];
    if (!sensible(stage.up, channels, stage.up.outputs) || stage.up.depthwise) return false;
    if (stage.count < 0 || (stage.count && !stage.residuals)) return false;
    channels = stage.up.outputs / stage.up.repeat;
    for (int64_t j = 0; j < stage.count; ++j) {
      const wb_residual& block = stage.residuals[j];
      if (!sensible(block.narrow, channels, block.narrow.outputs) || block.narrow.repeat != 1 ||
          block.narrow.depthwise || !linear(block.widen, block.narrow.outputs, channels) ||
          (block.shortcut.weight && !linear(block.shortcut, channels, channels))) {
        return false;
      }
    }
  }
  return sensible(codec.last, channels, 1) && !codec.last.depthwise;
}

// A filter over `length` rows of a stream.
void measure(CodecSizes& sizes, const wb_filter& filter, int64_t length) {
  sizes.padded = std::max(sizes.padded, (context(filter) + length) * filter.inputs);
  sizes.raw = std::max(sizes.raw, length * filter.outputs);
  sizes.state += context(filter) * filter.inputs;
  if (!filter.depthwise) {
    sizes.work = std::max(sizes.work, length * filter.taps * filter.inputs * filter.outputs);
  }
}

bool known(const wb_codec& codec, const int64_t* codes, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    if (codes[i] < 0 || codes[i] >= codec.entries) return false;
  }
  return true;
}

int step(const wb_codec& codec, const wb_codec_streams& streams, int64_t frames,
         const int64_t* codes, int64_t books, const uint8_t* active, int threads, void* scratch,
         float* sound) {
  const CodecSizes sizes = codec_sizes(codec, frames);
  if (streams.slots < codec.window - 1 + frames * codec.upsample.repeat) return WB_BAD_ARGUMENT;
  Arena arena(scratch);
  int64_t* chosen = arena.take<int64_t>(streams.batch);
  int64_t count = 0;
  for (int64_t i = 0; i < streams.batch; ++i) {
    if (active && !active[i]) continue;
    if (!known(codec, codes + i * books * frames, books * frames)) return WB_BAD_ARGUMENT;
    if (streams.positions[i] < 0 || streams.used[i] < 0 || streams.used[i] > streams.slots) {
      return WB_BAD_ARGUMENT;
    }
    chosen[count++] = i;
  }
  for (int64_t i = 0; active && i < streams.batch; ++i) {
    if (active[i]) continue;
    std::memset(sound + i * sizes.samples, 0, size_t(sizes.samples) * sizeof(float));
  }
  if (count == 0) return WB_OK;
  const int64_t useful = std::max<int64_t>(1, count * sizes.work / kWorkPerThread);
  Team team(int(std::min<int64_t>(threads, useful)));
  codec_step(team, codec, streams, frames, codes, books, chosen, count,
             static_cast<unsigned char*>(scratch) + arena.used(), sound);
  return WB_OK;
}

}  // namespace

const CodecKernels& codec_kernels() {
#ifdef WB_X86
  if (isa() >= Isa::avx512_vnni) return codec_avx512;
  if (isa() == Isa::avx2) return codec_avx2;
#endif
  return codec_portable;
}

bool sensible(const wb_codec& codec) {
  if (codec.count < 0 || (codec.count && !codec.layers)) return false;
  if (codec.stage_count < 0 || (codec.stage_count && !codec.stages)) return false;
  return quantizer_sensible(codec) && transformer_sensible(codec) &&
         sensible(codec.upsample, codec.hidden, codec.hidden * codec.upsample.repeat) &&
         seanet_sensible(codec);
}

CodecSizes codec_sizes(const wb_codec& codec, int64_t frames) {
  CodecSizes sizes;
  int64_t length = frames;
  measure(sizes, codec.upsample, length);
  length *= codec.upsample.repeat;
  sizes.inner = length * codec.heads * codec.head_dim;
  for (int64_t i = 0; i < codec.count; ++i) {
    const wb_filter& up = codec.layers[i].up;
    sizes.inner = std::max(sizes.inner, length * up.outputs);
    sizes.work = std::max(sizes.work, length * up.outputs * up.inputs);
  }
  measure(sizes, codec.first, length);
  for (int64_t i = 0; i < codec.stage_count; ++i) {
    const wb_upsampling& stage = codec.stages[i];
    measure(sizes, stage.up, length);
    length *= stage.up.repeat;
    for (int64_t j = 0; j < stage.count; ++j) {
      measure(sizes, stage.residuals[j].narrow, length);
      sizes.narrow = std::max(sizes.narrow, length * stage.residuals[j].narrow.outputs);
    }
  }
  measure(sizes, codec.last, length);
  sizes.samples = length;
  return sizes;
}

}  // namespace wb

int64_t wb_codec_state(const wb_codec* codec) {
  if (!codec || !wb::sensible(*codec)) return -1;
  return wb::codec_sizes(*codec, 1).state;
}

int64_t wb_codec_samples(const wb_codec* codec) {
  if (!codec || !wb::sensible(*codec)) return -1;
  return wb::codec_sizes(*codec, 1).samples;
}

int64_t wb_codec_bytes(const wb_codec* codec, int64_t batch, int64_t frames) {
  if (!codec || batch < 1 || frames < 1 || !wb::sensible(*codec)) return -1;
  wb::Arena arena(nullptr);
  arena.take<int64_t>(batch);
  return arena.used() + wb::codec_bytes(*codec, batch, frames);
}

int wb_codec_step(const wb_codec* codec, const wb_codec_streams* streams, int64_t frames,
                  const int64_t* codes, int64_t books, const uint8_t* active, int threads,
                  void* scratch, float* sound) {
  if (!codec || !streams || frames < 1 || !codes || threads < 1 || !scratch || !sound ||
      !streams->state || !streams->keys || !streams->values || !streams->positions ||
      !streams->used || streams->batch < 1 || books < 1 || books > codec->books ||
      !wb::sensible(*codec)) {
    return WB_BAD_ARGUMENT;
  }
  try {
    return wb::step(*codec, *streams, frames, codes, books, active, threads, scratch, sound);
  } catch (const std::bad_alloc&) {
    return WB_NO_MEMORY;
  }
}
