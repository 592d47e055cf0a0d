// RVQ encode of many vectors: tensor cores screen in bfloat16, the few entries that may be nearest
// are measured as direct differences in float32. A codebook is two launches, for all vectors.
//
// An entry c is kept as q and a residual r as p, both bfloat16. The score |c|^2 / 2 - r.c, least for
// the nearest entry, is then known from p.q to within
//   |r| |c - q| + |r - p| |q| + what the sum of products may be off by,
// and only entries whose lower bound doesn't lie above the least upper bound can be the nearest.
#include <cuda_bf16.h>
#include <cuda_runtime.h>
#include <mma.h>

#include "workbench_cuda.h"

namespace {

constexpr int kTile = 64;       // vectors and entries of a block
constexpr int kDims = 32;       // dimensions that a block has at hand
constexpr int kPitch = kDims + 8;  // numbers from row to row: no two rows begin in one bank
constexpr int kScreeners = 128;
constexpr int kSearchers = 256;
constexpr int kWarps = kSearchers / 32;
constexpr int kListed = 1024;       // entries looked through at once: all may be candidates
constexpr int64_t kAtOnce = 8192;   // vectors whose bounds the workspace holds

constexpr float kLargest = 1e18f;   // squares of larger numbers may overflow float32
constexpr float kLarge = 1e12f;     // above this norm every entry is measured,
constexpr float kSmall = 1e-10f;    // and below this one
constexpr float kSmallest = 0x1p-100f;   // of a number in 16 bits: none is subnormal
constexpr float kUp = 1 + 1e-5f;         // for norms summed in float32
constexpr float kVanished = 1e-17f;      // of a norm, in squares below float32's range
constexpr float kRounding = 1e-6f;       // of the score's own terms in float32
// Tensor cores truncate: an addition loses at most half of this of the sum of sizes, |p| |q|.
constexpr float kAddition = 0x1p-22f;
constexpr float kNegligible = 1e-34f;  // products below float32's range

// What is known of a residual: `norm` and `error` are |r| and |r - p|, rounded up.
struct Known {
  float norm, error;
  int number;  // 0 where the vector has a NaN, or a number beyond kLargest
  int unused;
};

// The packed codebooks' parts: `near` is [K][V][D], the tables are [K][V].
struct Packed {
  const __nv_bfloat16* near;
  const float* half_norm;
  const float* error;
  const float* norm;
};

// The workspace's parts, of at most kAtOnce vectors.
struct Work {
  float* lower;             // [N][V]
  float* residual;          // [N][D]
  __nv_bfloat16* near;      // [N][D]
  Known* known;             // [N]
  unsigned* upper;          // [N], ordered as floats are
};

__device__ unsigned ordered(float value) {
  const unsigned bits = __float_as_uint(value);
  return bits >> 31 ? ~bits : bits | 0x80000000u;
}

__device__ float unordered(unsigned key) {
  return __uint_as_float(key >> 31 ? key & 0x7fffffffu : ~key);
}

__device__ __nv_bfloat16 nearest16(float value) {
  const __nv_bfloat16 near = __float2bfloat16_rn(value);
  return fabsf(__bfloat162float(near)) < kSmallest ? __float2bfloat16_rn(0.0f) : near;
}

// The sum over a block of kSearchers, in every thread.
__device__ float block_sum(float value, float* shared) {
#pragma unroll
  for (int width = 16; width > 0; width /= 2) value += __shfl_xor_sync(0xffffffffu, value, width);
  __syncthreads();
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = value;
  __syncthreads();
  float sum = 0;
#pragma unroll
  for (int warp = 0; warp < kWarps; ++warp) sum += shared[warp];
  return sum;
}

// A residual in 16 bits, by a block: its own numbers to each thread.
__device__ void approximate(const Work& work, int64_t vector, int dim, bool number, float* shared) {
  const float* residual = work.residual + vector * dim;
  float square = 0, off = 0;
  for (int i = threadIdx.x; i < dim; i += kSearchers) {
    const float value = residual[i];
    const __nv_bfloat16 near = nearest16(value);
    const float gap = value - __bfloat162float(near);
    work.near[vector * dim + i] = near;
    square = fmaf(value, value, square);
    off = fmaf(gap, gap, off);
  }
  const float norm = sqrtf(block_sum(square, shared)) * kUp + kVanished;
  const float error = sqrtf(block_sum(off, shared)) * kUp + kVanished;
  if (threadIdx.x == 0) {
    // Without bounds every entry is a candidate; so it is where squares vanish or overflow.
    const bool bounded = norm < kLarge && norm > kSmall;
    work.known[vector] = {norm, bounded ? error : INFINITY, number, 0};
    work.upper[vector] = ordered(INFINITY);
  }
}

__global__ void __launch_bounds__(kSearchers, 1)
    begin(const float* __restrict__ vectors, int dim, Work work) {
  __shared__ float shared[kWarps];
  const int64_t vector = blockIdx.x;
  int wrong = 0;
  for (int i = threadIdx.x; i < dim; i += kSearchers) {
    wrong |= !(fabsf(vectors[vector * dim + i]) <= kLargest);
  }
  const bool number = !__syncthreads_or(wrong);
  for (int i = threadIdx.x; i < dim; i += kSearchers) {
    work.residual[vector * dim + i] = number ? vectors[vector * dim + i] : 0.0f;
  }
  approximate(work, vector, dim, number, shared);
}

// Bounds of 64 vectors' scores with 64 entries: [N][V] lower ones, and each vector's least upper.
__global__ void __launch_bounds__(kScreeners, 1)
    screen(Packed packed, int vectors, int entries, int dim, Work work) {
  namespace wmma = nvcuda::wmma;
  __shared__ __align__(32) __nv_bfloat16 left[kTile * kPitch];
  __shared__ __align__(32) __nv_bfloat16 right[kTile * kPitch];
  __shared__ __align__(32) float sums[kTile][kTile + 4];
  const int first_entry = blockIdx.x * kTile, first_vector = blockIdx.y * kTile;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int row = warp / 2 * 32, column = warp % 2 * 32;

  wmma::fragment<wmma::accumulator, 16, 16, 16, float> sum[2][2];
#pragma unroll
  for (int a = 0; a < 2; ++a) {
#pragma unroll
    for (int b = 0; b < 2; ++b) wmma::fill_fragment(sum[a][b], 0.0f);
  }
  for (int from = 0; from < dim; from += kDims) {
    // Eight numbers a load; what lies past the last vector or entry is 0.
    for (int i = threadIdx.x; i < kTile * kDims / 8; i += kScreeners) {
      const int at = i / (kDims / 8), offset = i % (kDims / 8) * 8;
      uint4 some = make_uint4(0, 0, 0, 0), other = some;
      if (first_vector + at < vectors) {
        some = *reinterpret_cast<const uint4*>(
            work.near + int64_t(first_vector + at) * dim + from + offset);
      }
      if (first_entry + at < entries) {
        other = __ldg(reinterpret_cast<const uint4*>(
            packed.near + int64_t(first_entry + at) * dim + from + offset));
      }
      *reinterpret_cast<uint4*>(left + at * kPitch + offset) = some;
      *reinterpret_cast<uint4*>(right + at * kPitch + offset) = other;
    }
    __syncthreads();
#pragma unroll
    for (int i = 0; i < kDims; i += 16) {
      wmma::fragment<wmma::matrix_a, 16, 16, 16, __nv_bfloat16, wmma::row_major> a[2];
      wmma::fragment<wmma::matrix_b, 16, 16, 16, __nv_bfloat16, wmma::col_major> b[2];
#pragma unroll
      for (int part = 0; part < 2; ++part) {
        wmma::load_matrix_sync(a[part], left + (row + 16 * part) * kPitch + i, kPitch);
        wmma::load_matrix_sync(b[part], right + (column + 16 * part) * kPitch + i, kPitch);
      }
#pragma unroll
      for (int one = 0; one < 2; ++one) {
#pragma unroll
        for (int two = 0; two < 2; ++two) {
          wmma::mma_sync(sum[one][two], a[one], b[two], sum[one][two]);
        }
      }
    }
    __syncthreads();
  }
#pragma unroll
  for (int a = 0; a < 2; ++a) {
#pragma unroll
    for (int b = 0; b < 2; ++b) {
      wmma::store_matrix_sync(&sums[row + 16 * a][column + 16 * b], sum[a][b], kTile + 4,
                              wmma::mem_row_major);
    }
  }
  __syncthreads();

  const float addition = kAddition * float(dim);
  for (int at = warp; at < kTile && first_vector + at < vectors; at += kScreeners / 32) {
    const int64_t vector = first_vector + at;
    const Known known = work.known[vector];
    float least = INFINITY;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int place = lane + 32 * half, entry = first_entry + place;
      if (entry >= entries) continue;
      const float half_norm = __ldg(packed.half_norm + entry);
      const float norm = __ldg(packed.norm + entry);
      const float score = half_norm - sums[at][place];
      const float size = fmaf(known.norm, norm, half_norm);
      const float width = kUp * (known.norm * __ldg(packed.error + entry) + known.error * norm +
                                 (addition + kRounding) * size) + kNegligible;
      work.lower[vector * entries + entry] = score - width;
      least = fminf(least, score + width);  // a NaN, from what has no bound, is passed over
    }
#pragma unroll
    for (int width = 16; width > 0; width /= 2) {
      least = fminf(least, __shfl_xor_sync(0xffffffffu, least, width));
    }
    if (lane == 0) atomicMin(work.upper + vector, ordered(least));
  }
}

