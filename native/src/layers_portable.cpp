// Decoder layers in plain C++.
#include <math.h>

#include "layers_kernels.h"

#define WB_INLINE inline

namespace wb {
namespace {

constexpr int kLanes = 8, kRows = 2;

struct Vec {
  float lane[kLanes];
};

template <typename F>
inline Vec each(const F& f) {
  Vec v;
  for (int i = 0; i < kLanes; ++i) v.lane[i] = f(i);
  return v;
}

inline Vec all(float x) {
  return each([=](int) { return x; });
}
inline Vec zero() { return all(0.0f); }
inline Vec load(const float* p) {
  return each([=](int i) { return p[i]; });
}
inline Vec load(const uint16_t* p) {
  return each([=](int i) { return widened(p[i]); });
}
inline Vec load_part(const float* p, int n) {
  return each([=](int i) { return i < n ? p[i] : 0.0f; });
}
inline Vec load_part(const uint16_t* p, int n) {
  return each([=](int i) { return i < n ? widened(p[i]) : 0.0f; });
}
inline void store_part(float* p, const Vec& v, int n) {
  for (int i = 0; i < n; ++i) p[i] = v.lane[i];
}
inline void store(float* p, const Vec& v) { store_part(p, v, kLanes); }
inline Vec add(const Vec& a, const Vec& b) {
  return each([&](int i) { return a.lane[i] + b.lane[i]; });
}
inline Vec multiply(const Vec& a, const Vec& b) {
  return each([&](int i) { return a.lane[i] * b.lane[i]; });
}
inline Vec divide(const Vec& a, const Vec& b) {
  return each([&](int i) { return a.lane[i] / b.lane[i]; });
}
inline Vec fma(const Vec& a, const Vec& b, const Vec& c) {
  return each([&](int i) { return a.lane[i] * b.lane[i] + c.lane[i]; });
}
// Of a NaN and a number the second is the answer, as vector instructions have it.
inline Vec larger(const Vec& a, const Vec& b) {
  return each([&](int i) { return a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]; });
}
inline Vec smaller(const Vec& a, const Vec& b) {
  return each([&](int i) { return a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]; });
}
inline Vec rounded(const Vec& a) {
  return each([&](int i) { return rintf(a.lane[i]); });
}
inline Vec times_power(const Vec& a, const Vec& n) {
  return each([&](int i) { return isfinite(n.lane[i]) ? ldexpf(a.lane[i], int(n.lane[i])) : NAN; });
}
inline void sum4(const Vec* v, float* sums) {
  for (int j = 0; j < 4; ++j) {
    const float* x = v[j].lane;
    sums[j] = ((x[0] + x[1]) + (x[2] + x[3])) + ((x[4] + x[5]) + (x[6] + x[7]));
  }
}

}  // namespace
}  // namespace wb

#include "layers_kernels.inc"

namespace wb {
const Kernels layers_portable = {linear, normalize, gate, attend};
}
