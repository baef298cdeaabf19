// AVX2: transforms of 16 channels, products of 6 x 16 by vpmaddwd.
#include "../simd.h"
#include "winograd_u8s8_s32.h"

namespace cec {
namespace {

#include "../epilogue_q_avx2.inl"
#include "../widen_q_avx2.inl"

constexpr size_t kPanel = 16;
constexpr int kRows = 6;

size_t packed_bytes(size_t n, size_t k) { return round_up(round_up(n, kPanel) * round_up(k, 2) * sizeof(int16_t), 64); }

void pack(size_t n, size_t k, const int16_t* u, void* dst) {
  int16_t* to = static_cast<int16_t*>(dst);
  for (size_t j0 = 0; j0 < n; j0 += kPanel) {
    for (size_t p = 0; p < k; p += 2) {
      for (size_t j = j0; j < j0 + kPanel; ++j) {
        *to++ = j < n ? u[p * n + j] : int16_t{0};
        *to++ = j < n && p + 1 < k ? u[(p + 1) * n + j] : int16_t{0};
      }
    }
  }
}

__m256i load16(const int16_t* p) { return _mm256_load_si256(reinterpret_cast<const __m256i*>(p)); }

void input(const WinogradQInputArgs& a, size_t tile0, size_t tile1) {
  const WinogradShape& s = a.shape;
  const size_t per_image = s.tiles_h * s.tiles_w, n = a.channels, row = winograd_q_row(n);
  alignas(32) int16_t pixels[16][kWinogradQChannels];
  for (auto& p : pixels) std::memset(p + row - kPanel, 0, kPanel * sizeof(int16_t));
  for (size_t t = tile0; t < tile1; ++t) {
    const uint8_t* image = static_cast<const uint8_t*>(a.x) + t / per_image * (s.in_h * s.in_w * n);
    const ptrdiff_t top = static_cast<ptrdiff_t>(t % per_image / s.tiles_w * 2) - s.pad_top;
    const ptrdiff_t left = static_cast<ptrdiff_t>(t % s.tiles_w * 2) - s.pad_left;
    for (size_t i = 0; i < 16; ++i) {
      const ptrdiff_t y = top + static_cast<ptrdiff_t>(i / 4), x = left + static_cast<ptrdiff_t>(i % 4);
      const bool inside = y >= 0 && x >= 0 && y < static_cast<ptrdiff_t>(s.in_h) && x < static_cast<ptrdiff_t>(s.in_w);
      // Padding is the zero point: zero once that is taken off.
      if (inside) widen_minus_zero_point(image + (static_cast<size_t>(y) * s.in_w + static_cast<size_t>(x)) * n, a.type, a.zp, n, pixels[i]);
      else std::memset(pixels[i], 0, n * sizeof(int16_t));
    }
    int16_t* const v = a.v + (t - tile0) * row;
    for (size_t c = 0; c < row; c += kPanel) {
      __m256i h[4][4];
#pragma GCC unroll 4
      for (size_t x = 0; x < 4; ++x) {
        const __m256i d0 = load16(pixels[x] + c), d1 = load16(pixels[4 + x] + c), d2 = load16(pixels[8 + x] + c), d3 = load16(pixels[12 + x] + c);
        h[0][x] = _mm256_sub_epi16(d0, d2);
        h[1][x] = _mm256_add_epi16(d1, d2);
        h[2][x] = _mm256_sub_epi16(d2, d1);
        h[3][x] = _mm256_sub_epi16(d1, d3);
      }
#pragma GCC unroll 4
      for (size_t y = 0; y < 4; ++y) {
        int16_t* const to = v + y * 4 * a.stride + c;
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm256_sub_epi16(h[y][0], h[y][2]));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + a.stride), _mm256_add_epi16(h[y][1], h[y][2]));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + 2 * a.stride), _mm256_sub_epi16(h[y][2], h[y][1]));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + 3 * a.stride), _mm256_sub_epi16(h[y][1], h[y][3]));
      }
    }
  }
}

// Not inlined, so that all accumulators stay in registers.
template <int MR>
__attribute__((noinline)) void tile(const int16_t* a, size_t lda, const int16_t* b, size_t k, int32_t* c, size_t ldc) {
  __m256i acc[MR][2];
#pragma GCC unroll 8
  for (int i = 0; i < MR; ++i) acc[i][0] = acc[i][1] = _mm256_setzero_si256();
  for (size_t p = 0; p < k; p += 2) {
    const __m256i b0 = load16(b), b1 = load16(b + 16);
    b += 32;
#pragma GCC unroll 8
    for (int i = 0; i < MR; ++i) {
      int32_t pair;
      std::memcpy(&pair, a + static_cast<size_t>(i) * lda + p, sizeof(pair));
      const __m256i av = _mm256_set1_epi32(pair);
      acc[i][0] = _mm256_add_epi32(acc[i][0], _mm256_madd_epi16(av, b0));
      acc[i][1] = _mm256_add_epi32(acc[i][1], _mm256_madd_epi16(av, b1));
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < MR; ++i) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(c + static_cast<size_t>(i) * ldc), acc[i][0]);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(c + static_cast<size_t>(i) * ldc + 8), acc[i][1]);
  }
}

