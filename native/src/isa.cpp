#include "isa.h"

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

#include "workbench_native.h"

namespace wb {
namespace {

bool runs(Isa wanted) {
  switch (wanted) {
#ifdef WB_X86
    case Isa::avx512_vnni:
      return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
             __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("fma");
    case Isa::avx2:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
    case Isa::portable:
      return true;
    default:
      return false;
  }
}

Isa best() {
  for (Isa one : {Isa::avx512_vnni, Isa::avx2}) {
    if (runs(one)) return one;
  }
  return Isa::portable;
}

std::atomic<Isa>& current() {
  static std::atomic<Isa> chosen{best()};
  return chosen;
}

const char* name_of(Isa isa) {
  switch (isa) {
    case Isa::avx512_vnni:
      return "avx512_vnni";
    case Isa::avx2:
      return "avx2";
    default:
      return "portable";
  }
}

}  // namespace

Isa isa() { return current().load(std::memory_order_relaxed); }

}  // namespace wb

int wb_abi_version(void) { return WB_ABI_VERSION; }

const char* wb_isa(void) { return wb::name_of(wb::isa()); }

int wb_set_isa(const char* name) {
  if (name == nullptr) return WB_BAD_ARGUMENT;
  for (wb::Isa one : {wb::Isa::portable, wb::Isa::avx2, wb::Isa::avx512_vnni}) {
    if (std::strcmp(name, wb::name_of(one)) == 0 && wb::runs(one)) {
      wb::current().store(one);
      return WB_OK;
    }
  }
  return WB_BAD_ARGUMENT;
}
