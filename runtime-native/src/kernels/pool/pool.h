// Max and average pools over NHWC, f32 and 8-bit. A global pool is a pool with one output pixel and H*W taps.
#pragma once

#include "../common.h"

namespace cec {

struct PoolArgs {
  size_t rows = 0;  ///< batch * taps.pixels
  Taps taps;        ///< negative offsets are skipped: padding takes no part
  /// Average only: the divisor of each pixel, [taps.pixels]; null means taps.taps for all (a global pool, or no padding).
  const int32_t* counts = nullptr;
  size_t ldc = 0;  ///< elements between output rows, >= taps.channels
};

/// The 8-bit average: clamp(rne(f32(sum(x - x_zp)) * (x_scale / (y_scale * f32(count)))) + y_zp, q_min, q_max).
struct AverageQ {
  Q8 x_type = Q8::u8, y_type = Q8::u8;
  float x_scale = 1, y_scale = 1;
  int32_t x_zp = 0, y_zp = 0, q_min = 0, q_max = 255;
};

/// One variant. A pool computes rows [m0, m1). A window without a tap gives the type's lowest value (f32: -inf), average 0 (q: y_zp).
/// NaN in a window gives NaN for max_f32. average_f32 adds taps in ascending order and divides by f32(count).
struct PoolVariant {
  const char* name;
  Isa isa;
  void (*max_f32)(const PoolArgs& args, const float* x, float* y, size_t m0, size_t m1);
  void (*max_q)(const PoolArgs& args, Q8 type, const void* x, void* y, size_t m0, size_t m1);
  void (*average_f32)(const PoolArgs& args, const float* x, float* y, size_t m0, size_t m1);
  void (*average_q)(const PoolArgs& args, const AverageQ& q, const void* x, void* y, size_t m0, size_t m1);
};

#define CEC_KERNEL_VARIANT(isa, name) extern const PoolVariant name;
#include "variants.inc"
#undef CEC_KERNEL_VARIANT

}  // namespace cec
