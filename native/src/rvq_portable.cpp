// RVQ encode in plain C++: for processors without AVX2, and as the other encoders' counterpart.
#include "rvq_plain.inc"

namespace wb {
namespace {

inline void screen_frames(const Book& book, const int8_t* p, const Residual* residuals, int64_t count,
                          float* lower, float* upper) {
  for (int64_t f = 0; f < count; ++f) {
    const Residual& r = residuals[f];
    const int8_t* q = p + f * book.padded_dim;
    float least = INFINITY;
    for (int64_t block = 0; block < book.padded; block += kBlock) {
      int32_t dots[kBlock] = {0};
      const uint8_t* codes = book.codes(block);
      const Bounds& bounds = book.bounds(block);
      for (int64_t i = 0; i < book.padded_dim; i += 4) {
        for (int64_t e = 0; e < kBlock; ++e) {
          for (int64_t j = 0; j < 4; ++j) {
            dots[e] += (int32_t(codes[(i * kBlock) + e * 4 + j]) - 128) * int32_t(q[i + j]);
          }
        }
      }
      for (int64_t e = 0; e < kBlock; ++e) {
        const float score = bounds.half_norm[e] - bounds.scale[e] * (r.step * float(dots[e]));
        const float bound = r.norm * bounds.error[e] + r.error * bounds.norm[e] +
                            (kRounding * bounds.half_norm[e] + kNegligible);
        lower[f * book.stride + block + e] = score - bound;
        least = score + bound < least ? score + bound : least;
      }
    }
    upper[f] = least;
  }
}

inline int64_t collect(const float* lower, int64_t padded, float bound, int32_t* candidates) {
  int64_t count = 0;
  for (int64_t v = 0; v < padded; ++v) {
    if (!(lower[v] > bound)) candidates[count++] = int32_t(v);
  }
  return count;
}

}  // namespace

void encode_tile_portable(const Layout& layout, const float* codebooks, const uint8_t* packed,
                          int64_t books, int64_t frames, Scratch* scratch, int64_t* codes) {
  encode_tile(layout, codebooks, packed, books, frames, scratch, codes);
}

}  // namespace wb
