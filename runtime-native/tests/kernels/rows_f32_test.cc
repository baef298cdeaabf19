#include <algorithm>
#include <cmath>

#include "test_util.h"

namespace cec::test {
namespace {

#define CEC_KERNEL_VARIANT(isa, name) &name,
const RowsF32Variant* const kVariants[] = {
#include "kernels/rows_f32/variants.inc"
};
#undef CEC_KERNEL_VARIANT

class Rows : public testing::TestWithParam<const RowsF32Variant*> {};
INSTANTIATE_TEST_SUITE_P(All, Rows, testing::ValuesIn(kVariants), [](const auto& info) { return variant_name(info); });

constexpr size_t kLengths[] = {1, 2, 7, 8, 9, 16, 23, 64, 257, 1000};

double unit_of(double v) {
  const float magnitude = std::fabs(static_cast<float>(v));
  return static_cast<double>(std::nextafterf(magnitude, kInfinity)) - static_cast<double>(magnitude);
}

// The bounds that rows_f32/README.md states.
TEST_P(Rows, SoftmaxAndItsLogarithmStayWithinTheirStatedError) {
  CEC_SKIP_UNLESS_RUNNABLE(GetParam());
  for (const size_t n : kLengths) {
    Random random(static_cast<unsigned>(n));
    Guarded<float> x(3 * n), y(3 * n), z(3 * n);
    fill_uniform(x, random, -50, 50);
    for (size_t i = 0; i < n; ++i) x[2 * n + i] += 1000;  // would overflow without the row's maximum taken off
    GetParam()->softmax(3, n, x.data(), y.data());
    GetParam()->log_softmax(3, n, x.data(), z.data());
    for (size_t r = 0; r < 3; ++r) {
      double sum = 0;
      const double most = static_cast<double>(*std::max_element(x.data() + r * n, x.data() + (r + 1) * n));
      for (size_t i = 0; i < n; ++i) sum += std::exp(static_cast<double>(x[r * n + i]) - most);
      for (size_t i = 0; i < n; ++i) {
        const double shifted = static_cast<double>(x[r * n + i]) - most, exact = std::exp(shifted) / sum, log_exact = shifted - std::log(sum);
        ASSERT_LE(std::fabs(static_cast<double>(y[r * n + i]) - exact), (3 + std::fabs(shifted)) * unit_of(exact)) << n << " at " << shifted;
        ASSERT_LE(std::fabs(static_cast<double>(z[r * n + i]) - log_exact), 2 * unit_of(std::fabs(shifted) + std::log(sum))) << n;
      }
    }
  }
}

TEST_P(Rows, EveryVariantGivesTheScalarBits) {
  CEC_SKIP_UNLESS_RUNNABLE(GetParam());
  for (const size_t n : kLengths) {
    Random random(static_cast<unsigned>(n));
    std::vector<float> x(2 * n), gamma(n), beta(n), y(2 * n), scalar(2 * n);
    fill_uniform(x, random, -30, 30);
    fill_uniform(gamma, random);
    fill_uniform(beta, random);
    const auto same = [&] { return std::memcmp(y.data(), scalar.data(), y.size() * sizeof(float)) == 0; };
    GetParam()->softmax(2, n, x.data(), y.data());
    kVariants[0]->softmax(2, n, x.data(), scalar.data());
    EXPECT_TRUE(same()) << "softmax " << n;
    GetParam()->log_softmax(2, n, x.data(), y.data());
    kVariants[0]->log_softmax(2, n, x.data(), scalar.data());
    EXPECT_TRUE(same()) << "log_softmax " << n;
    float mean[2], inv_std[2], scalar_mean[2], scalar_inv_std[2];
    GetParam()->layer_norm(2, n, x.data(), gamma.data(), beta.data(), 1e-5f, y.data(), mean, inv_std);
    kVariants[0]->layer_norm(2, n, x.data(), gamma.data(), beta.data(), 1e-5f, scalar.data(), scalar_mean, scalar_inv_std);
    EXPECT_TRUE(same()) << "layer_norm " << n;
    EXPECT_EQ(std::memcmp(mean, scalar_mean, sizeof(mean)) | std::memcmp(inv_std, scalar_inv_std, sizeof(inv_std)), 0);
  }
}

TEST_P(Rows, SoftmaxTakesMinusInfinityAsAbsentAndKeepsNan) {
  CEC_SKIP_UNLESS_RUNNABLE(GetParam());
  std::vector<float> x(3 * 9, 1.0f), y(3 * 9);
  x[0] = -kInfinity;
  x[9 + 8] = std::nanf("");
  GetParam()->softmax(3, 9, x.data(), y.data());
  EXPECT_EQ(y[0], 0.0f);
  EXPECT_NEAR(y[1], 0.125f, 1e-7f);
  for (size_t i = 9; i < 18; ++i) EXPECT_TRUE(std::isnan(y[i])) << i;
  for (size_t i = 18; i < 27; ++i) EXPECT_NEAR(y[i], 1.0f / 9, 1e-7f);
}

TEST_P(Rows, LayerNormalizationHasTheRowsMeanAndDeviation) {
  CEC_SKIP_UNLESS_RUNNABLE(GetParam());
  for (const size_t n : kLengths) {
    Random random(static_cast<unsigned>(n));
    Guarded<float> x(2 * n), gamma(n), beta(n), y(2 * n), mean(2), inv_std(2);
    fill_uniform(x, random, 99, 101);
    fill_uniform(gamma, random);
    fill_uniform(beta, random);
    GetParam()->layer_norm(2, n, x.data(), gamma.data(), beta.data(), 1e-5f, y.data(), mean.data(), inv_std.data());
    for (size_t r = 0; r < 2; ++r) {
      double m = 0, var = 0;
      for (size_t i = 0; i < n; ++i) m += static_cast<double>(x[r * n + i]);
      m /= static_cast<double>(n);
      for (size_t i = 0; i < n; ++i) var += std::pow(static_cast<double>(x[r * n + i]) - m, 2);
      var /= static_cast<double>(n);
      const double scale = 1 / std::sqrt(var + 1e-5);
      ASSERT_NEAR(static_cast<double>(mean[r]), m, 1e-5);
      ASSERT_NEAR(static_cast<double>(inv_std[r]), scale, 2 * unit_of(scale));
      for (size_t i = 0; i < n; ++i) {
        const double exact =
            (static_cast<double>(x[r * n + i]) - m) * scale * static_cast<double>(gamma[i]) + static_cast<double>(beta[i]);
        const double size = std::fabs(exact - static_cast<double>(beta[i])) + std::fabs(static_cast<double>(beta[i]));
        ASSERT_LE(std::fabs(static_cast<double>(y[r * n + i]) - exact), 4 * unit_of(size)) << n;
      }
    }
    GetParam()->layer_norm(2, n, x.data(), nullptr, nullptr, 1e-5f, x.data(), nullptr, nullptr);
    for (size_t i = 0; i < n; ++i) ASSERT_NEAR(x[i] * gamma[i] + beta[i], y[i], 1e-5f);
  }
}

}  // namespace
}  // namespace cec::test