template <int MR>
size_t tile_of_rows(size_t rows, const int16_t* a, size_t lda, const int16_t* b, size_t k, int32_t* c, size_t ldc) {
  if constexpr (MR > 1) {
    if (rows < static_cast<size_t>(MR)) return tile_of_rows<MR - 1>(rows, a, lda, b, k, c, ldc);
  }
  tile<MR>(a, lda, b, k, c, ldc);
  return MR;
}

void multiply(size_t rows, size_t n, size_t k, const int16_t* a, const void* packed, int32_t* c) {
  const size_t lda = winograd_q_row(k), ldc = winograd_q_row(n);
  const int16_t* b = static_cast<const int16_t*>(packed);
  for (size_t j = 0; j < n; j += kPanel, b += kPanel * round_up(k, 2)) {
    for (size_t i = 0; i < rows;) i += tile_of_rows<kRows>(rows - i, a + i * lda, lda, b, k, c + i * ldc + j, ldc);
  }
}

void output(const WinogradQOutputArgs& a, size_t tile0, size_t tile1) {
  constexpr size_t kColumns = 256;
  const WinogradShape& s = a.shape;
  const EpilogueQ& e = a.epilogue;
  const size_t per_image = s.tiles_h * s.tiles_w, n = a.channels, row = winograd_q_row(n), bytes = e.out == QOut::u8 || e.out == QOut::s8 ? 1 : 4;
  const EpilogueRegs regs = epilogue_regs(e);
  const bool finite = e.out != QOut::s32 && all_finite(e.multiplier, n);
  alignas(32) int32_t sums[4][kColumns];  // [pixel]
  for (size_t t = tile0; t < tile1; ++t) {
    const size_t y0 = t % per_image / s.tiles_w * 2, x0 = t % s.tiles_w * 2;
    const size_t pixel = t / per_image * (s.out_h * s.out_w) + y0 * s.out_w + x0, columns = smaller(2, s.out_w - x0);
    for (size_t n0 = 0; n0 < n; n0 += kColumns) {
      const size_t n1 = smaller(n0 + kColumns, n);
      const int32_t* const products = a.products + (t - tile0) * row;
      for (size_t c = n0; c < n1; c += 8) {
        __m256i h[2][4];
#pragma GCC unroll 4
        for (size_t x = 0; x < 4; ++x) {
          const auto m = [&](size_t y) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(products + (y * 4 + x) * a.stride + c)); };
          const __m256i m1 = m(1), m2 = m(2);
          h[0][x] = _mm256_add_epi32(m(0), _mm256_add_epi32(m1, m2));
          h[1][x] = _mm256_sub_epi32(_mm256_sub_epi32(m1, m2), m(3));
        }
#pragma GCC unroll 2
        for (size_t y = 0; y < 2; ++y) {
          const __m256i left = _mm256_add_epi32(h[y][0], _mm256_add_epi32(h[y][1], h[y][2]));
          const __m256i right = _mm256_sub_epi32(_mm256_sub_epi32(h[y][1], h[y][2]), h[y][3]);
          _mm256_store_si256(reinterpret_cast<__m256i*>(sums[y * 2] + c - n0), _mm256_srai_epi32(left, 2));
          _mm256_store_si256(reinterpret_cast<__m256i*>(sums[y * 2 + 1] + c - n0), _mm256_srai_epi32(right, 2));
        }
      }
      for (size_t y = 0; y < 2 && y0 + y < s.out_h; ++y) {
        uint8_t* const c = static_cast<uint8_t*>(a.c) + ((pixel + y * s.out_w) * a.ldc + n0) * bytes;
        finish_rows(e, regs, finite, n0, n1 - n0, columns, sums[y * 2], kColumns, a.bias + n0, c, a.ldc * bytes);
      }
    }
  }
}

}  // namespace

const WinogradQVariant winograd_u8s8_s32__avx2_6x16 = {"winograd_u8s8_s32__avx2_6x16", Isa::avx2, kRows, packed_bytes, pack, input, multiply, output};

}  // namespace cec
