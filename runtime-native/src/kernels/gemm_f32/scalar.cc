// The reference: plain C++, 4 x 4 tiles so that it is usable where nothing better runs.
#include <algorithm>

#include "gemm_f32.h"
#include "pack.h"

namespace cec {
namespace {

constexpr size_t kTile = 4;

size_t packed_bytes(size_t n, size_t k) { return packed_floats(n, k, kTile, kTile) * sizeof(float); }

void pack(size_t n, size_t k, const float* w, size_t stride_n, size_t stride_k, void* dst) {
  pack_panels_f32(n, k, w, stride_n, stride_k, kTile, kTile, static_cast<float*>(dst));
}

float clamp(float v, float lo, float hi) {
  v = v < lo ? lo : v;
  return v > hi ? hi : v;
}

// The tile's rows are reached through row_pointer(i, tap), so gemm and conv share the loops.
template <class RowPointer>
void tile(size_t rows, size_t columns, size_t taps, size_t channels, const RowPointer& row_pointer, const float* b, const EpilogueF32& e,
          size_t m, size_t n, float* c, size_t ldc) {
  float acc[kTile][kTile] = {};
  for (size_t i = 0; i < rows; ++i) {
    for (size_t j = 0; j < columns; ++j) {
      if (e.residual != nullptr) acc[i][j] = e.residual[(m + i) * e.ld_residual + n + j];
      if (e.bias != nullptr) acc[i][j] += e.bias[n + j];
    }
  }
  for (size_t t = 0; t < taps; ++t) {
    const float* a[kTile];
    for (size_t i = 0; i < kTile; ++i) a[i] = row_pointer(std::min(i, rows - 1), t);
    for (size_t k = 0; k < channels; ++k, b += kTile) {
      for (size_t i = 0; i < kTile; ++i) {
        for (size_t j = 0; j < kTile; ++j) acc[i][j] += a[i][k] * b[j];
      }
    }
  }
  for (size_t i = 0; i < rows; ++i) {
    for (size_t j = 0; j < columns; ++j) {
      c[(m + i) * ldc + n + j] = clamp(acc[i][j], e.lo, e.hi);
    }
  }
}

void gemm(const GemmF32Args& p, size_t m0, size_t m1, size_t n0, size_t n1) {
  const float* packed = static_cast<const float*>(p.packed_b);
  for (size_t m = m0; m < m1; m += kTile) {
    for (size_t n = n0; n < n1; n += kTile) {
      const auto row = [&](size_t i, size_t) { return p.a + (m + i) * p.lda; };
      tile(std::min(m1 - m, kTile), std::min(n1 - n, kTile), 1, p.k, row, packed + n * p.k, p.epilogue, m, n, p.c, p.ldc);
    }
  }
}

void conv(const ConvF32Args& p, size_t m0, size_t m1, size_t n0, size_t n1) {
  const float* packed = static_cast<const float*>(p.packed_b);
  const Taps& taps = p.taps;
  for (size_t m = m0; m < m1; m += kTile) {
    for (size_t n = n0; n < n1; n += kTile) {
      const auto row = [&](size_t i, size_t t) {
        const int32_t offset = taps.offsets[(m + i) % taps.pixels * taps.taps + t];
        return offset < 0 ? p.zero : p.base + (m + i) / taps.pixels * taps.batch_stride + offset;
      };
      tile(std::min(m1 - m, kTile), std::min(n1 - n, kTile), taps.taps, taps.channels, row, packed + n * taps.taps * taps.channels,
           p.epilogue, m, n, p.c, p.ldc);
    }
  }
}

}  // namespace

const GemmF32Variant gemm_f32__scalar_4x4 = {"gemm_f32__scalar_4x4", Isa::scalar, kTile, kTile, packed_bytes, pack, gemm, conv};

}  // namespace cec
