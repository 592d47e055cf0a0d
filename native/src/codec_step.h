// A codec's decoder: one step of its streams, with time in rows.
#pragma once

#include "codec.h"

namespace wb {

struct CodecBuffers {
  float *raw, *padded, *narrow, *vectors, *projected, *inner, *scores, *cos, *sin;
};

CodecBuffers codec_buffers(const wb_codec& codec, int64_t batch, int64_t frames, Arena& arena);

// What a step carries with it; it runs once.
class CodecStep {
 public:
  CodecStep(Team& team, const wb_codec& codec, const wb_codec_streams& streams, int64_t frames,
            const int64_t* active, int64_t count, void* scratch)
      : team_(team), codec_(codec), streams_(streams), frames_(frames), active_(active),
        count_(count), state_(codec_sizes(codec, 1).state) {
    Arena arena(scratch);
    b_ = codec_buffers(codec, count, frames, arena);
  }

  void run(const int64_t* codes, int64_t books, float* sound);

 private:
  // y = filter(x) of `length` rows of each stream, which lie x_stream apart; the context is before.
  void apply(const wb_filter& filter, const float* x, int64_t x_stream, int64_t length, float* y,
             bool add = false);

  void apply(const wb_filter& linear, const float* x, int64_t length, float* y, bool add = false) {
    apply(linear, x, length * linear.inputs, length, y, add);
  }

  // `raw`, through ELU if asked, behind what each stream's last step left, into `padded`; what the
  // next step needs of it is kept.
  void pad(const wb_filter& filter, int64_t length, bool elu);

  // raw = filter(raw).
  void convolve(const wb_filter& filter, int64_t length, bool elu);
  void add_residual(const wb_residual& block, int64_t length);

  // raw = latents [count][frames][hidden] of codes [batch][books][frames].
  void embed(const int64_t* codes, int64_t books);

  // raw [count][length][hidden] to the transformer's rate; returns its rows.
  int64_t upsample(int64_t length);

  // raw [count][length][hidden], in place.
  void transform(int64_t length);
  void normalize(const float* weight, const float* bias, int64_t rows);

  // Keys or values of a layer, a stream and a group: [slots][head_dim].
  float* cache(float* all, int64_t layer, int64_t stream, int64_t group) const;

  // Caches grow to their end; then what later rows still see moves to the front. So a window's
  // keys always lie in a row, oldest first.
  void make_room(int64_t length);

  // The rows' rotations, by the float32 products that transformers takes the cosines of.
  void turn(int64_t length);

  // Queries are rotated and scaled in place, keys and values go into the caches.
  void place(int64_t layer, int64_t length);

  // inner = what each row sees: itself and the window - 1 positions before it.
  void attend(int64_t layer, int64_t length);

  Team& team_;
  const wb_codec& codec_;
  const wb_codec_streams& streams_;
  int64_t frames_;
  const int64_t* active_;
  int64_t count_;
  int64_t state_;     // numbers a stream
  int64_t kept_ = 0;  // of them, those of the layers so far
  CodecBuffers b_{};
};

}  // namespace wb
