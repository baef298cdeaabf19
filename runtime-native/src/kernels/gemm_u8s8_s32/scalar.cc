// The reference: plain C++ that says what every other variant must give, byte for byte.
#include <algorithm>

#include "../scalar_math.h"
#include "gemm_u8s8_s32.h"
#include "pack.h"

namespace cec {
namespace {

#include "../epilogue_q_scalar.inl"

constexpr size_t kTile = 4;

PackShape shape_of(size_t n, size_t k) { return {n, k, kTile, kTile, 1}; }

size_t packed_bytes(size_t n, size_t taps, size_t channels) { return packed_q_bytes(shape_of(n, taps * channels)); }

void pack(size_t n, size_t taps, size_t channels, const int8_t* w, size_t stride_n, size_t stride_k, void* dst) {
  pack_panels_s8(shape_of(n, taps * channels), w, stride_n, stride_k, dst);
}

size_t element_bytes(QOut out) { return out == QOut::u8 || out == QOut::s8 ? 1 : 4; }

// X is uint8_t or int8_t. Sums are unsigned: overflow wraps, as in the vector variants.
template <class X, class RowPointer>
void tile(size_t rows, size_t columns, size_t taps, size_t channels, const RowPointer& row_pointer, int32_t zp, const int8_t* b,
          const EpilogueQ& e, size_t m, size_t n, void* c, size_t ldc) {
  uint32_t acc[kTile][kTile] = {};
  for (size_t t = 0; t < taps; ++t) {
    const X* a[kTile];
    for (size_t i = 0; i < kTile; ++i) a[i] = row_pointer(std::min(i, rows - 1), t);
    for (size_t k = 0; k < channels; ++k, b += kTile) {
      for (size_t i = 0; i < kTile; ++i) {
        const int32_t x = static_cast<int32_t>(a[i][k]) - zp;
        for (size_t j = 0; j < kTile; ++j) acc[i][j] += static_cast<uint32_t>(x * b[j]);
      }
    }
  }
  for (size_t i = 0; i < rows; ++i) {
    uint8_t* row = static_cast<uint8_t*>(c) + (m + i) * ldc * element_bytes(e.out);
    for (size_t j = 0; j < columns; ++j) {
      const uint32_t bias = e.bias != nullptr ? static_cast<uint32_t>(e.bias[n + j]) : 0u;
      write(e, static_cast<int32_t>(acc[i][j] + bias), n + j, row);
    }
  }
}

const int8_t* panels(const void* packed, size_t n, size_t k) {
  return static_cast<const int8_t*>(packed) + packed_sums_bytes(shape_of(n, k));
}

template <class X>
void gemm_of(const GemmQArgs& p, size_t m0, size_t m1, size_t n0, size_t n1) {
  const int8_t* b = panels(p.packed_b, p.n, p.k);
  for (size_t m = m0; m < m1; m += kTile) {
    for (size_t n = n0; n < n1; n += kTile) {
      const auto row = [&](size_t i, size_t) { return static_cast<const X*>(p.a) + (m + i) * p.lda; };
      tile<X>(std::min(m1 - m, kTile), std::min(n1 - n, kTile), 1, p.k, row, p.a_zp, b + n * p.k, p.epilogue, m, n, p.c, p.ldc);
    }
  }
}

template <class X>
void conv_of(const ConvQArgs& p, size_t m0, size_t m1, size_t n0, size_t n1) {
  const Taps& taps = p.taps;
  const size_t k = taps.taps * taps.channels;
  const int8_t* b = panels(p.packed_b, p.n, k);
  for (size_t m = m0; m < m1; m += kTile) {
    for (size_t n = n0; n < n1; n += kTile) {
      const auto row = [&](size_t i, size_t t) {
        const int32_t offset = taps.offsets[(m + i) % taps.pixels * taps.taps + t];
        if (offset < 0) return static_cast<const X*>(p.zero);
        return static_cast<const X*>(p.base) + (m + i) / taps.pixels * taps.batch_stride + offset;
      };
      tile<X>(std::min(m1 - m, kTile), std::min(n1 - n, kTile), taps.taps, taps.channels, row, p.a_zp, b + n * k, p.epilogue, m, n, p.c,
              p.ldc);
    }
  }
}

void gemm(const GemmQArgs& p, size_t m0, size_t m1, size_t n0, size_t n1) {
  if (p.a_type == Q8::u8) gemm_of<uint8_t>(p, m0, m1, n0, n1);
  else gemm_of<int8_t>(p, m0, m1, n0, n1);
}

void conv(const ConvQArgs& p, size_t m0, size_t m1, size_t n0, size_t n1) {
  if (p.a_type == Q8::u8) conv_of<uint8_t>(p, m0, m1, n0, n1);
  else conv_of<int8_t>(p, m0, m1, n0, n1);
}

}  // namespace

const GemmQVariant gemm_u8s8_s32__scalar_4x4 = {"gemm_u8s8_s32__scalar_4x4", Isa::scalar, kTile, kTile, packed_bytes, pack, gemm, conv};

}  // namespace cec
