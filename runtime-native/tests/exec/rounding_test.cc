// Second moments and learned rounding, beside plain loops.
#include <cmath>
#include <cstdint>
#include <vector>

#include "cec/error.h"
#include "cec/rounding.h"
#include "gtest/gtest.h"
#include "rounding/cholesky.h"

namespace {

double noise(uint32_t& state) {
  state = state * 1664525u + 1013904223u;
  return static_cast<double>(state >> 8) / (1 << 24) - 0.5;
}

/// A positive definite matrix.
std::vector<double> moments_of(size_t n, uint32_t seed) {
  std::vector<double> columns(2 * n * n), h(n * n, 0.0);
  for (double& v : columns) v = noise(seed);
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < n; ++j) {
      for (size_t r = 0; r < 2 * n; ++r) h[i * n + j] += columns[r * n + i] * columns[r * n + j];
    }
    h[i * n + i] += 0.01;
  }
  return h;
}

TEST(Rounding, CholeskyGivesTheMatrixBackForAnyNumberOfThreads) {
  for (const size_t n : {1u, 2u, 31u, 32u, 33u, 300u}) {
    const std::vector<double> a = moments_of(n, 7);
    std::vector<double> u = a, again = a;
    cec::ThreadPool one(1), three(3);
    ASSERT_TRUE(cec::cholesky(u.data(), n, one));
    ASSERT_TRUE(cec::cholesky(again.data(), n, three));
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = i; j < n; ++j) {
        double sum = 0;
        for (size_t k = 0; k <= i; ++k) sum += u[k * n + i] * u[k * n + j];
        EXPECT_NEAR(sum, a[i * n + j], 1e-9 * n);
        EXPECT_EQ(u[i * n + j], again[i * n + j]);
      }
    }
  }
  std::vector<double> indefinite = {1, 2, 2, 1};
  cec::ThreadPool pool(1);
  EXPECT_FALSE(cec::cholesky(indefinite.data(), 2, pool));
}

TEST(Rounding, MomentsOfAMatrixAreItsProductsAndBadValuesAreCounted) {
  uint32_t seed = 3;
  for (const size_t depth : {1u, 5u, 15u, 16u, 33u, 100u}) {
    const size_t rows = 300;  // more than one run, and not a multiple of it
    std::vector<float> x(rows * depth);
    for (float& v : x) v = static_cast<float>(noise(seed));
    std::vector<int32_t> picked;
    for (size_t r = 0; r < rows; ++r) picked.push_back(static_cast<int32_t>(r));
    cec::Columns c;
    c.matrix = true, c.images = rows, c.channels = depth, c.x = x.data(), c.rows = picked.data(), c.row_count = rows;
    std::vector<double> moments(depth * depth, 0.0), sums(depth, 0.0);
    cec::ThreadPool pool(2);
    EXPECT_EQ(cec::add_moments(c, moments.data(), sums.data(), pool), 0u);
    for (size_t i = 0; i < depth; ++i) {
      for (size_t j = i; j < depth; ++j) {
        double want = 0;
        for (size_t r = 0; r < rows; ++r) want += static_cast<double>(x[r * depth + i]) * x[r * depth + j];
        EXPECT_NEAR(moments[i * depth + j], want, 1e-4);
      }
    }
    x[depth / 2] = NAN;
    x[x.size() - 1] = -INFINITY;
    EXPECT_EQ(cec::add_moments(c, moments.data(), sums.data(), pool), 2u);
  }
}

TEST(Rounding, NothingIsAskedOfNoChannelsAndASingularMatrixIsRefused) {
  cec::ThreadPool pool(1);
  cec::RoundingProblem p;
  cec::round_weights(p, {}, nullptr, nullptr, nullptr, pool);
  const double steps = 0.4, zero = 0;
  int8_t integer = 0;
  double nearest = 0, error = 0;
  p.channels = 1, p.depth = 1, p.steps = &steps, p.moments = &zero;
  EXPECT_THROW(cec::round_weights(p, {}, &integer, &nearest, &error, pool), cec::Error);
}

}  // namespace
