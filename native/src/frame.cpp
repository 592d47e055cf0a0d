// A frame of a model of codes: the backbone's step, and the depth decoder's whole loop.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <new>

#include "layers.h"

namespace wb {
namespace {

struct Buffers {
  float *projected, *x, *logits, *scores, *sorted;
  int64_t* positions;
  Workspace workspace;
  void* stack;
};

Buffers buffers(const wb_frame& frame, Arena& arena) {
  const int64_t batch = frame.depth.batch;
  int64_t prepared = std::max(prepared_bytes(frame.head, batch),
                              prepared_bytes(frame.projector, batch));
  for (int64_t book = 1; book < frame.codebooks; ++book) {
    prepared = std::max(prepared, prepared_bytes(frame.depth_heads[book - 1], batch));
  }
  Buffers made{};
  made.projected = arena.take<float>(batch * frame.depth.hidden);
  made.x = arena.take<float>(2 * batch * frame.depth.hidden);
  made.logits = arena.take<float>(batch * frame.codes);
  made.scores = arena.take<float>(frame.codes);
  made.sorted = arena.take<float>(frame.codes);
  made.positions = arena.take<int64_t>(2 * batch);
  made.workspace.prepared = arena.take<unsigned char>(prepared);
  made.stack = arena.take<unsigned char>(
      std::max(stack_bytes(frame.backbone, 1), stack_bytes(frame.depth, 2)));
  return made;
}

bool whole(const wb_frame& frame) {
  if (!sensible(frame.backbone) || !sensible(frame.depth)) return false;
  if (frame.codebooks < 2 || frame.codes < 1 || frame.vocabulary < frame.codes) return false;
  if (frame.backbone.batch != frame.depth.batch || frame.depth.slots < frame.codebooks) {
    return false;
  }
  if (!frame.audio_table || !frame.depth_table || !frame.depth_heads) return false;
  for (int32_t type : {frame.audio_type, frame.depth_type}) {
    if (type != WB_FLOAT32 && type != WB_BFLOAT16) return false;
  }
  for (int64_t book = 1; book < frame.codebooks; ++book) {
    if (!sensible(frame.depth_heads[book - 1], frame.codes, frame.depth.hidden)) return false;
  }
  return sensible(frame.head, frame.codes, frame.backbone.hidden) &&
         sensible(frame.projector, frame.depth.hidden, frame.backbone.hidden);
}

// y += the row of `table` that a codebook's code names.
void embed(const void* table, int32_t type, int64_t row, int64_t size, float* y) {
  if (type == WB_BFLOAT16) {
    const uint16_t* from = static_cast<const uint16_t*>(table) + row * size;
    for (int64_t i = 0; i < size; ++i) y[i] += widened(from[i]);
  } else {
    const float* from = static_cast<const float*>(table) + row * size;
    for (int64_t i = 0; i < size; ++i) y[i] += from[i];
  }
}

// The code with the largest score plus noise (Gumbel-max: Kool et al. 2019, arXiv 1903.06059)
// among the top_k scores; the lowest index of equals. -1 where a logit isn't finite.
int64_t choose(const float* logits, const float* noise, int64_t count, float temperature,
               int64_t top_k, const Buffers& b) {
  bool finite = true;
  for (int64_t i = 0; i < count; ++i) {
    finite &= std::fabs(logits[i]) <= std::numeric_limits<float>::max();
  }
  if (!finite) return -1;
  if (temperature == 0) return std::max_element(logits, logits + count) - logits;
  for (int64_t i = 0; i < count; ++i) b.scores[i] = logits[i] / temperature;
  float least = -std::numeric_limits<float>::infinity();
  if (top_k > 0 && top_k < count) {
    std::copy_n(b.scores, count, b.sorted);
    std::nth_element(b.sorted, b.sorted + top_k - 1, b.sorted + count, std::greater<float>());
    least = b.sorted[top_k - 1];
  }
  int64_t best = -1;
  float most = 0;
  for (int64_t i = 0; i < count; ++i) {
    const float score = b.scores[i] + noise[i];
    if (b.scores[i] >= least && (best < 0 || score > most)) {
      best = i;
      most = score;
    }
  }
  return best;
}

int read(const wb_frame& frame, const int64_t* codes, const int64_t* positions, int threads,
         void* scratch, float* hidden) {
  const wb_stack& stack = frame.backbone;
  if (!within(stack, positions, stack.batch)) return WB_BAD_ARGUMENT;
  for (int64_t i = 0; i < stack.batch * frame.codebooks; ++i) {
    if (codes[i] < 0 || codes[i] >= frame.vocabulary) return WB_BAD_ARGUMENT;
  }
  std::memset(hidden, 0, size_t(stack.batch * stack.hidden) * sizeof(float));
  for (int64_t row = 0; row < stack.batch; ++row) {
    for (int64_t book = 0; book < frame.codebooks; ++book) {
      const int64_t entry = book * frame.vocabulary + codes[row * frame.codebooks + book];
      embed(frame.audio_table, frame.audio_type, entry, stack.hidden, hidden + row * stack.hidden);
    }
  }
  Team team(useful_threads(stack, threads));
  Arena arena(scratch);
  stack_step(team, stack, 1, positions, buffers(frame, arena).stack, hidden);
  return WB_OK;
}

int write(const wb_frame& frame, const float* hidden, const wb_sampling& sampling,
          const float* noise, int threads, void* scratch, int64_t* codes) {
  const wb_stack& stack = frame.depth;
  const int64_t batch = stack.batch, size = stack.hidden;
  Arena arena(scratch);
  const Buffers b = buffers(frame, arena);
  Team team(useful_threads(stack, threads));
  const auto code_of = [&](int64_t row, int64_t book) -> int64_t& {
    return codes[row * frame.codebooks + book];
  };
  const auto choose_all = [&](int64_t book) {
    const float temperature = book ? sampling.depth_temperature : sampling.temperature;
    const int64_t top_k = book ? sampling.depth_top_k : sampling.top_k;
    for (int64_t row = 0; row < batch; ++row) {
      const float* draws = noise ? noise + (book * batch + row) * frame.codes : nullptr;
      const int64_t code =
          choose(b.logits + row * frame.codes, draws, frame.codes, temperature, top_k, b);
      if (code < 0) return false;
      code_of(row, book) = code;
    }
    return true;
  };
  multiply(team, b.workspace, frame.head, hidden, batch, b.logits);
  if (!choose_all(0)) return WB_NOT_FINITE;
  multiply(team, b.workspace, frame.projector, hidden, batch, b.projected);
  for (int64_t book = 1; book < frame.codebooks; ++book) {
    // The first step has two positions: the hidden state's and code 0's.
    const int64_t tokens = book == 1 ? 2 : 1;
    for (int64_t row = 0; row < batch; ++row) {
      float* x = b.x + row * tokens * size;
      int64_t* positions = b.positions + row * tokens;
      if (book == 1) {
        std::copy_n(b.projected + row * size, size, x);
        *positions++ = 0;
        x += size;
      }
      *positions = book;
      std::fill_n(x, size, 0.0f);
      embed(frame.depth_table, frame.depth_type,
            (book - 1) * frame.vocabulary + code_of(row, book - 1), size, x);
    }
    stack_step(team, stack, tokens, b.positions, b.stack, b.x);
    if (book == 1) {
      for (int64_t row = 0; row < batch; ++row) {
        std::memmove(b.x + row * size, b.x + (2 * row + 1) * size, size_t(size) * sizeof(float));
      }
    }
    multiply(team, b.workspace, frame.depth_heads[book - 1], b.x, batch, b.logits);
    if (!choose_all(book)) return WB_NOT_FINITE;
  }
  return WB_OK;
}

bool usable(const wb_sampling& sampling, const float* noise) {
  for (float temperature : {sampling.temperature, sampling.depth_temperature}) {
    if (!(temperature >= 0) || (temperature > 0 && !noise)) return false;
  }
  return sampling.top_k >= 0 && sampling.depth_top_k >= 0;
}

}  // namespace
}  // namespace wb

