// Plain C++ helpers of the scalar variants. Not for ISA files (see simd.h).
#pragma once

#include <cstddef>
#include <cstdint>

namespace cec {
namespace {

/// NaN passes.
[[maybe_unused]] inline float clamp_f32(float v, float lo, float hi) {
  v = v < lo ? lo : v;
  return v > hi ? hi : v;
}

/// Round half to even for |v| < 2^22: adding 1.5 * 2^23 leaves no fraction bits, so the addition itself rounds.
[[maybe_unused]] inline int32_t round_small(float v) {
  constexpr float kMagic = 12582912.0f;
  const volatile float shifted = v + kMagic;
  return static_cast<int32_t>(shifted - kMagic);
}

/// clamp(rne(v) + zp, q_min, q_max) with NaN as 0. Clamping first is the same, as the bounds are integers, and never overflows.
[[maybe_unused]] inline int32_t round_to_q(float v, int32_t zp, int32_t q_min, int32_t q_max) {
  if (!(v == v)) v = 0.0f;
  return round_small(clamp_f32(v, static_cast<float>(q_min - zp), static_cast<float>(q_max - zp))) + zp;
}

}  // namespace
}  // namespace cec
