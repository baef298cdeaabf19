// AVX2: 8 x 8 blocks of 4-byte elements in registers, three planes of bytes; other sizes and edges in plain blocks.
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

// [third of 48 bytes][plane]: which byte of the plane comes there, or none.
struct Spread {
  uint8_t at[3][3][16];
  constexpr Spread() : at() {
    for (int i = 0; i < 48; ++i) {
      for (int plane = 0; plane < 3; ++plane) at[i / 16][plane][i % 16] = i % 3 == plane ? static_cast<uint8_t>(i / 3) : 0x80;
    }
  }
};
alignas(16) constexpr Spread kSpread;

// Three planes of bytes, as a picture has them, to pixels: 16 at a time, each plane's bytes spread by a shuffle over the 48 that come of it.
void interleave_3(size_t cols, const uint8_t* x, size_t ldx, uint8_t* y) {
  const auto load = [](const uint8_t* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); };
  size_t j = 0;
  for (; j + 16 <= cols; j += 16) {
    const __m128i a = load(x + j), b = load(x + ldx + j), c = load(x + 2 * ldx + j);
    for (size_t third = 0; third < 3; ++third) {
      const auto part = [&](__m128i v, size_t plane) { return _mm_shuffle_epi8(v, load(kSpread.at[third][plane])); };
      _mm_storeu_si128(reinterpret_cast<__m128i*>(y + 3 * j + 16 * third), _mm_or_si128(part(a, 0), _mm_or_si128(part(b, 1), part(c, 2))));
    }
  }
  plain(3, cols - j, x + j, ldx, y + 3 * j, 3);
}

void transpose_1(size_t rows, size_t cols, const uint8_t* x, size_t ldx, uint8_t* y, size_t ldy) {
  if (rows == 3 && ldy == 3) interleave_3(cols, x, ldx, y);
  else plain(rows, cols, x, ldx, y, ldy);
}

void transpose(size_t element_bytes, size_t rows, size_t cols, const void* x, size_t ldx, void* y, size_t ldy) {
  switch (element_bytes) {
    case 1: return transpose_1(rows, cols, static_cast<const uint8_t*>(x), ldx, static_cast<uint8_t*>(y), ldy);
    case 2: return plain(rows, cols, static_cast<const uint16_t*>(x), ldx, static_cast<uint16_t*>(y), ldy);
    case 4: return transpose_4(rows, cols, static_cast<const float*>(x), ldx, static_cast<float*>(y), ldy);
    default: return plain(rows, cols, static_cast<const uint64_t*>(x), ldx, static_cast<uint64_t*>(y), ldy);
  }
}

}  // namespace

const LayoutVariant layout__avx2_8x8 = {"layout__avx2_8x8", Isa::avx2, transpose};

}  // namespace cec
