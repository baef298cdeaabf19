// half_f32: against the definition of binary16 in double, and every variant's bits against the scalar one's.
#include <cmath>

#include "test_util.h"

namespace cec::test {
namespace {

#define CEC_KERNEL_VARIANT(isa, name) &name,
const HalfF32Variant* const kHalf[] = {
#include "kernels/half_f32/variants.inc"
};
#undef CEC_KERNEL_VARIANT

class HalfF32 : public testing::TestWithParam<const HalfF32Variant*> {};
INSTANTIATE_TEST_SUITE_P(All, HalfF32, testing::ValuesIn(kHalf), [](const auto& info) { return variant_name(info); });

/// IEEE 754: (-1)^s 2^(e - 15) 1.f, and below that steps of 2^-24.
double value_of(uint32_t h) {
  const double sign = (h & 0x8000) != 0 ? -1 : 1;
  const int exponent = static_cast<int>(h >> 10 & 31);
  const double fraction = h & 1023;
  if (exponent == 31) return fraction == 0 ? sign * INFINITY : NAN;
  return sign * (exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25));
}

TEST_P(HalfF32, WidensEveryValueAndNarrowsItBack) {
  CEC_SKIP_UNLESS_RUNNABLE(GetParam());
  const size_t n = 65536;
  Guarded<uint16_t> h(n), back(n);
  Guarded<float> f(n);
  for (size_t i = 0; i < n; ++i) h[i] = static_cast<uint16_t>(i);
  GetParam()->widen(n, h.data(), f.data());
  GetParam()->narrow(n, f.data(), back.data());
  for (size_t i = 0; i < n; ++i) {
    const double want = value_of(static_cast<uint32_t>(i));
    if (std::isnan(want)) {
      ASSERT_TRUE(std::isnan(f[i]));
      ASSERT_EQ(back[i], 0x7e00);
    } else {
      ASSERT_EQ(static_cast<double>(f[i]), want) << i;
      ASSERT_EQ(back[i], h[i]) << i;
    }
  }
}

TEST_P(HalfF32, RoundsToTheNearestAndTiesToEven) {
  CEC_SKIP_UNLESS_RUNNABLE(GetParam());
  // Between neighbours: just below the middle, the middle, just above; and what lies beyond the largest.
  std::vector<float> x;
  std::vector<double> want;
  for (uint32_t h = 0; h < 0x7bff; ++h) {
    const double low = value_of(h), high = value_of(h + 1);
    const float middle = static_cast<float>((low + high) / 2);
    for (const double sign : {1.0, -1.0}) {
      x.insert(x.end(), {static_cast<float>(sign) * std::nextafter(middle, 0.0f), static_cast<float>(sign) * middle, static_cast<float>(sign) * std::nextafter(middle, 1e6f)});
      want.insert(want.end(), {sign * low, sign * ((h & 1) == 0 ? low : high), sign * high});
    }
  }
  for (const float v : {65519.99f, 65520.0f, 65536.0f, 1e30f, INFINITY}) {
    x.push_back(v);
    want.push_back(v < 65520.0f ? 65504.0 : static_cast<double>(INFINITY));
  }
  const size_t n = x.size();
  Guarded<float> y(n);
  const HalfCounts counts = GetParam()->round(n, x.data(), y.data());
  for (size_t i = 0; i < n; ++i) ASSERT_EQ(static_cast<double>(y[i]), want[i]) << x[i];
  EXPECT_EQ(counts.nonzero, n);
  // Up to the middle of 0 and 2^-24, of either sign.
  EXPECT_EQ(counts.flushed, 4u);
}

TEST_P(HalfF32, GivesTheScalarBitsAtEveryLength) {
  CEC_SKIP_UNLESS_RUNNABLE(GetParam());
  Random random(3);
  for (size_t n = 0; n < 70; ++n) {
    Guarded<float> x(n), y(n), want(n);
    Guarded<uint16_t> h(n), want_h(n);
    for (size_t i = 0; i < n; ++i) {
      // Any bits, and values around the least ones.
      const uint32_t bits = static_cast<uint32_t>(random());
      std::memcpy(&x[i], &bits, 4);
      if (i % 3 == 0) x[i] = std::ldexp(static_cast<float>(static_cast<int32_t>(bits)), -31 - 20);
      if (i % 7 == 0) x[i] = 0.0f;
    }
    const HalfCounts a = GetParam()->round(n, x.data(), y.data()), b = kHalf[0]->round(n, x.data(), want.data());
    EXPECT_EQ(a.nonzero, b.nonzero);
    EXPECT_EQ(a.flushed, b.flushed);
    EXPECT_EQ(std::memcmp(y.data(), want.data(), n * sizeof(float)), 0);
    GetParam()->narrow(n, x.data(), h.data());
    kHalf[0]->narrow(n, x.data(), want_h.data());
    EXPECT_EQ(std::memcmp(h.data(), want_h.data(), n * sizeof(uint16_t)), 0);
    // In place.
    GetParam()->round(n, x.data(), x.data());
    EXPECT_EQ(std::memcmp(x.data(), want.data(), n * sizeof(float)), 0);
  }
}

}  // namespace
}  // namespace cec::test
