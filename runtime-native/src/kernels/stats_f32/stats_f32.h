// Streaming statistics of f32 buffers, for calibration observers.
#pragma once

#include "../common.h"

namespace cec {

/// Accumulated over calls; start from a default-constructed one. Non-finite elements count only in nan_count and inf_count.
struct MomentsF32 {
  uint64_t count = 0;  ///< finite elements
  uint64_t nan_count = 0, inf_count = 0;
  float min = kInfinity, max = -kInfinity;  ///< over finite elements
  double sum = 0, sum_squares = 0;
};

/// One variant. Counts, min and max are equal in all variants; sums may differ by the order of additions.
struct StatsF32Variant {
  const char* name;
  Isa isa;
  void (*moments)(size_t n, const float* x, MomentsF32* io);
  /// counts[i] += number of finite elements v (or |v| if `absolute`) in bin i of `bins` equal bins over [lo, hi]:
  /// i = trunc((v - lo) * (f32(bins) / (hi - lo))) kept inside 0..bins-1. Elements outside of lo..hi fall in the end bins, so the
  /// caller widens the range first. lo < hi, both finite; 1 <= bins <= 2^20. Equal counts in all variants.
  void (*histogram)(size_t n, const float* x, bool absolute, float lo, float hi, size_t bins, uint64_t* counts);
};

#define CEC_KERNEL_VARIANT(isa, name) extern const StatsF32Variant name;
#include "variants.inc"
#undef CEC_KERNEL_VARIANT

}  // namespace cec
