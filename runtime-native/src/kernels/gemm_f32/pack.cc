#include "pack.h"

#include <algorithm>

namespace cec {
namespace {

size_t round_up(size_t value, size_t step) { return (value + step - 1) / step * step; }

}  // namespace

size_t packed_floats(size_t n, size_t k, size_t panel, size_t vector) {
  const size_t full = n / panel * panel;
  return round_up((full + round_up(n - full, vector)) * k, 16);
}

void pack_panels_f32(size_t n, size_t k, const float* w, size_t stride_n, size_t stride_k, size_t panel, size_t vector, float* dst) {
  float* const end = dst + packed_floats(n, k, panel, vector);
  for (size_t j = 0; j < n; j += panel) {
    const size_t columns = std::min(n - j, panel);
    const size_t width = columns == panel ? panel : round_up(columns, vector);
    for (size_t p = 0; p < k; ++p) {
      const float* source = w + j * stride_n + p * stride_k;
      for (size_t i = 0; i < columns; ++i) dst[i] = source[i * stride_n];
      for (size_t i = columns; i < width; ++i) dst[i] = 0.0f;
      dst += width;
    }
  }
  std::fill(dst, end, 0.0f);
}

}  // namespace cec
