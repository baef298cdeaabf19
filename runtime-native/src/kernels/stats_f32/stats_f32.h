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
  /// counts[i] += number of finite elements v with floor(v * scale) - first == i. `scale` is a power of two, so that floors are
  /// exact, also where the product underflows (such negative v belong to bin -1). The caller makes sure that 0 <= i < bins and that bin numbers
  /// stay below 2^30; 1 <= bins <= 2^20. Equal counts in all variants.
  void (*histogram)(size_t n, const float* x, float scale, int32_t first, size_t bins, uint64_t* counts);
};

#define CEC_KERNEL_VARIANT(isa, name) extern const StatsF32Variant name;
#include "variants.inc"
#undef CEC_KERNEL_VARIANT

}  // namespace cec