// A block finds its vector's nearest entry among those that may be it, and leaves the residual.
__global__ void __launch_bounds__(kSearchers, 1)
    search(const float* __restrict__ codebook, int entries, int dim, int book, int books, Work work,
           int64_t* codes) {
  __shared__ int listed[kListed];
  __shared__ int count;
  __shared__ unsigned long long best[kWarps];
  __shared__ float shared[kWarps];
  const int64_t vector = blockIdx.x;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const float* lower = work.lower + vector * entries;
  float* residual = work.residual + vector * dim;
  const float bound = unordered(work.upper[vector]);
  const bool number = work.known[vector].number != 0;

  unsigned long long least = ~0ull;
  for (int from = 0; from < entries; from += kListed) {
    __syncthreads();
    if (threadIdx.x == 0) count = 0;
    __syncthreads();
    const int end = min(entries, from + kListed);
    for (int entry = from + threadIdx.x; entry < end; entry += kSearchers) {
      // Not "<=": a NaN is no bound, and leaves the entry a candidate.
      if (!(lower[entry] > bound)) listed[atomicAdd(&count, 1)] = entry;
    }
    __syncthreads();
    for (int at = warp; at < count; at += kWarps) {
      const int entry = listed[at];
      const float* values = codebook + int64_t(entry) * dim;
      float sum = 0;
#pragma unroll 2
      for (int i = lane; i < dim; i += 32) {
        const float gap = residual[i] - __ldg(values + i);
        sum = fmaf(gap, gap, sum);
      }
#pragma unroll
      for (int width = 16; width > 0; width /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, width);
      const unsigned long long key =
          static_cast<unsigned long long>(__float_as_uint(sum)) << 32 | unsigned(entry);
      least = key < least ? key : least;
    }
  }
  if (lane == 0) best[warp] = least;
  __syncthreads();
#pragma unroll
  for (int other = 0; other < kWarps; ++other) least = best[other] < least ? best[other] : least;
  const unsigned nearest = unsigned(least);
  if (threadIdx.x == 0) codes[vector * books + book] = number ? int64_t(nearest) : -1;
  const float* values = codebook + int64_t(nearest) * dim;
  for (int i = threadIdx.x; i < dim; i += kSearchers) residual[i] -= __ldg(values + i);
  approximate(work, vector, dim, number, shared);
}

