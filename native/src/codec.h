// A codec's decoder: what a step needs to know of it.
#pragma once

#include <cstdint>

#include "codec_kernels.h"
#include "layers.h"
#include "workbench_native.h"

namespace wb {

const CodecKernels& codec_kernels();

inline int64_t panels(const wb_filter& filter) { return (filter.outputs + kPanel - 1) / kPanel; }
// Rows before a chunk's first one that it reads.
inline int64_t context(const wb_filter& filter) { return (filter.taps - 1) * filter.dilation; }

// The largest of what a step's layers need for each stream, in numbers; `state` is their sum.
struct CodecSizes {
  int64_t raw = 0;      // a layer's outputs
  int64_t padded = 0;   // a layer's inputs behind their context
  int64_t narrow = 0;   // inside residual blocks
  int64_t inner = 0;    // inside the transformer's products
  int64_t state = 0;    // all contexts
  int64_t samples = 0;  // of sound
  int64_t work = 0;     // multiply-adds of a product
};

bool sensible(const wb_codec& codec);
CodecSizes codec_sizes(const wb_codec& codec, int64_t frames);
int64_t codec_bytes(const wb_codec& codec, int64_t batch, int64_t frames);

// `active` are `count` indices of streams; the sound of the others is left alone.
void codec_step(Team& team, const wb_codec& codec, const wb_codec_streams& streams, int64_t frames,
                const int64_t* codes, int64_t books, const int64_t* active, int64_t count,
                void* scratch, float* sound);

}  // namespace wb
