#include <cmath>

#include "test_util.h"

namespace cec::test {
namespace {

#define CEC_KERNEL_VARIANT(isa, name) &name,
const PoolVariant* const kVariants[] = {
#include "kernels/pool/variants.inc"
};
#undef CEC_KERNEL_VARIANT

class Pool : public testing::TestWithParam<const PoolVariant*> {};
INSTANTIATE_TEST_SUITE_P(All, Pool, testing::ValuesIn(kVariants), [](const auto& info) { return variant_name(info); });

// 3 x 3 windows, stride 2, padding 1, over 2 images of 7 x 6.
struct Problem {
  size_t channels;
  std::vector<int32_t> offsets = std::vector<int32_t>(4 * 3 * 9), counts = std::vector<int32_t>(4 * 3);
  PoolArgs args;
  explicit Problem(size_t c) : channels(c) {
    TapGeometry t;
    t.in_h = 7;
    t.in_w = 6;
    t.out_h = 4;
    t.out_w = 3;
    t.kernel_h = t.kernel_w = 3;
    t.stride_h = t.stride_w = 2;
    t.pad_top = t.pad_left = 1;
    t.pixel_stride = c;
    build_tap_offsets(t, offsets.data());
    for (size_t p = 0; p < counts.size(); ++p) {
      for (size_t k = 0; k < 9; ++k) counts[p] += offsets[p * 9 + k] >= 0 ? 1 : 0;
    }
    args.rows = 2 * 12;
    args.taps = {offsets.data(), 12, 9, c, 42 * c};
    args.counts = counts.data();
    args.ldc = c;
  }
};

constexpr size_t kChannels[] = {1, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 48, 53, 64, 97};

TEST_P(Pool, MaximumAndAverageOfF32AreThoseOfTheWindow) {
  CEC_SKIP_UNLESS_RUNNABLE(GetParam());
  for (const size_t c : kChannels) {
    const Problem p(c);
    Random random(static_cast<unsigned>(c));
    Guarded<float> x(2 * 42 * c), most(24 * c), mean(24 * c);
    fill_uniform(x, random, -2.0f, -1.0f);  // all negative: padding as 0 would show
    x[0] = std::nanf("");
    GetParam()->max_f32(p.args, x.data(), most.data(), 0, 11);
    GetParam()->max_f32(p.args, x.data(), most.data(), 11, 24);
    GetParam()->average_f32(p.args, x.data(), mean.data(), 0, 24);
    for (size_t m = 0; m < 24; ++m) {
      for (size_t k = 0; k < c; ++k) {
        float expected = -kInfinity;
        double sum = 0;
        bool nan = false;
        for (size_t t = 0; t < 9; ++t) {
          const int32_t offset = p.offsets[m % 12 * 9 + t];
          if (offset < 0) continue;
          const float v = x[m / 12 * 42 * c + static_cast<size_t>(offset) + k];
          nan = nan || std::isnan(v);
          expected = std::max(expected, v);
          sum += static_cast<double>(v);
        }
        if (nan) {
          ASSERT_TRUE(std::isnan(most[m * c + k]));
          ASSERT_TRUE(std::isnan(mean[m * c + k]));
        } else {
          ASSERT_EQ(most[m * c + k], expected);
          ASSERT_NEAR(static_cast<double>(mean[m * c + k]), sum / p.counts[m % 12], 1e-6);
        }
      }
    }
  }
}

TEST_P(Pool, EightBitPoolsEqualTheScalarReferenceToTheByte) {
  CEC_SKIP_UNLESS_RUNNABLE(GetParam());
  for (const size_t c : kChannels) {
    const Problem p(c);
    for (const Q8 type : {Q8::u8, Q8::s8}) {
      Random random(static_cast<unsigned>(c));
      Guarded<uint8_t> x(2 * 42 * c), a(24 * c), b(24 * c);
      fill_bytes(x, random);
      GetParam()->max_q(p.args, type, x.data(), a.data(), 0, 24);
      pool__scalar.max_q(p.args, type, x.data(), b.data(), 0, 24);
      ASSERT_EQ(std::memcmp(a.data(), b.data(), a.size()), 0) << c;
      AverageQ q;
      q.x_type = type;
      q.y_type = c % 2 == 0 ? type : Q8::s8;
      q.x_scale = 0.02f;
      q.y_scale = 0.017f;
      q.x_zp = type == Q8::u8 ? 131 : -4;
      q.y_zp = q.y_type == Q8::u8 ? 7 : -20;
      q.q_min = q.y_type == Q8::u8 ? 0 : -128;
      q.q_max = q.y_type == Q8::u8 ? 255 : 127;
      GetParam()->average_q(p.args, q, x.data(), a.data(), 0, 24);
      pool__scalar.average_q(p.args, q, x.data(), b.data(), 0, 24);
      ASSERT_EQ(std::memcmp(a.data(), b.data(), a.size()), 0) << c;
    }
  }
}

TEST_P(Pool, AWindowOutsideTheImageGivesTheLowestValueAndAverageZero) {
  CEC_SKIP_UNLESS_RUNNABLE(GetParam());
  const std::vector<int32_t> offsets(4, -1), counts(1, 0);
  PoolArgs a;
  a.rows = 1;
  a.taps = {offsets.data(), 1, 4, 9, 9};
  a.counts = counts.data();
  a.ldc = 9;
  const std::vector<float> x(9, 1.0f);
  std::vector<float> y(9, 5.0f);
  GetParam()->max_f32(a, x.data(), y.data(), 0, 1);
  for (const float v : y) EXPECT_EQ(v, -kInfinity);
  GetParam()->average_f32(a, x.data(), y.data(), 0, 1);
  for (const float v : y) EXPECT_EQ(v, 0.0f);
  const std::vector<uint8_t> bytes(9, 200);
  std::vector<uint8_t> out(9, 1);
  GetParam()->max_q(a, Q8::s8, bytes.data(), out.data(), 0, 1);
  for (const uint8_t v : out) EXPECT_EQ(static_cast<int8_t>(v), -128);
  AverageQ q;
  q.y_zp = 33;
  GetParam()->average_q(a, q, bytes.data(), out.data(), 0, 1);
  for (const uint8_t v : out) EXPECT_EQ(v, 33);
}

TEST(PoolReference, EightBitAverageIsTheRoundedMean) {
  const int32_t offsets[] = {0, 1, 2, -1};
  const int32_t counts[] = {3};
  PoolArgs a;
  a.rows = 1;
  a.taps = {offsets, 1, 4, 1, 3};
  a.counts = counts;
  a.ldc = 1;
  const uint8_t x[] = {10, 20, 31};  // less 10: 0, 10, 21; mean 10.33; scale 0.5 / 0.25 = 2: 20.67
  uint8_t y = 0;
  AverageQ q;
  q.x_scale = 0.5f;
  q.y_scale = 0.25f;
  q.x_zp = 10;
  q.y_zp = 3;
  pool__scalar.average_q(a, q, x, &y, 0, 1);
  EXPECT_EQ(y, 24);
}

}  // namespace
}  // namespace cec::test
