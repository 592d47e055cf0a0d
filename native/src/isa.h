// The instruction set in use, chosen once at run time.
#pragma once

namespace wb {

enum class Isa { portable, avx2, avx512_vnni };

Isa isa();

}  // namespace wb
