// Every variant against the scalar reference to the bit, and the reference against rounded operands multiplied in f64.
#include <cfloat>
#include <cmath>

#include "test_util.h"

namespace cec::test {
namespace {

#define CEC_KERNEL_VARIANT(isa, name) &name,
const GemmBf16Variant* const kVariants[] = {
#include "kernels/gemm_bf16/variants.inc"
};
#undef CEC_KERNEL_VARIANT

class GemmBf16 : public testing::TestWithParam<const GemmBf16Variant*> {};
INSTANTIATE_TEST_SUITE_P(All, GemmBf16, testing::ValuesIn(kVariants), [](const auto& info) { return variant_name(info); });

float from_bits(uint32_t bits) {
  float v;
  std::memcpy(&v, &bits, 4);
  return v;
}

uint32_t bits_of(float v) {
  uint32_t bits;
  std::memcpy(&bits, &v, 4);
  return bits;
}

/// The nearest value of 8 significant bits by the definition: of the neighbours below and above, the nearer, at a tie the one whose last bit is 0.
float nearest_bf16(float v) {
  if (std::fabs(v) < FLT_MIN) return std::copysign(0.0f, v);
  const float below = from_bits(bits_of(v) & 0xffff0000u);  // nearer to zero
  const uint32_t next = (bits_of(v) & 0xffff0000u) + 0x10000u;
  const double above = (next & 0x7f800000u) == 0x7f800000u ? std::copysign(std::ldexp(1.0, 128), v) : static_cast<double>(from_bits(next));
  const double down = std::fabs(static_cast<double>(v) - static_cast<double>(below)), up = std::fabs(above - static_cast<double>(v));
  if (down < up) return below;
  if (up < down) return from_bits(next);
  return (bits_of(below) & 0x10000u) == 0 ? below : from_bits(next);
}

struct Problem {
  size_t m, n, k;
  std::vector<float> a, w, bias, residual;
  float lo = -kInfinity, hi = kInfinity;
};

std::vector<float> product(const GemmBf16Variant& v, const Problem& p, bool split = false) {
  Guarded<float> a(p.a.size()), bias(p.bias.size()), residual(p.residual.size()), c(p.m * p.n);
  std::copy(p.a.begin(), p.a.end(), a.data());
  std::copy(p.bias.begin(), p.bias.end(), bias.data());
  std::copy(p.residual.begin(), p.residual.end(), residual.data());
  Packed packed(v.packed_bytes(p.n, p.k));
  v.pack(p.n, p.k, p.w.data(), p.k, 1, packed.data());
  GemmF32Args g;
  g.m = p.m;
  g.n = p.n;
  g.k = g.lda = p.k;
  g.a = a.data();
  g.packed_b = packed.data();
  g.c = c.data();
  g.ldc = p.n;
  if (!p.bias.empty()) g.epilogue.bias = bias.data();
  if (!p.residual.empty()) {
    g.epilogue.residual = residual.data();
    g.epilogue.ld_residual = p.n;
  }
  g.epilogue.lo = p.lo;
  g.epilogue.hi = p.hi;
  const size_t step = split ? 3 : p.m;
  for (size_t m0 = 0; m0 < p.m; m0 += step) {
    const size_t middle = split && p.n > v.n_step ? v.n_step : p.n;
    v.gemm(g, m0, std::min(p.m, m0 + step), 0, middle);
    if (middle < p.n) v.gemm(g, m0, std::min(p.m, m0 + step), middle, p.n);
  }
  return std::vector<float>(c.data(), c.data() + c.size());
}

/// Values of `kind`: 0 uniform, 1 over the whole range of exponents with subnormals, zeros and infinities.
std::vector<float> values(size_t n, int kind, Random& random) {
  std::vector<float> v(n);
  for (float& x : v) {
    if (kind == 0) {
      x = std::uniform_real_distribution<float>(-1, 1)(random);
      continue;
    }
    const uint32_t r = random();
    x = from_bits(r % 7 == 0 ? r & 0x807fffffu : r % 11 == 0 ? r & 0x80000000u : r % 97 == 0 ? 0x7f800000u | (r & 0x80000000u) : (r & 0x9fffffffu) | 0x20000000u);
    if (r % 5 == 0) x = static_cast<float>(static_cast<int>(r % 2001) - 1000) * FLT_MIN * 0.01f;
  }
  return v;
}

Problem make(size_t m, size_t n, size_t k, int kind, bool bias, bool residual, unsigned seed) {
  Random random(seed);
  Problem p{m, n, k, values(m * k, kind, random), values(n * k, kind, random), {}, {}};
  if (bias) p.bias = values(n, kind, random);
  if (residual) p.residual = values(m * n, kind, random);
  return p;
}

void expect_same(const std::vector<float>& got, const std::vector<float>& want, const Problem& p) {
  for (size_t i = 0; i < want.size(); ++i) {
    if (std::isnan(want[i]) && std::isnan(got[i])) continue;
    ASSERT_EQ(bits_of(got[i]), bits_of(want[i])) << "m=" << p.m << " n=" << p.n << " k=" << p.k << " at " << i << ": " << got[i] << ", want " << want[i];
  }
}

TEST_P(GemmBf16, EqualsTheScalarReferenceToTheBit) {
  CEC_SKIP_UNLESS_RUNNABLE(GetParam());
  const GemmBf16Variant& v = *GetParam();
  unsigned seed = 0;
  for (const size_t m : {size_t{0}, size_t{1}, size_t{2}, v.m_step - 1, v.m_step, 2 * v.m_step + 1, size_t{61}}) {
    for (const size_t n : {size_t{1}, v.n_step / 2, v.n_step / 2 + 1, v.n_step, 2 * v.n_step + 3}) {
      for (const size_t k : {1, 2, 3, 17, 64}) {
        for (const int kind : {0, 1}) {
          Problem p = make(m, n, k, kind, seed % 2 == 0, seed % 3 == 0, seed);
          ++seed;
          if (seed % 4 == 0) p.lo = 0;
          expect_same(product(v, p), product(gemm_bf16__scalar_4x4, p), p);
          if (HasFatalFailure()) return;
        }
      }
    }
  }
  for (const size_t k : {511, 512, 513, 1300}) {  // blocks of depth: chains rest in C
    const Problem p = make(31, 37, k, 0, true, true, static_cast<unsigned>(k));
    expect_same(product(v, p), product(gemm_bf16__scalar_4x4, p), p);
  }
}

TEST_P(GemmBf16, GivesTheSameBitsInAnyPartition) {
  CEC_SKIP_UNLESS_RUNNABLE(GetParam());
  const GemmBf16Variant& v = *GetParam();
  const Problem p = make(29, 2 * v.n_step + 5, 601, 0, true, true, 7);
  expect_same(product(v, p, true), product(v, p), p);
}

TEST_P(GemmBf16, LeavesTheModeOfTheFloatingPointUnitAsItWas) {
  CEC_SKIP_UNLESS_RUNNABLE(GetParam());
  product(*GetParam(), make(5, 5, 5, 0, false, false, 1));
  volatile float smallest = FLT_MIN;
  EXPECT_GT(smallest / 2, 0.0f);
}

TEST(GemmBf16Reference, RoundsOperandsToTheNearestAndSumsThemInF32) {
  for (const size_t k : {1, 2, 33, 500}) {
    const Problem p = make(7, 9, k, 0, true, true, static_cast<unsigned>(k));
    const std::vector<float> got = product(gemm_bf16__scalar_4x4, p);
    for (size_t i = 0; i < p.m; ++i) {
      for (size_t j = 0; j < p.n; ++j) {
        double sum = static_cast<double>(p.bias[j]) + static_cast<double>(p.residual[i * p.n + j]), magnitude = std::fabs(sum);
        for (size_t l = 0; l < k; ++l) {
          const double term = static_cast<double>(nearest_bf16(p.a[i * k + l])) * static_cast<double>(nearest_bf16(p.w[j * k + l]));
          sum += term;
          magnitude += std::fabs(term);
        }
        ASSERT_NEAR(static_cast<double>(got[i * p.n + j]), sum, 6e-8 * static_cast<double>(k + 2) * magnitude);
      }
    }
  }
}

TEST(GemmBf16Reference, RoundsEveryKindOfNumber) {
  Random random(3);
  for (int round = 0; round < 5000; ++round) {
    uint32_t bits = random();
    if (round % 4 == 0) bits = (bits & 0xffff0000u) | 0x8000u;  // ties
    const float v = from_bits(bits);
    if (std::isnan(v) || std::isinf(v)) continue;
    const Problem p{1, 1, 1, {v}, {1.0f}, {}, {}};
    const float want = nearest_bf16(v);
    const float got = product(gemm_bf16__scalar_4x4, p)[0];
    ASSERT_TRUE(got == want) << v << ": " << got << ", want " << want;
  }
}

TEST(GemmBf16Reference, TakesTheUpperElementOfAPairFirst) {
  // 2^24 + 1 is no f32: adding 1 first to 2^24 loses it, adding -2^24 first keeps it.
  const float big = 16777216.0f;
  const Problem upper_last{1, 1, 2, {-1.0f, 1.0f}, {big, 1.0f}, {big}, {}};   // (2^24 + 1) rounds to 2^24, minus 2^24
  const Problem upper_first{1, 1, 2, {1.0f, -1.0f}, {1.0f, big}, {big}, {}};  // (2^24 - 2^24) plus 1
  EXPECT_EQ(product(gemm_bf16__scalar_4x4, upper_last)[0], 0.0f);
  EXPECT_EQ(product(gemm_bf16__scalar_4x4, upper_first)[0], 1.0f);
}

TEST_P(GemmBf16, ConvolvesAsTheScalarReference) {
  CEC_SKIP_UNLESS_RUNNABLE(GetParam());
  const GemmBf16Variant& v = *GetParam();
  struct Image {
    size_t batch, h, w, channels, out, kernel, stride, pad;
  };
  for (const Image& s : {Image{2, 5, 6, 3, 10, 3, 1, 1}, Image{1, 9, 7, 17, 40, 3, 2, 1}, Image{1, 6, 6, 8, 33, 5, 1, 2}, Image{3, 4, 4, 5, 7, 1, 2, 0}, Image{1, 8, 8, 67, 5, 3, 1, 1}}) {
    const size_t oh = (s.h + 2 * s.pad - s.kernel) / s.stride + 1, ow = (s.w + 2 * s.pad - s.kernel) / s.stride + 1;
    const size_t taps = s.kernel * s.kernel, rows = s.batch * oh * ow, k = taps * s.channels;
    Random random(5);
    Guarded<float> x(s.batch * s.h * s.w * s.channels), w(s.out * k), bias(s.out), zero(s.channels);
    fill_uniform(x, random);
    fill_uniform(w, random);
    fill_uniform(bias, random);
    TapGeometry geometry;
    geometry.in_h = s.h;
    geometry.in_w = s.w;
    geometry.out_h = oh;
    geometry.out_w = ow;
    geometry.kernel_h = geometry.kernel_w = s.kernel;
    geometry.stride_h = geometry.stride_w = s.stride;
    geometry.pad_top = geometry.pad_left = static_cast<ptrdiff_t>(s.pad);
    geometry.pixel_stride = s.channels;
    std::vector<int32_t> offsets(oh * ow * taps);
    build_tap_offsets(geometry, offsets.data());
    const auto convolved = [&](const GemmBf16Variant& variant) {
      Guarded<float> c(rows * s.out);
      Packed packed(variant.packed_bytes(s.out, k));
      variant.pack(s.out, k, w.data(), k, 1, packed.data());
      ConvF32Args a;
      a.rows = rows;
      a.n = s.out;
      a.taps = {offsets.data(), oh * ow, taps, s.channels, s.h * s.w * s.channels};
      a.base = x.data();
      a.zero = zero.data();
      a.packed_b = packed.data();
      a.c = c.data();
      a.ldc = s.out;
      a.epilogue.bias = bias.data();
      a.epilogue.lo = 0;
      variant.conv(a, 0, rows / 2, 0, s.out);
      variant.conv(a, rows / 2, rows, 0, s.out);
      return std::vector<float>(c.data(), c.data() + c.size());
    };
    EXPECT_TRUE(convolved(v) == convolved(gemm_bf16__scalar_4x4));
  }
}

}  // namespace
}  // namespace cec::test
