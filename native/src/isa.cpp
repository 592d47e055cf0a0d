#include "isa.h"

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

#ifdef WB_AMX
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "workbench_native.h"

namespace wb {
namespace {

// Whether AMX's products of bytes can be used, or the reason why not.
enum class Amx { usable, not_compiled, not_there, refused };

Amx amx() {
#ifdef WB_AMX
  unsigned a = 0, b = 0, c = 0, d = 0;
  constexpr unsigned wanted = 3u << 24;  // AMX-TILE and AMX-INT8
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & wanted) != wanted) return Amx::not_there;
  // The tiles' 8 KB a thread are for processes that ask. Linux refuses where a signal's stack
  // would be too small for them; kernels before 5.16 don't know the request.
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  static const bool permitted = syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  return permitted ? Amx::usable : Amx::refused;
#else
  return Amx::not_compiled;
#endif
}

bool runs(Isa wanted) {
  switch (wanted) {
#ifdef WB_X86
    case Isa::amx:
      return runs(Isa::avx512_vnni) && amx() == Amx::usable;
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
  for (Isa one : {Isa::amx, Isa::avx512_vnni, Isa::avx2}) {
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
    case Isa::amx:
      return "amx";
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

const char* wb_amx(void) {
  switch (wb::amx()) {
    case wb::Amx::usable:
      return "";
    case wb::Amx::not_compiled:
      return "not compiled: the compiler has no -mamx-int8";
    case wb::Amx::not_there:
      return "the processor has none";
    default:
      return "the operating system refuses it";
  }
}

int wb_set_isa(const char* name) {
  if (name == nullptr) return WB_BAD_ARGUMENT;
  for (wb::Isa one : {wb::Isa::portable, wb::Isa::avx2, wb::Isa::avx512_vnni, wb::Isa::amx}) {
    if (std::strcmp(name, wb::name_of(one)) == 0 && wb::runs(one)) {
      wb::current().store(one);
      return WB_OK;
    }
  }
  return WB_BAD_ARGUMENT;
}
