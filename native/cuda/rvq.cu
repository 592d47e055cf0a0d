// RVQ encode of a few frames in one cooperative launch, and decoding as a gather and a sum.
#include <cooperative_groups.h>
#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include "workbench_cuda.h"

namespace {

constexpr int kWarps = 8;
constexpr int kThreads = 32 * kWarps;
constexpr int kHeld = 2;       // entries that a warp keeps in registers, read before they are needed
constexpr int kMostFrames = 8;
constexpr float kLarge = 1e18f;  // squares of larger ones may overflow float32

// A search is 2048 distances and then one decision that the next search waits for: 31 dependent
// steps. So each warp reads its entries of the next codebook before it waits for the others, and
// the decision is one atomicMin on (distance, index): deterministic, the lowest index wins.
template <int kPerLane>
__global__ void __launch_bounds__(kThreads, 1)
    encode(const float* __restrict__ vectors, int frames, const float* __restrict__ codebooks,
           int books, int entries, unsigned long long* keys, int64_t* codes) {
  constexpr int kDim = 32 * kPerLane;
  __shared__ float residual[kMostFrames][kDim];
  __shared__ unsigned long long best[kMostFrames][kWarps];
  __shared__ int unusable[kMostFrames];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int first = blockIdx.x * kWarps + warp, step = gridDim.x * kWarps;
  cooperative_groups::grid_group grid = cooperative_groups::this_grid();

  if (threadIdx.x < kMostFrames) unusable[threadIdx.x] = 0;
  __syncthreads();
  for (int i = threadIdx.x; i < frames * kDim; i += kThreads) {
    const float value = vectors[i];
    const bool fine = fabsf(value) <= kLarge;
    if (!fine) unusable[i / kDim] = 1;
    residual[i / kDim][i % kDim] = fine ? value : 0.0f;
  }
  float held[kHeld][kPerLane];
  const auto read = [&](int book) {
#pragma unroll
    for (int h = 0; h < kHeld; ++h) {
      const int entry = first + h * step;
      if (entry < entries) {
        const float* from = codebooks + (int64_t(book) * entries + entry) * kDim + lane;
#pragma unroll
        for (int i = 0; i < kPerLane; ++i) held[h][i] = __ldg(from + 32 * i);
      }
    }
  };
  read(0);
  __syncthreads();

  for (int book = 0; book < books; ++book) {
    for (int frame = 0; frame < frames; ++frame) {
      unsigned long long least = ~0ull;
      const auto measure = [&](int entry, const float* values) {
        float sum = 0;
#pragma unroll
        for (int i = 0; i < kPerLane; ++i) {
          const float gap = residual[frame][32 * i + lane] - values[i];
          sum = fmaf(gap, gap, sum);
        }
#pragma unroll
        for (int width = 16; width > 0; width /= 2) {
          sum += __shfl_xor_sync(0xffffffffu, sum, width);
        }
        const unsigned long long key =
            static_cast<unsigned long long>(__float_as_uint(sum)) << 32 | unsigned(entry);
        least = key < least ? key : least;
      };
#pragma unroll
      for (int h = 0; h < kHeld; ++h) {
        if (first + h * step < entries) measure(first + h * step, held[h]);
      }
      for (int entry = first + kHeld * step; entry < entries; entry += step) {
        float values[kPerLane];
        const float* from = codebooks + (int64_t(book) * entries + entry) * kDim + lane;
#pragma unroll
        for (int i = 0; i < kPerLane; ++i) values[i] = __ldg(from + 32 * i);
        measure(entry, values);
      }
      if (lane == 0) best[frame][warp] = least;
    }
    __syncthreads();
    if (threadIdx.x < frames) {
      unsigned long long least = best[threadIdx.x][0];
#pragma unroll
      for (int other = 1; other < kWarps; ++other) {
        const unsigned long long key = best[threadIdx.x][other];
        least = key < least ? key : least;
      }
      atomicMin(&keys[book * frames + threadIdx.x], least);
    }
    if (book + 1 < books) read(book + 1);
    grid.sync();
    for (int i = threadIdx.x; i < frames * kDim; i += kThreads) {
      const int frame = i / kDim;
      // Written by other blocks: past the first-level cache.
      const unsigned nearest = unsigned(__ldcg(&keys[book * frames + frame]));
      if (blockIdx.x == 0 && i % kDim == 0) {
        codes[int64_t(frame) * books + book] = unusable[frame] ? -1 : int64_t(nearest);
      }
      residual[frame][i % kDim] -=
          __ldg(codebooks + (int64_t(book) * entries + nearest) * kDim + i % kDim);
    }
    __syncthreads();
  }
}

template <int kPerLane>
cudaError_t launch(const float* vectors, int frames, const float* codebooks, int books, int entries,
                   unsigned long long* keys, int64_t* codes, cudaStream_t stream) {
  int device = 0, processors = 0, resident = 0;
  cudaError_t error = cudaGetDevice(&device);
  if (error == cudaSuccess) {
    error = cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device);
  }
  if (error == cudaSuccess) {
    error = cudaOccupancyMaxActiveBlocksPerMultiprocessor(&resident, encode<kPerLane>, kThreads, 0);
  }
  if (error == cudaSuccess) {
    error = cudaMemsetAsync(keys, 0xff, sizeof(*keys) * books * frames, stream);
  }
  if (error != cudaSuccess) return error;
  // Two entries a warp, as many as are held; fewer blocks where not all fit at once.
  const int wanted = (entries + kHeld * kWarps - 1) / (kHeld * kWarps);
  const int blocks = wanted < processors * resident ? wanted : processors * resident;
  void* arguments[] = {&vectors, &frames, &codebooks, &books, &entries, &keys, &codes};
  return cudaLaunchCooperativeKernel(reinterpret_cast<const void*>(encode<kPerLane>), dim3(blocks),
                                     dim3(kThreads), arguments, 0, stream);
}