int64_t wb_frame_bytes(const wb_frame* frame) {
  if (!frame || !wb::whole(*frame)) return -1;
  wb::Arena arena(nullptr);
  wb::buffers(*frame, arena);
  return arena.used();
}

int wb_frame_read(const wb_frame* frame, const int64_t* codes, const int64_t* positions,
                  int threads, void* scratch, float* hidden) {
  if (!frame || !codes || !positions || threads < 1 || !scratch || !hidden ||
      !wb::whole(*frame)) {
    return WB_BAD_ARGUMENT;
  }
  try {
    return wb::read(*frame, codes, positions, threads, scratch, hidden);
  } catch (const std::bad_alloc&) {
    return WB_NO_MEMORY;
  }
}

int wb_frame_write(const wb_frame* frame, const float* hidden, const wb_sampling* sampling,
                   const float* noise, int threads, void* scratch, int64_t* codes) {
  if (!frame || !hidden || !sampling || threads < 1 || !scratch || !codes ||
      !wb::whole(*frame) || !wb::usable(*sampling, noise)) {
    return WB_BAD_ARGUMENT;
  }
  try {
    return wb::write(*frame, hidden, *sampling, noise, threads, scratch, codes);
  } catch (const std::bad_alloc&) {
    return WB_NO_MEMORY;
  }
}
