// Linear layers with int4 weights for up to eight rows: a warp reads a row of weights once, a block
// of 32 codes (16 bytes) a lane, and multiplies it with all rows of x.
#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include "load4.cuh"
#include "workbench_cuda.h"

namespace {

constexpr int kWarps = 4;
constexpr int kBlock = 32;  // inputs that share a scale

template <int kBatch, bool kHalf>
__global__ void __launch_bounds__(32 * kWarps, 1)
    int4_linear(const void* __restrict__ x, const uint8_t* __restrict__ weight,
                const uint16_t* __restrict__ scales, const float* __restrict__ bias, int outputs,
                int inputs, void* __restrict__ y) {
  const int lane = threadIdx.x % 32;
  const int output = blockIdx.x * kWarps + threadIdx.x / 32;
  if (output >= outputs) return;
  const int blocks = inputs / kBlock;
  const uint4* row = reinterpret_cast<const uint4*>(weight) + int64_t(output) * blocks;
  float sums[kBatch] = {0};
#pragma unroll 2
  for (int block = lane; block < blocks; block += 32) {
    const uint4 bits = __ldcs(row + block);  // read once: don't keep
    const unsigned words[4] = {bits.x, bits.y, bits.z, bits.w};
    const unsigned scale_bits = __ldg(scales + int64_t(output) * blocks + block);
    const float scale = __uint_as_float(scale_bits << 16);
#pragma unroll
    for (int part = 0; part < 8; ++part) {  // four inputs each: the lower halves, then the upper
      const unsigned word = words[part % 4] >> (part < 4 ? 0 : 4);
      float w[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) w[i] = (float((word >> (8 * i)) & 15u) - 8.0f) * scale;
#pragma unroll
      for (int b = 0; b < kBatch; ++b) {
        float four[4];
        load4<kHalf>(x, int64_t(b) * inputs + block * kBlock + 4 * part, four);
#pragma unroll
        for (int i = 0; i < 4; ++i) sums[b] = fmaf(w[i], four[i], sums[b]);
      }
    }
  }
#pragma unroll
  for (int b = 0; b < kBatch; ++b) {
#pragma unroll
    for (int width = 16; width > 0; width /= 2) {
      sums[b] += __shfl_xor_sync(0xffffffffu, sums[b], width);
    }
    if (lane == 0) {
      const float value = sums[b] + (bias ? __ldg(bias + output) : 0.0f);
      const int64_t at = int64_t(b) * outputs + output;
      if constexpr (kHalf) {
        static_cast<__nv_bfloat16*>(y)[at] = __float2bfloat16_rn(value);
      } else {
        static_cast<float*>(y)[at] = value;
      }
    }
  }
}

template <int kBatch>
int launch(const void* x, const uint8_t* weight, const uint16_t* scales, const float* bias,
           int outputs, int inputs, int half, void* y, cudaStream_t stream) {
  const auto kernel = half ? int4_linear<kBatch, true> : int4_linear<kBatch, false>;
  kernel<<<(outputs + kWarps - 1) / kWarps, 32 * kWarps, 0, stream>>>(x, weight, scales, bias,
                                                                     outputs, inputs, y);
  return int(cudaGetLastError());
}

}  // namespace

int wb_cuda_int4_linear(const void* x, int64_t batch, const uint8_t* weight, const uint16_t* scales,
                        const float* bias, int64_t outputs, int64_t inputs, int half, void* y,
                        void* stream) {
  if (batch == 0) return cudaSuccess;
  if (batch < 1 || batch > 8 || outputs < 1 || inputs < 1 || outputs > (1 << 30) ||
      inputs > (1 << 30) || inputs % kBlock) {
    return WB_CUDA_UNSUPPORTED;
  }
  const auto run = [&](auto* launcher) {
    return launcher(x, weight, scales, bias, int(outputs), int(inputs), half, y,
                    static_cast<cudaStream_t>(stream));
  };
  switch (batch) {
    case 1: return run(launch<1>);
    case 2: return run(launch<2>);
    case 3: return run(launch<3>);
    case 4: return run(launch<4>);
    case 5: return run(launch<5>);
    case 6: return run(launch<6>);
    case 7: return run(launch<7>);
    default: return run(launch<8>);
  }
}
