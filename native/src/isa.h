// The instruction set in use, chosen once at run time.
#pragma once

namespace wb {

// In the order of their power: each has what those before it have.
enum class Isa { portable, avx2, avx512_vnni, amx };

Isa isa();

}  // namespace wb
