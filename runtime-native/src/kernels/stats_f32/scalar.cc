// The reference.
#include "stats_f32.h"

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

void histogram(size_t n, const float* x, bool absolute, float lo, float hi, size_t bins, uint64_t* counts) {
  const float scale = static_cast<float>(bins) / (hi - lo), last = static_cast<float>(bins - 1);
  for (size_t i = 0; i < n; ++i) {
    float v = x[i];
    if (!is_finite(v)) continue;
    if (absolute && v < 0) v = -v;
    float t = (v - lo) * scale;
    t = t > 0.0f ? t : 0.0f;  // and NaN, where a huge range makes infinity times 0
    t = t < last ? t : last;
    ++counts[static_cast<size_t>(t)];
  }
}

}  // namespace

const StatsF32Variant stats_f32__scalar = {"stats_f32__scalar", Isa::scalar, moments, histogram};

}  // namespace cec
