#include "pack.h"

#include <algorithm>
#include <cstring>

namespace cec {
namespace {

size_t round_up(size_t value, size_t step) { return (value + step - 1) / step * step; }

}  // namespace

size_t packed_sums_bytes(const PackShape& s) { return round_up(round_up(s.n, s.vector) * sizeof(int32_t), 64); }

size_t packed_q_bytes(const PackShape& s) {
  return packed_sums_bytes(s) + round_up(round_up(s.n, s.vector) * round_up(s.k, s.granule), 64);
}

void pack_panels_s8(const PackShape& s, const int8_t* w, size_t stride_n, size_t stride_k, void* packed) {
  std::memset(packed, 0, packed_q_bytes(s));
  int32_t* sums = static_cast<int32_t*>(packed);
  int8_t* dst = static_cast<int8_t*>(packed) + packed_sums_bytes(s);
  for (size_t j = 0; j < s.n; ++j) {
    uint32_t sum = 0;  // mod 2^32, as the sums it corrects
    for (size_t p = 0; p < s.k; ++p) sum += static_cast<uint32_t>(w[j * stride_n + p * stride_k]);
    sums[j] = static_cast<int32_t>(sum);
  }
  for (size_t j = 0; j < s.n; j += s.panel) {
    const size_t columns = std::min(s.n - j, s.panel);
    const size_t width = round_up(columns, s.vector);
    for (size_t p = 0; p < s.k; p += s.granule) {
      const size_t depth = std::min(s.k - p, s.granule);
      for (size_t i = 0; i < columns; ++i) {
        for (size_t q = 0; q < depth; ++q) dst[i * s.granule + q] = w[(j + i) * stride_n + (p + q) * stride_k];
      }
      dst += width * s.granule;
    }
  }
}

}  // namespace cec