int64_t rounded(int64_t bytes) { return (bytes + 255) / 256 * 256; }

// Takes the workspace's parts in turn; with null, counts them.
struct Taken {
  char* from;
  int64_t bytes = 0;
  template <typename T>
  T* take(int64_t count) {
    T* part = reinterpret_cast<T*>(from + bytes);
    bytes += rounded(count * int64_t(sizeof(T)));
    return part;
  }
};

Work parts(Taken& taken, int64_t vectors, int64_t entries, int64_t dim) {
  Work work;
  work.lower = taken.take<float>(vectors * entries);
  work.residual = taken.take<float>(vectors * dim);
  work.near = taken.take<__nv_bfloat16>(vectors * dim);
  work.known = taken.take<Known>(vectors);
  work.upper = taken.take<unsigned>(vectors);
  return work;
}

bool supported(int64_t books, int64_t entries, int64_t dim) {
  return books >= 1 && entries >= 1 && entries <= (1 << 20) && dim >= 32 && dim <= 1024 &&
         dim % kDims == 0;
}

}  // namespace

int64_t wb_cuda_rvq_packed_bytes(int64_t books, int64_t entries, int64_t dim) {
  return supported(books, entries, dim) ? books * entries * (2 * dim + 3 * 4) : 0;
}

int64_t wb_cuda_rvq_tiled_bytes(int64_t frames, int64_t entries, int64_t dim) {
  if (frames < 1 || !supported(1, entries, dim)) return 0;
  Taken taken{nullptr};
  parts(taken, frames < kAtOnce ? frames : kAtOnce, entries, dim);
  return taken.bytes;
}

int wb_cuda_rvq_encode_tiled(const float* vectors, int64_t frames, const float* codebooks,
                             const void* packed, int64_t packed_books, int64_t books,
                             int64_t entries, int64_t dim, void* workspace, int64_t* codes,
                             void* stream) {
  if (frames == 0) return cudaSuccess;
  if (frames < 0 || books > packed_books || !supported(books, entries, dim)) {
    return WB_CUDA_UNSUPPORTED;
  }
  const auto queue = static_cast<cudaStream_t>(stream);
  const int64_t all = packed_books * entries;
  const auto* near = static_cast<const __nv_bfloat16*>(packed);
  const auto* tables = reinterpret_cast<const float*>(near + all * dim);
  for (int64_t first = 0; first < frames; first += kAtOnce) {
    const int count = int(frames - first < kAtOnce ? frames - first : kAtOnce);
    Taken taken{static_cast<char*>(workspace)};
    const Work work = parts(taken, count, entries, dim);
    begin<<<count, kSearchers, 0, queue>>>(vectors + first * dim, int(dim), work);
    const dim3 blocks(unsigned((entries + kTile - 1) / kTile), unsigned((count + kTile - 1) / kTile));
    for (int64_t book = 0; book < books; ++book) {
      const Packed own{near + book * entries * dim, tables + book * entries,
                       tables + all + book * entries, tables + 2 * all + book * entries};
      screen<<<blocks, kScreeners, 0, queue>>>(own, count, int(entries), int(dim), work);
      search<<<count, kSearchers, 0, queue>>>(codebooks + book * entries * dim, int(entries),
                                              int(dim), int(book), int(books), work,
                                              codes + first * books);
      const cudaError_t error = cudaGetLastError();
      if (error != cudaSuccess) return error;
    }
  }
  return cudaSuccess;
}
