// The reference: one element at a time, each step as the contract says.
#include <cfloat>
#include <cmath>
#include <cstring>

#include "gemm_bf16.h"

namespace cec {
namespace {

using std::memcpy;
#include "pairs.inl"

constexpr size_t kTile = 4;

size_t packed_bytes(size_t n, size_t k) { return packed_pairs(n, k, kTile, kTile) * sizeof(uint32_t); }
void pack(size_t n, size_t k, const float* w, size_t stride_n, size_t stride_k, void* dst) { pack_pairs(n, k, w, stride_n, stride_k, kTile, kTile, dst); }

float flush(float v) { return std::fabs(v) < FLT_MIN ? std::copysign(0.0f, v) : v; }

float wide(uint32_t bits) {
  const uint32_t high = bits << 16;
  float v;
  memcpy(&v, &high, 4);
  return v;
}

float clamp(float v, float lo, float hi) {
  v = v < lo ? lo : v;
  return v > hi ? hi : v;
}

// element(row, index) reads A.
template <class Element>
void compute(size_t k, const void* packed, const EpilogueF32& e, float* c, size_t ldc, size_t m0, size_t m1, size_t n0, size_t n1, const Element& element) {
  const uint32_t* const b = static_cast<const uint32_t*>(packed);
  for (size_t m = m0; m < m1; ++m) {
    for (size_t n = n0; n < n1; n += kTile) {
      const size_t columns = n1 - n < kTile ? n1 - n : kTile;
      float acc[kTile] = {};
      for (size_t j = 0; j < columns; ++j) {
        if (e.residual != nullptr) acc[j] = e.residual[m * e.ld_residual + n + j];
        if (e.bias != nullptr) acc[j] = flush(flush(e.bias[n + j]) + flush(acc[j]));
        acc[j] = flush(acc[j]);
      }
      const uint32_t* panel = b + n * pair_count(k);
      for (size_t p = 0; p < pair_count(k); ++p, panel += kTile) {
        const float low = wide(bf16_bits(element(m, 2 * p))), high = 2 * p + 1 < k ? wide(bf16_bits(element(m, 2 * p + 1))) : 0.0f;
        for (size_t j = 0; j < columns; ++j) {
          acc[j] = flush(std::fma(high, wide(panel[j] >> 16), acc[j]));
          acc[j] = flush(std::fma(low, wide(panel[j] & 0xffffu), acc[j]));
        }
      }
      for (size_t j = 0; j < columns; ++j) c[m * ldc + n + j] = clamp(acc[j], e.lo, e.hi);
    }
  }
}

void gemm(const GemmF32Args& p, size_t m0, size_t m1, size_t n0, size_t n1) {
  compute(p.k, p.packed_b, p.epilogue, p.c, p.ldc, m0, m1, n0, n1, [&](size_t row, size_t i) { return p.a[row * p.lda + i]; });
}

void conv(const ConvF32Args& p, size_t m0, size_t m1, size_t n0, size_t n1) {
  const Taps& t = p.taps;
  compute(t.taps * t.channels, p.packed_b, p.epilogue, p.c, p.ldc, m0, m1, n0, n1, [&](size_t row, size_t i) {
    const int32_t offset = t.offsets[row % t.pixels * t.taps + i / t.channels];
    return offset < 0 ? 0.0f : p.base[row / t.pixels * t.batch_stride + static_cast<size_t>(offset) + i % t.channels];
  });
}

}  // namespace

const GemmBf16Variant gemm_bf16__scalar_4x4 = {"gemm_bf16__scalar_4x4", Isa::scalar, kTile, kTile, packed_bytes, pack, gemm, conv};

}  // namespace cec
