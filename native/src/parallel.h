// A range shared among threads.
#pragma once

#include <algorithm>
#include <cstdint>
#include <system_error>
#include <thread>
#include <vector>

namespace wb {

// Calls work(begin, end) on consecutive pieces of [0, count), each a multiple of `grain` but for
// the last, on at most `threads` threads, this one among them. Threads live as long as the call:
// starting one takes some 20 us, which a piece worth sharing exceeds by far, and nothing is left
// behind for a fork to break. Where no thread can be started, this one does the work.
template <typename Work>
void shared(int64_t count, int64_t grain, int threads, const Work& work) {
  const int64_t grains = (count + grain - 1) / grain;
  const int64_t pieces = std::max<int64_t>(1, std::min<int64_t>(threads, grains));
  const auto bound = [&](int64_t piece) {
    return std::min(count, grains * piece / pieces * grain);
  };
  std::vector<std::thread> others;
  others.reserve(pieces - 1);
  int64_t piece = 1;
  try {
    for (; piece < pieces; ++piece) others.emplace_back(work, bound(piece), bound(piece + 1));
  } catch (const std::system_error&) {
  }
  work(int64_t{0}, bound(1));
  if (piece < pieces) work(bound(piece), count);
  for (std::thread& other : others) other.join();
}

}  // namespace wb
