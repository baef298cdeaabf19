// Packing of s8 weights, shared by the variants.
//
//   s32 column sums [round_up(n, vector)], rounded up to 64 bytes
//   panels of `panel` columns, the last one rounded up to `vector`; each [round_up(k, granule) / granule][width][granule] s8,
//   k = taps * channels, granule = consecutive k that one instruction multiplies into one lane; padding is 0
#pragma once

#include <cstddef>
#include <cstdint>

namespace cec {

struct PackShape {
  size_t n, k, panel, vector, granule;
};

size_t packed_sums_bytes(const PackShape& shape);
size_t packed_q_bytes(const PackShape& shape);
void pack_panels_s8(const PackShape& shape, const int8_t* w, size_t stride_n, size_t stride_k, void* dst);

}  // namespace cec
