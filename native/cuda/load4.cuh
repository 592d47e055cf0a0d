// Four activations as float32, from float32 or bfloat16.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace {

template <bool kHalf>
__device__ __forceinline__ void load4(const void* x, int64_t at, float (&to)[4]) {
  if constexpr (kHalf) {
    const uint2 bits = __ldg(reinterpret_cast<const uint2*>(
        static_cast<const unsigned short*>(x) + at));
    to[0] = __uint_as_float(bits.x << 16);
    to[1] = __uint_as_float(bits.x & 0xffff0000u);
    to[2] = __uint_as_float(bits.y << 16);
    to[3] = __uint_as_float(bits.y & 0xffff0000u);
  } else {
    const float4 four = __ldg(reinterpret_cast<const float4*>(static_cast<const float*>(x) + at));
    to[0] = four.x;
    to[1] = four.y;
    to[2] = four.z;
    to[3] = four.w;
  }
}

}  // namespace