// A row's sum; a thread has four (eight of 16 bits) neighbouring numbers.
template <bool kHalf>
__global__ void __launch_bounds__(128, 1)
    gather_sum(const int64_t* __restrict__ codes, const void* __restrict__ tables, int books,
               int64_t entries, int dim, void* __restrict__ sums) {
  constexpr int kWide = kHalf ? 8 : 4;
  const int64_t row = blockIdx.x;
  for (int at = threadIdx.x * kWide; at < dim; at += blockDim.x * kWide) {
    float sum[kWide] = {0};
    for (int book = 0; book < books; ++book) {
      const int64_t code = __ldg(codes + row * books + book);
      if (code < 0 || code >= entries) {
#pragma unroll
        for (int i = 0; i < kWide; ++i) sum[i] = __int_as_float(0x7fc00000);
        continue;
      }
      const int64_t place = ((int64_t(book) * entries + code) * dim + at) / kWide;
      const uint4 bits = __ldg(static_cast<const uint4*>(tables) + place);
      const unsigned words[4] = {bits.x, bits.y, bits.z, bits.w};
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        if constexpr (kHalf) {
          sum[2 * i] += __uint_as_float(words[i] << 16);
          sum[2 * i + 1] += __uint_as_float(words[i] & 0xffff0000u);
        } else {
          sum[i] += __uint_as_float(words[i]);
        }
      }
    }
    unsigned words[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if constexpr (kHalf) {
        const __nv_bfloat162 pair = __floats2bfloat162_rn(sum[2 * i], sum[2 * i + 1]);
        words[i] = unsigned(__bfloat16_as_ushort(pair.x)) |
                   unsigned(__bfloat16_as_ushort(pair.y)) << 16;
      } else {
        words[i] = __float_as_uint(sum[i]);
      }
    }
    static_cast<uint4*>(sums)[(row * dim + at) / kWide] =
        make_uint4(words[0], words[1], words[2], words[3]);
  }
}

}  // namespace

int wb_cuda_abi_version(void) { return WB_CUDA_ABI_VERSION; }

int wb_cuda_rvq_encode(const float* vectors, int64_t frames, const float* codebooks, int64_t books,
                       int64_t entries, int64_t dim, uint64_t* keys, int64_t* codes, void* stream) {
  if (frames == 0) return cudaSuccess;
  if (frames < 1 || frames > kMostFrames || books < 1 || entries < 1 || entries > (1 << 30)) {
    return WB_CUDA_UNSUPPORTED;
  }
  const auto run = [&](auto* launcher) {
    return int(launcher(vectors, int(frames), codebooks, int(books), int(entries),
                        reinterpret_cast<unsigned long long*>(keys), codes,
                        static_cast<cudaStream_t>(stream)));
  };
  switch (dim) {
    case 32: return run(launch<1>);
    case 64: return run(launch<2>);
    case 128: return run(launch<4>);
    case 256: return run(launch<8>);
    case 512: return run(launch<16>);
    default: return WB_CUDA_UNSUPPORTED;
  }
}

int wb_cuda_embedding_sum(const int64_t* codes, int64_t rows, const void* tables, int64_t books,
                          int64_t entries, int64_t dim, int half, void* sums, void* stream) {
  if (rows == 0) return cudaSuccess;
  if (rows < 0 || rows > 0x7fffffff || books < 1 || dim < 1 || dim > (1 << 24) ||
      dim % (half ? 8 : 4)) {
    return WB_CUDA_UNSUPPORTED;
  }
  const auto kernel = half ? gather_sum<true> : gather_sum<false>;
  kernel<<<unsigned(rows), 128, 0, static_cast<cudaStream_t>(stream)>>>(
      codes, tables, int(books), entries, int(dim), sums);
  return cudaGetLastError();
}
