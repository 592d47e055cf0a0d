// Linear layers with int8 weights for up to eight rows: a warp reads a row of weights once, 16
// bytes a lane, and multiplies it with all rows of x.
#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include "load4.cuh"
#include "workbench_cuda.h"

namespace {

constexpr int kWarps = 4;

template <int kBatch, bool kHalf>
__global__ void __launch_bounds__(32 * kWarps, 1)
    int8_linear(const void* __restrict__ x, const int8_t* __restrict__ weight,
                const float* __restrict__ scales, const float* __restrict__ bias, int outputs,
                int inputs, int group, void* __restrict__ y) {
  const int lane = threadIdx.x % 32;
  const int output = blockIdx.x * kWarps + threadIdx.x / 32;
  if (output >= outputs) return;
  const int groups = inputs / group;
  const int8_t* row = weight + int64_t(output) * inputs;
  float sums[kBatch] = {0};
#pragma unroll 4
  for (int at = lane * 16; at < inputs; at += 32 * 16) {
    const uint4 bits = __ldcs(reinterpret_cast<const uint4*>(row + at));  // read once: don't keep
    const unsigned words[4] = {bits.x, bits.y, bits.z, bits.w};
    const float scale = __ldg(scales + int64_t(output) * groups + at / group);
#pragma unroll
    for (int word = 0; word < 4; ++word) {
      float w[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        w[i] = float(static_cast<signed char>(words[word] >> (8 * i))) * scale;
      }
#pragma unroll
      for (int b = 0; b < kBatch; ++b) {
        float four[4];
        load4<kHalf>(x, int64_t(b) * inputs + at + 4 * word, four);
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
void launch(const void* x, const int8_t* weight, const float* scales, const float* bias,
            int outputs, int inputs, int group, int half, void* y, cudaStream_t stream) {
  const auto kernel = half ? int8_linear<kBatch, true> : int8_linear<kBatch, false>;
  kernel<<<(outputs + kWarps - 1) / kWarps, 32 * kWarps, 0, stream>>>(x, weight, scales, bias,
                                                                     outputs, inputs, group, y);
}

}  // namespace

int wb_cuda_int8_linear(const void* x, int64_t batch, const int8_t* weight, const float* scales,
                        const float* bias, int64_t outputs, int64_t inputs, int64_t group, int half,
                        void* y, void* stream) {
  if (batch == 0) return cudaSuccess;
  if (batch < 1 || batch > 8 || outputs < 1 || inputs < 1 || outputs > (1 << 30) ||
      inputs > (1 << 30) || group < 1 || inputs % group || group % 16) {
    return WB_CUDA_UNSUPPORTED;
  }
  const auto run = [&](auto* launcher) {
    launcher(x, weight, scales, bias, int(outputs), int(inputs), int(group), half, y,
             static_cast<cudaStream_t>(stream));
    return int(cudaGetLastError());
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
