// The reference, on the bits.
#include <cstring>

#include "half_f32.h"

namespace cec {
namespace {

uint32_t bits_of(float v) {
  uint32_t bits;
  std::memcpy(&bits, &v, 4);
  return bits;
}
float float_of(uint32_t bits) {
  float v;
  std::memcpy(&v, &bits, 4);
  return v;
}

uint16_t narrow_one(float v) {
  const uint32_t bits = bits_of(v);
  const uint32_t sign = bits >> 16 & 0x8000;
  const uint32_t a = bits & 0x7fffffff;
  if (a > 0x7f800000) return 0x7e00;
  if (a >= 0x47800000) return static_cast<uint16_t>(sign | 0x7c00);  // 65536 and more
  if (a < 0x38800000) {
    // Below 2^-14: a sum with 0.5 leaves steps of 2^-24 in the last bits, rounded to nearest even.
    return static_cast<uint16_t>(sign | (bits_of(float_of(a) + 0.5f) - 0x3f000000));
  }
  // Carries into the exponent, and from 65520 on into infinity.
  return static_cast<uint16_t>(sign | ((a - 0x38000000 + 0xfff + (a >> 13 & 1)) >> 13));
}

float widen_one(uint16_t h) {
  const uint32_t sign = static_cast<uint32_t>(h & 0x8000) << 16;
  const uint32_t a = h & 0x7fff;
  if (a > 0x7c00) return float_of(sign | 0x7fc00000 | (a & 0x3ff) << 13);
  if (a == 0x7c00) return float_of(sign | 0x7f800000);
  if (a >= 0x400) return float_of(sign | ((a << 13) + 0x38000000));
  return float_of(sign | bits_of(static_cast<float>(a) * 0x1p-24f));
}

void narrow(size_t n, const float* x, uint16_t* y) {
  for (size_t i = 0; i < n; ++i) y[i] = narrow_one(x[i]);
}
void widen(size_t n, const uint16_t* x, float* y) {
  for (size_t i = 0; i < n; ++i) y[i] = widen_one(x[i]);
}
HalfCounts round(size_t n, const float* x, float* y) {
  HalfCounts counts;
  for (size_t i = 0; i < n; ++i) {
    const float v = x[i], r = widen_one(narrow_one(v));
    counts.nonzero += v != 0.0f;
    counts.flushed += v != 0.0f && r == 0.0f;
    y[i] = r;
  }
  return counts;
}

}  // namespace

const HalfF32Variant half_f32__scalar = {"half_f32__scalar", Isa::scalar, narrow, widen, round};

}  // namespace cec
