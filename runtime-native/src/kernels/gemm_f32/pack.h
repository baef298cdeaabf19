// Panel packing shared by the variants.
#pragma once

#include <cstddef>

namespace cec {

/// Floats of n columns in panels of `panel`, the last one rounded up to `vector`, times k, rounded up to 16 floats.
size_t packed_floats(size_t n, size_t k, size_t panel, size_t vector);
/// Panels of `panel` columns, each [k][width]; columns beyond n are 0.
void pack_panels_f32(size_t n, size_t k, const float* w, size_t stride_n, size_t stride_k, size_t panel, size_t vector, float* dst);

}  // namespace cec
