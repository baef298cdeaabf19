// AVX2: 8 x 8 blocks of 4-byte elements in registers; other sizes and edges in plain blocks.
#include "../simd.h"
#include "layout.h"

namespace cec {
namespace {

template <class T>
void plain(size_t rows, size_t cols, const T* x, size_t ldx, T* y, size_t ldy) {
  constexpr size_t kBlock = 16;
  for (size_t i0 = 0; i0 < rows; i0 += kBlock) {
    for (size_t j0 = 0; j0 < cols; j0 += kBlock) {
      const size_t i1 = smaller(i0 + kBlock, rows), j1 = smaller(j0 + kBlock, cols);
      for (size_t j = j0; j < j1; ++j) {
        for (size_t i = i0; i < i1; ++i) y[j * ldy + i] = x[i * ldx + j];
      }
    }
  }
}

inline void block_8x8(const float* x, size_t ldx, float* y, size_t ldy) {
  __m256 r[8], t[8];
  for (size_t i = 0; i < 8; ++i) r[i] = _mm256_loadu_ps(x + i * ldx);
  for (size_t i = 0; i < 8; i += 2) {
    t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
    t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
  }
  for (size_t i = 0; i < 8; i += 4) {
    r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
    r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
    r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
    r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
  }
  for (size_t i = 0; i < 4; ++i) {
    _mm256_storeu_ps(y + i * ldy, _mm256_permute2f128_ps(r[i], r[i + 4], 0x20));
    _mm256_storeu_ps(y + (i + 4) * ldy, _mm256_permute2f128_ps(r[i], r[i + 4], 0x31));
  }
}

void transpose_4(size_t rows, size_t cols, const float* x, size_t ldx, float* y, size_t ldy) {
  const size_t full_rows = rows / 8 * 8, full_cols = cols / 8 * 8;
  // Along the output's rows, so that it is written in order.
  for (size_t j = 0; j < full_cols; j += 8) {
    for (size_t i = 0; i < full_rows; i += 8) block_8x8(x + i * ldx + j, ldx, y + j * ldy + i, ldy);
  }
  plain(full_rows, cols - full_cols, x + full_cols, ldx, y + full_cols * ldy, ldy);
  plain(rows - full_rows, cols, x + full_rows * ldx, ldx, y + full_rows, ldy);
}

void transpose(size_t element_bytes, size_t rows, size_t cols, const void* x, size_t ldx, void* y, size_t ldy) {
  switch (element_bytes) {
    case 1: return plain(rows, cols, static_cast<const uint8_t*>(x), ldx, static_cast<uint8_t*>(y), ldy);
    case 2: return plain(rows, cols, static_cast<const uint16_t*>(x), ldx, static_cast<uint16_t*>(y), ldy);
    case 4: return transpose_4(rows, cols, static_cast<const float*>(x), ldx, static_cast<float*>(y), ldy);
    default: return plain(rows, cols, static_cast<const uint64_t*>(x), ldx, static_cast<uint64_t*>(y), ldy);
  }
}

}  // namespace

const LayoutVariant layout__avx2_8x8 = {"layout__avx2_8x8", Isa::avx2, transpose};

}  // namespace cec
