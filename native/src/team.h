// Threads for the many short products of one call.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <system_error>
#include <thread>
#include <vector>

#ifdef WB_X86
#include <immintrin.h>
#endif

namespace wb {

// Threads that live as long as a call and wait for its next product spinning: a decoder layer has
// four products of some 50 us, where starting a thread takes 20 us and waking one 5. Where no
// thread can be started, the others do the work.
class Team {
 public:
  explicit Team(int threads) {
    if (threads < 2) return;
    others_.reserve(size_t(threads) - 1);
    try {
      for (int i = 1; i < threads; ++i) others_.emplace_back([this, i] { follow(i); });
    } catch (const std::system_error&) {
    }
  }

  ~Team() {
    task_.call = nullptr;
    epoch_.fetch_add(1, std::memory_order_release);
    for (std::thread& other : others_) other.join();
  }

  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  // Calls work(begin, end) on consecutive pieces of [0, count), each a multiple of `grain` but for
  // the last.
  template <typename Work>
  void run(int64_t count, int64_t grain, const Work& work) {
    const int64_t members = int64_t(others_.size()) + 1;
    if (members == 1) return work(int64_t{0}, count);
    task_.call = [](const void* work, int64_t begin, int64_t end) {
      (*static_cast<const Work*>(work))(begin, end);
    };
    task_.work = &work;
    task_.count = count;
    task_.grain = grain;
    task_.members = members;
    left_.store(members - 1, std::memory_order_relaxed);
    epoch_.fetch_add(1, std::memory_order_release);
    piece(0);
    wait([this] { return left_.load(std::memory_order_acquire) == 0; });
  }

 private:
  struct Task {
    void (*call)(const void* work, int64_t begin, int64_t end);
    const void* work;
    int64_t count, grain, members;
  };

  template <typename Ready>
  static void wait(const Ready& ready) {
    for (int spins = 0; !ready(); ++spins) {
      if (spins > 4096) std::this_thread::yield();  // more threads than processors
#ifdef WB_X86
      _mm_pause();
#endif
    }
  }

  void piece(int64_t index) {
    const int64_t grains = (task_.count + task_.grain - 1) / task_.grain;
    const int64_t begin = grains * index / task_.members * task_.grain;
    const int64_t end = grains * (index + 1) / task_.members * task_.grain;
    if (begin < end) task_.call(task_.work, begin, std::min(task_.count, end));
  }

  void follow(int index) {
    for (uint64_t seen = 0;; ++seen) {
      wait([&] { return epoch_.load(std::memory_order_acquire) != seen; });
      if (task_.call == nullptr) return;
      piece(index);
      left_.fetch_sub(1, std::memory_order_release);
    }
  }

  std::vector<std::thread> others_;
  std::atomic<uint64_t> epoch_{0};
  std::atomic<int64_t> left_{0};
  Task task_{};
};

}  // namespace wb
