// The reference: 16 x 16 blocks, so that both sides stay in the first-level cache.
#include <algorithm>

#include "layout.h"

namespace cec {
namespace {

constexpr size_t kBlock = 16;

template <class T>
void transpose_of(size_t rows, size_t cols, const T* x, size_t ldx, T* y, size_t ldy) {
  for (size_t i0 = 0; i0 < rows; i0 += kBlock) {
    for (size_t j0 = 0; j0 < cols; j0 += kBlock) {
      const size_t i1 = std::min(i0 + kBlock, rows), j1 = std::min(j0 + kBlock, cols);
      for (size_t j = j0; j < j1; ++j) {
        for (size_t i = i0; i < i1; ++i) y[j * ldy + i] = x[i * ldx + j];
      }
    }
  }
}

void transpose(size_t element_bytes, size_t rows, size_t cols, const void* x, size_t ldx, void* y, size_t ldy) {
  switch (element_bytes) {
    case 1: return transpose_of(rows, cols, static_cast<const uint8_t*>(x), ldx, static_cast<uint8_t*>(y), ldy);
    case 2: return transpose_of(rows, cols, static_cast<const uint16_t*>(x), ldx, static_cast<uint16_t*>(y), ldy);
    case 4: return transpose_of(rows, cols, static_cast<const uint32_t*>(x), ldx, static_cast<uint32_t*>(y), ldy);
    default: return transpose_of(rows, cols, static_cast<const uint64_t*>(x), ldx, static_cast<uint64_t*>(y), ldy);
  }
}

}  // namespace

const LayoutVariant layout__scalar_16x16 = {"layout__scalar_16x16", Isa::scalar, transpose};

}  // namespace cec
