// The reference.
#include "stats_f32.h"

#include <cassert>
#include <cmath>

namespace cec {
namespace {

bool is_finite(float v) { return v - v == 0.0f; }

void moments(size_t n, const float* x, MomentsF32* io) {
  for (size_t i = 0; i < n; ++i) {
    const float v = x[i];
    if (!is_finite(v)) {
      if (v != v) ++io->nan_count;
      else ++io->inf_count;
      continue;
    }
    ++io->count;
    if (v < io->min) io->min = v;
    if (v > io->max) io->max = v;
    io->sum += static_cast<double>(v);
    io->sum_squares += static_cast<double>(v) * static_cast<double>(v);
  }
}

void histogram(size_t n, const float* x, float scale, int32_t first, size_t bins, uint64_t* counts) {
  for (size_t i = 0; i < n; ++i) {
    if (!is_finite(x[i])) continue;
    const int32_t bin = static_cast<int32_t>(std::floor(static_cast<double>(x[i]) * static_cast<double>(scale))) - first;
    assert(bin >= 0 && static_cast<size_t>(bin) < bins);
    ++counts[bin];
  }
  static_cast<void>(bins);
}

}  // namespace

const StatsF32Variant stats_f32__scalar = {"stats_f32__scalar", Isa::scalar, moments, histogram};

}  // namespace cec
