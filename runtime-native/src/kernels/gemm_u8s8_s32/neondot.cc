// AArch64 with sdot: 8 rows x 8 columns, four depths a step. Activations of u8 are moved down by 128 so that both factors are signed; the column sums put that
// right together with the zero point. Every sum is exact mod 2^32.
#include <arm_neon.h>

#include <cstring>

#include "../scalar_math.h"
#include "gemm_u8s8_s32.h"
#include "pack.h"

namespace cec {
namespace {

#include "../epilogue_q_scalar.inl"

constexpr size_t kRows = 8, kPanel = 8, kGranule = 4;
// Depth of the rows that stand on the stack at once, 32 KiB in all.
constexpr size_t kPiece = 4096;

PackShape shape_of(size_t n, size_t k) { return {n, k, kPanel, kPanel, kGranule}; }
size_t packed_bytes(size_t n, size_t taps, size_t channels) { return packed_q_bytes(shape_of(n, taps * channels)); }
void pack(size_t n, size_t taps, size_t channels, const int8_t* w, size_t stride_n, size_t stride_k, void* dst) {
  pack_panels_s8(shape_of(n, taps * channels), w, stride_n, stride_k, dst);
}

constexpr size_t smaller(size_t a, size_t b) { return a < b ? a : b; }
constexpr size_t granules(size_t depth) { return (depth + kGranule - 1) / kGranule; }

struct Problem {
  size_t n, k;
  Q8 a_type;
  int32_t a_zp;
  const void* packed_b;
  const EpilogueQ* epilogue;
  void* c;
  size_t ldc;
};

// One row of the buffer: bytes [from, to) of a row of A, signed, filled up to whole granules with 0.
template <class Read>
void fill_row(const Problem& p, const Read& read, size_t row, size_t from, size_t to, int8_t* out) {
  read(row, from, to, reinterpret_cast<uint8_t*>(out));
  const size_t depth = to - from;
  if (p.a_type == Q8::u8) {
    for (size_t i = 0; i < depth; ++i) out[i] = static_cast<int8_t>(out[i] ^ -128);
  }
  for (size_t i = depth; i < granules(depth) * kGranule; ++i) out[i] = 0;
}

// acc[i][v] += A x B over `depth` granules.
template <size_t R>
void multiply(const int8_t* a, const int8_t* b, size_t depth, int32x4_t (&acc)[kRows][2]) {
  int32x4_t sum[R][2];
  for (size_t i = 0; i < R; ++i) {
    sum[i][0] = acc[i][0];
    sum[i][1] = acc[i][1];
  }
  for (size_t g = 0; g < depth; ++g, b += kPanel * kGranule, a += kGranule) {
    const int8x16_t b0 = vld1q_s8(b), b1 = vld1q_s8(b + 16);
    for (size_t i = 0; i < R; ++i) {
      int32_t four;
      memcpy(&four, a + i * kPiece, 4);
      const int8x16_t av = vreinterpretq_s8_s32(vdupq_n_s32(four));
      sum[i][0] = vdotq_s32(sum[i][0], b0, av);
      sum[i][1] = vdotq_s32(sum[i][1], b1, av);
    }
  }
  for (size_t i = 0; i < R; ++i) {
    acc[i][0] = sum[i][0];
    acc[i][1] = sum[i][1];
  }
}

void multiply_rows(size_t rows, const int8_t* a, const int8_t* b, size_t depth, int32x4_t (&acc)[kRows][2]) {
  switch (rows) {
    case 8: return multiply<8>(a, b, depth, acc);
    case 7: return multiply<7>(a, b, depth, acc);
    case 6: return multiply<6>(a, b, depth, acc);
    case 5: return multiply<5>(a, b, depth, acc);
    case 4: return multiply<4>(a, b, depth, acc);
    case 3: return multiply<3>(a, b, depth, acc);
    case 2: return multiply<2>(a, b, depth, acc);
    default: return multiply<1>(a, b, depth, acc);
  }
}

// read(row, from, to, out) copies bytes [from, to) of a row of A.
template <class Read>
void compute(const Problem& p, size_t m0, size_t m1, size_t n0, size_t n1, const Read& read) {
  alignas(16) int8_t buffer[kRows * kPiece];
  const int32_t* const sums = static_cast<const int32_t*>(p.packed_b);
  const int8_t* const panels = static_cast<const int8_t*>(p.packed_b) + packed_sums_bytes(shape_of(p.n, p.k));
  const uint32_t shift = static_cast<uint32_t>((p.a_type == Q8::u8 ? 128 : 0) - p.a_zp);
  const size_t element = p.epilogue->out == QOut::u8 || p.epilogue->out == QOut::s8 ? 1 : 4;
  for (size_t m = m0; m < m1; m += kRows) {
    const size_t rows = smaller(m1 - m, kRows);
    const auto fill = [&](size_t from) {
      for (size_t i = 0; i < rows; ++i) fill_row(p, read, m + i, from, smaller(from + kPiece, p.k), buffer + i * kPiece);
    };
    const bool whole = p.k <= kPiece;
    if (whole) fill(0);
    for (size_t n = n0; n < n1; n += kPanel) {
      int32x4_t acc[kRows][2];
      for (size_t i = 0; i < kRows; ++i) acc[i][0] = acc[i][1] = vdupq_n_s32(0);
      const int8_t* const b = panels + n * granules(p.k) * kGranule;
      for (size_t from = 0; from < p.k; from += kPiece) {
        if (!whole) fill(from);
        multiply_rows(rows, buffer, b + from * kPanel, granules(smaller(p.k - from, kPiece)), acc);
      }
      for (size_t i = 0; i < rows; ++i) {
        int32_t lanes[kPanel];
        vst1q_s32(lanes, acc[i][0]);
        vst1q_s32(lanes + 4, acc[i][1]);
        uint8_t* const row = static_cast<uint8_t*>(p.c) + (m + i) * p.ldc * element;
        for (size_t j = n; j < smaller(n + kPanel, n1); ++j) {
          const uint32_t bias = p.epilogue->bias != nullptr ? static_cast<uint32_t>(p.epilogue->bias[j]) : 0u;
          write(*p.epilogue, static_cast<int32_t>(static_cast<uint32_t>(lanes[j - n]) + shift * static_cast<uint32_t>(sums[j]) + bias), j, row);
        }
      }
    }
  }
}

void gemm(const GemmQArgs& a, size_t m0, size_t m1, size_t n0, size_t n1) {
  const Problem p{a.n, a.k, a.a_type, a.a_zp, a.packed_b, &a.epilogue, a.c, a.ldc};
  compute(p, m0, m1, n0, n1, [&](size_t row, size_t from, size_t to, uint8_t* out) { memcpy(out, static_cast<const uint8_t*>(a.a) + row * a.lda + from, to - from); });
}

void conv(const ConvQArgs& a, size_t m0, size_t m1, size_t n0, size_t n1) {
  const Taps& t = a.taps;
  const Problem p{a.n, t.taps * t.channels, a.a_type, a.a_zp, a.packed_b, &a.epilogue, a.c, a.ldc};
  compute(p, m0, m1, n0, n1, [&](size_t row, size_t from, size_t to, uint8_t* out) {
    const uint8_t* const image = static_cast<const uint8_t*>(a.base) + row / t.pixels * t.batch_stride;
    const int32_t* const offsets = t.offsets + row % t.pixels * t.taps;
    for (size_t i = from; i < to;) {
      const size_t tap = i / t.channels, channel = i % t.channels, count = smaller(t.channels - channel, to - i);
      const uint8_t* const source = offsets[tap] < 0 ? static_cast<const uint8_t*>(a.zero) : image + offsets[tap];
      memcpy(out, source + channel, count);
      out += count;
      i += count;
    }
  });
}

}  // namespace

const GemmQVariant gemm_u8s8_s32__neondot_8x8 = {"gemm_u8s8_s32__neondot_8x8", Isa::neondot, kRows, kPanel, packed_bytes, pack, gemm, conv};

}  // namespace cec
