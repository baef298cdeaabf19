#include <algorithm>
#include <cmath>

#include "test_util.h"

namespace cec::test {
namespace {

#define CEC_KERNEL_VARIANT(isa, name) &name,
const Quantize8Variant* const kVariants[] = {
#include "kernels/quantize_8bit/variants.inc"
};
#undef CEC_KERNEL_VARIANT

class Quantize : public testing::TestWithParam<const Quantize8Variant*> {};
INSTANTIATE_TEST_SUITE_P(All, Quantize, testing::ValuesIn(kVariants), [](const auto& info) { return variant_name(info); });

constexpr size_t kLengths[] = {0, 1, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 101, 130};
const QParams kParams[] = {{Q8::u8, 0.05f, 128}, {Q8::s8, 0.03f, -7}, {Q8::u8, 0.011f, 0}, {Q8::s8, 0.2f, 127}};

int32_t low(Q8 type) { return type == Q8::u8 ? 0 : -128; }
int32_t high(Q8 type) { return type == Q8::u8 ? 255 : 127; }

TEST_P(Quantize, ConversionsEqualTheScalarReferenceToTheByte) {
  CEC_SKIP_UNLESS_RUNNABLE(GetParam());
  for (const size_t n : kLengths) {
    for (const QParams& q : kParams) {
      Random random(static_cast<unsigned>(n));
      Guarded<float> x(n), f(n), g(n);
      Guarded<uint8_t> a(n), b(n);
      fill_uniform(x, random, -10, 10);
      if (n > 4) {
        x[0] = std::nanf("");
        x[1] = kInfinity;
        x[2] = -kInfinity;
        x[3] = 3e38f;
        x[4] = 2.5f * q.scale;
      }
      GetParam()->quantize(n, x.data(), q, low(q.type), high(q.type), a.data());
      quantize_8bit__scalar.quantize(n, x.data(), q, low(q.type), high(q.type), b.data());
      ASSERT_EQ(std::memcmp(a.data(), b.data(), n), 0) << n;
      fill_bytes(a, random);
      GetParam()->dequantize(n, a.data(), q, f.data());
      quantize_8bit__scalar.dequantize(n, a.data(), q, g.data());
      ASSERT_EQ(std::memcmp(f.data(), g.data(), n * sizeof(float)), 0) << n;
      for (const QParams& y : kParams) {
        Guarded<uint8_t> c(n), d(n);
        GetParam()->requantize(n, a.data(), q, y, low(y.type) + 3, high(y.type), c.data());
        quantize_8bit__scalar.requantize(n, a.data(), q, y, low(y.type) + 3, high(y.type), d.data());
        ASSERT_EQ(std::memcmp(c.data(), d.data(), n), 0) << n;
      }
    }
  }
}

// Ties and their neighbours show a quotient that is not correctly rounded; the scales have the significands and exponents at which a reciprocal misleads.
TEST_P(Quantize, QuotientsAreCorrectlyRoundedNextToTies) {
  CEC_SKIP_UNLESS_RUNNABLE(GetParam());
  std::vector<float> scales{1.0f, 0.1f, 1.0f / 3, std::nextafterf(2.0f, 0.0f), std::nextafterf(1.0f, 2.0f), 1.1754944e-38f, 1e-40f, 1e-45f, 3e38f, 1e30f, 1e-30f};
  Random random(11);
  for (int i = 0; i < 500; ++i) scales.push_back(std::exp2f(static_cast<float>(random() % 40) - 30.0f) * (1.0f + static_cast<float>(random() % (1u << 23)) / 8388608.0f));
  std::vector<float> x;
  for (const float scale : scales) {
    x.clear();
    for (int k = -130; k <= 130; ++k) {
      float at = (static_cast<float>(k) + 0.5f) * scale;
      for (int i = 0; i < 2; ++i) at = std::nextafterf(at, -kInfinity);
      for (int i = 0; i < 5; ++i, at = std::nextafterf(at, kInfinity)) x.push_back(at);
    }
    std::vector<uint8_t> a(x.size()), b(x.size());
    const QParams q{Q8::u8, scale, 128};
    GetParam()->quantize(x.size(), x.data(), q, 0, 255, a.data());
    quantize_8bit__scalar.quantize(x.size(), x.data(), q, 0, 255, b.data());
    ASSERT_EQ(a, b) << scale;
  }
}

TEST_P(Quantize, SumsAndProductsEqualTheScalarReferenceForAllPairsOfValues) {
  CEC_SKIP_UNLESS_RUNNABLE(GetParam());
  std::vector<uint8_t> a(65536), b(65536), c(65536), d(65536);
  for (size_t i = 0; i < a.size(); ++i) {
    a[i] = static_cast<uint8_t>(i);
    b[i] = static_cast<uint8_t>(i / 256);
  }
  for (const QParams& aq : kParams) {
    for (const QParams& bq : kParams) {
      for (const QParams& yq : kParams) {
        GetParam()->add(a.size(), a.data(), false, aq, b.data(), false, bq, yq, low(yq.type), high(yq.type), c.data());
        quantize_8bit__scalar.add(a.size(), a.data(), false, aq, b.data(), false, bq, yq, low(yq.type), high(yq.type), d.data());
        ASSERT_EQ(c, d);
        GetParam()->mul(a.size(), a.data(), false, aq, b.data(), false, bq, yq, low(yq.type), high(yq.type), c.data());
        quantize_8bit__scalar.mul(a.size(), a.data(), false, aq, b.data(), false, bq, yq, low(yq.type), high(yq.type), d.data());
        ASSERT_EQ(c, d);
      }
    }
  }
}

TEST_P(Quantize, SumsBroadcastScalarsAndWorkInPlace) {
  CEC_SKIP_UNLESS_RUNNABLE(GetParam());
  const QParams aq = kParams[0], bq = kParams[1], yq = kParams[2];
  for (const size_t n : kLengths) {
    if (n == 0) continue;
    Random random(2);
    Guarded<uint8_t> a(n), b(1), c(n), d(n);
    fill_bytes(a, random);
    fill_bytes(b, random);
    GetParam()->add(n, a.data(), false, aq, b.data(), true, bq, yq, 0, 255, c.data());
    for (size_t i = 0; i < n; ++i) quantize_8bit__scalar.add(1, &a[i], false, aq, b.data(), false, bq, yq, 0, 255, &d[i]);
    ASSERT_EQ(std::memcmp(c.data(), d.data(), n), 0);
    GetParam()->add(n, c.data(), false, aq, b.data(), true, bq, yq, 0, 255, c.data());
    GetParam()->add(n, d.data(), false, aq, b.data(), true, bq, yq, 0, 255, d.data());
    ASSERT_EQ(std::memcmp(c.data(), d.data(), n), 0);
  }
}

TEST_P(Quantize, TablesAndRowSumsAreExact) {
  CEC_SKIP_UNLESS_RUNNABLE(GetParam());
  Random random(4);
  std::vector<uint8_t> table(256);
  fill_bytes(table, random);
  for (const size_t n : {0, 1, 31, 32, 33, 256, 1000}) {
    Guarded<uint8_t> x(n), y(n);
    for (size_t i = 0; i < n; ++i) x[i] = static_cast<uint8_t>(i * 7);
    GetParam()->lut(n, x.data(), table.data(), y.data());
    for (size_t i = 0; i < n; ++i) ASSERT_EQ(y[i], table[x[i]]);
    for (const Q8 type : {Q8::u8, Q8::s8}) {
      int32_t got = -1;
      GetParam()->row_sums(1, n, x.data(), type, n, &got);
      int32_t sum = 0;
      for (size_t i = 0; i < n; ++i) sum += type == Q8::u8 ? static_cast<int32_t>(x[i]) : static_cast<int8_t>(x[i]);
      ASSERT_EQ(got, sum) << n;
    }
  }
}

// The reference against formulas in double, where no rounding of f32 is near a half.
TEST(QuantizeReference, FollowsTheFormulas) {
  const float x[] = {0.05f * 3, -0.05f * 128, 1e9f, -1e9f, 0.125f, 0.375f};
  uint8_t y[6];
  quantize_8bit__scalar.quantize(6, x, {Q8::u8, 0.05f, 128}, 0, 255, y);
  EXPECT_EQ(y[0], 131);
  EXPECT_EQ(y[1], 0);
  EXPECT_EQ(y[2], 255);
  EXPECT_EQ(y[3], 0);
  quantize_8bit__scalar.quantize(6, x, {Q8::u8, 0.25f, 10}, 0, 255, y);
  EXPECT_EQ(y[4], 10);  // 0.5 to even 0
  EXPECT_EQ(y[5], 12);  // 1.5 to even 2
  for (int a = 0; a < 256; a += 5) {
    for (int b = -128; b < 128; b += 3) {
      const uint8_t p = static_cast<uint8_t>(a), q = static_cast<uint8_t>(b);
      uint8_t sum = 0, product = 0;
      quantize_8bit__scalar.add(1, &p, false, {Q8::u8, 0.05f, 128}, &q, false, {Q8::s8, 0.03f, -7}, {Q8::u8, 0.0712f, 100}, 0, 255, &sum);
      quantize_8bit__scalar.mul(1, &p, false, {Q8::u8, 0.05f, 128}, &q, false, {Q8::s8, 0.03f, -7}, {Q8::u8, 0.0712f, 100}, 0, 255, &product);
      const double left = (a - 128) * 0.05, right = (b + 7) * 0.03;
      const auto expect = [](double v, uint8_t got) {
        const double scaled = v / 0.0712;
        if (std::fabs(scaled - std::floor(scaled) - 0.5) < 1e-4) return;
        EXPECT_EQ(static_cast<double>(got), std::min(255.0, std::max(0.0, std::nearbyint(scaled) + 100)));
      };
      expect(left + right, sum);
      expect(left * right, product);
    }
  }
}

}  // namespace
}  // namespace cec::test
