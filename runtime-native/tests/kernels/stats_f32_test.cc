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

TEST_P(Stats, HistogramsEqualTheScalarReferenceAndCountEachFiniteElementOnce) {
  CEC_SKIP_UNLESS_RUNNABLE(GetParam());
  for (const size_t n : {0, 1, 8, 1003, 20001}) {
    for (const size_t bins : {1, 2, 100, 2048, 4096}) {
      for (const bool absolute : {false, true}) {
        Random random(static_cast<unsigned>(n + bins));
        Guarded<float> x(n);
        fill_uniform(x, random, -3, 5);
        uint64_t finite = 0;
        for (size_t i = 0; i < n; ++i) {
          if (i % 101 == 50) x[i] = std::nanf("");
          if (i % 103 == 60) x[i] = -kInfinity;
          if (i % 107 == 70) x[i] = 9.0f;   // outside
          if (i % 109 == 80) x[i] = -9.0f;
          finite += std::isfinite(x[i]) ? 1 : 0;
        }
        std::vector<uint64_t> a(bins, 1), b(bins, 1);
        GetParam()->histogram(n, x.data(), absolute, -3, 5, bins, a.data());
        stats_f32__scalar.histogram(n, x.data(), absolute, -3, 5, bins, b.data());
        ASSERT_EQ(a, b) << n << " elements, " << bins << " bins";
        uint64_t total = 0;
        for (const uint64_t c : a) total += c - 1;
        ASSERT_EQ(total, finite);
      }
    }
  }
}

TEST_P(Stats, HistogramPlacesEdgesInTheLowerInclusiveBinAndTheTopInTheLast) {
  CEC_SKIP_UNLESS_RUNNABLE(GetParam());
  const float x[] = {0, 0.999f, 1, 2, 3.5f, 4, -0.5f};
  std::vector<uint64_t> counts(4);
  GetParam()->histogram(7, x, false, 0, 4, 4, counts.data());
  EXPECT_EQ(counts, (std::vector<uint64_t>{3, 1, 1, 2}));
  std::vector<uint64_t> huge(3);
  const float extremes[] = {-3e38f, 3e38f, 0};
  GetParam()->histogram(3, extremes, false, -3e38f, 3e38f, 3, huge.data());  // hi - lo overflows: all in one bin, none lost
  EXPECT_EQ(huge[0] + huge[1] + huge[2], 3u);
}

}  // namespace
}  // namespace cec::test
