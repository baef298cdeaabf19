#include <cmath>

#include "test_util.h"

namespace cec::test {
namespace {

#define CEC_KERNEL_VARIANT(isa, name) &name,
const StatsF32Variant* const kVariants[] = {
#include "kernels/stats_f32/variants.inc"
};
#undef CEC_KERNEL_VARIANT

class Stats : public testing::TestWithParam<const StatsF32Variant*> {};
INSTANTIATE_TEST_SUITE_P(All, Stats, testing::ValuesIn(kVariants), [](const auto& info) { return variant_name(info); });

TEST_P(Stats, MomentsCountFiniteElementsAndNameTheOthers) {
  CEC_SKIP_UNLESS_RUNNABLE(GetParam());
  for (const size_t n : {0, 1, 7, 8, 9, 64, 1001}) {
    Random random(static_cast<unsigned>(n));
    Guarded<float> x(n);
    fill_uniform(x, random, -3, 5);
    MomentsF32 expected;
    for (size_t i = 0; i < n; ++i) {
      if (i % 11 == 5) x[i] = std::nanf("");
      if (i % 13 == 6) x[i] = i % 2 == 0 ? kInfinity : -kInfinity;
      if (std::isnan(x[i])) {
        ++expected.nan_count;
      } else if (std::isinf(x[i])) {
        ++expected.inf_count;
      } else {
        ++expected.count;
        expected.min = std::min(expected.min, x[i]);
        expected.max = std::max(expected.max, x[i]);
        expected.sum += static_cast<double>(x[i]);
        expected.sum_squares += static_cast<double>(x[i]) * static_cast<double>(x[i]);
      }
    }
    MomentsF32 got;
    GetParam()->moments(n / 3, x.data(), &got);
    GetParam()->moments(n - n / 3, x.data() + n / 3, &got);
    EXPECT_EQ(got.count, expected.count);
    EXPECT_EQ(got.nan_count, expected.nan_count);
    EXPECT_EQ(got.inf_count, expected.inf_count);
    EXPECT_EQ(got.min, expected.min);
    EXPECT_EQ(got.max, expected.max);
    EXPECT_NEAR(got.sum, expected.sum, 1e-9 * (1 + std::fabs(expected.sum)));
    EXPECT_NEAR(got.sum_squares, expected.sum_squares, 1e-9 * (1 + expected.sum_squares));
  }
}

TEST_P(Stats, HistogramsCountEachFiniteElementInItsBin) {
  CEC_SKIP_UNLESS_RUNNABLE(GetParam());
  for (const size_t n : {0, 1, 8, 1003, 20001}) {
    for (const int exponent : {-8, 0, 3}) {
      for (const size_t bins : {size_t{2048}, size_t{4096}}) {
        Random random(static_cast<unsigned>(n + bins));
        Guarded<float> x(n);
        fill_uniform(x, random, -3, 5);
        const double width = std::ldexp(1.0, exponent);
        const int32_t first = static_cast<int32_t>(std::floor(-3 / width));
        std::vector<uint64_t> want(bins, 1), got(bins, 1);
        for (size_t i = 0; i < n; ++i) {
          if (i % 101 == 50) x[i] = std::nanf("");
          if (i % 103 == 60) x[i] = -kInfinity;
          if (i % 107 == 70) x[i] = static_cast<float>(width);  // an edge belongs to the bin above it
          if (i % 109 == 80) x[i] = -0.0f;
          if (std::isfinite(x[i])) ++want[static_cast<size_t>(static_cast<int32_t>(std::floor(static_cast<double>(x[i]) / width)) - first)];
        }
        GetParam()->histogram(n, x.data(), std::ldexp(1.0f, -exponent), first, bins, got.data());
        ASSERT_EQ(got, want) << n << " elements, width 2^" << exponent;
      }
    }
  }
}

TEST_P(Stats, HistogramsOfNeighbouringValuesKeepThemApart) {
  CEC_SKIP_UNLESS_RUNNABLE(GetParam());
  const float x[] = {std::nextafterf(1.0f, 0.0f), 1.0f, std::nextafterf(1.0f, 2.0f), -1.0f, std::nextafterf(-1.0f, -2.0f), 0.0f};
  std::vector<uint64_t> counts(8);
  GetParam()->histogram(6, x, 1.0f, -2, 8, counts.data());
  EXPECT_EQ(counts, (std::vector<uint64_t>{1, 1, 2, 2, 0, 0, 0, 0}));
}

}  // namespace
}  // namespace cec::test
