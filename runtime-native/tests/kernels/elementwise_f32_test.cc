#include <cmath>
#include <functional>

#include "test_util.h"

namespace cec::test {
namespace {

#define CEC_KERNEL_VARIANT(isa, name) &name,
const ElementwiseF32Variant* const kVariants[] = {
#include "kernels/elementwise_f32/variants.inc"
};
#undef CEC_KERNEL_VARIANT

class Elementwise : public testing::TestWithParam<const ElementwiseF32Variant*> {};
INSTANTIATE_TEST_SUITE_P(All, Elementwise, testing::ValuesIn(kVariants), [](const auto& info) { return variant_name(info); });

// Distance in units of the last place of the exact value's neighbourhood (subnormals: of 2^-149).
double ulps(float got, double exact) {
  if (std::isnan(exact)) return std::isnan(got) ? 0 : 1e9;
  const float rounded = static_cast<float>(exact);
  if (std::isinf(rounded)) return got == rounded ? 0 : 1e9;
  if (!std::isfinite(got)) return 1e9;
  const float magnitude = std::fabs(rounded);
  const double unit = static_cast<double>(std::nextafterf(magnitude, kInfinity)) - static_cast<double>(magnitude);
  return std::fabs(static_cast<double>(got) - exact) / unit;
}

struct Function {
  const char* name;
  UnaryF32 op;
  std::function<double(double)> exact;
  float lo, hi;
  double max_ulps;      // where this is 0 ...
  double max_absolute;  // ... this holds: functions with a zero of their own that f32 steps cannot follow
};

// The bounds that elementwise_f32/README.md states.
std::vector<Function> functions() {
  const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
  return {
      {"exp", UnaryF32::exp, [](double x) { return std::exp(x); }, -110, 95, 2, 0},
      {"sigmoid", UnaryF32::sigmoid, sigmoid, -90, 90, 3.5, 0},
      {"tanh", UnaryF32::tanh, [](double x) { return std::tanh(x); }, -12, 12, 2.5, 0},
      {"erf", UnaryF32::erf, [](double x) { return std::erf(x); }, -6, 6, 2.5, 0},
      {"gelu", UnaryF32::gelu, [](double x) { return x / 2 * (1 + std::erf(x * std::sqrt(0.5))); }, -6, 6, 0, 8e-7},
      {"gelu_tanh", UnaryF32::gelu_tanh,
       [](double x) { return x / 2 * (1 + std::tanh(std::sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x))); }, -6, 6, 0, 1.2e-6},
      {"silu", UnaryF32::silu, [=](double x) { return x * sigmoid(x); }, -80, 80, 4.5, 0},
      {"elu", UnaryF32::elu, [](double x) { return x < 0 ? 0.5 * std::expm1(x) : x; }, -20, 5, 6, 0},
  };
}

TEST_P(Elementwise, FunctionsStayWithinTheirStatedError) {
  CEC_SKIP_UNLESS_RUNNABLE(GetParam());
  for (const Function& f : functions()) {
    std::vector<float> x;
    const int steps = 200000;
    for (int i = 0; i <= steps; ++i) x.push_back(f.lo + (f.hi - f.lo) * static_cast<float>(i) / steps);
    for (float v = 1e-30f; v < 2; v *= 1.37f) {
      x.push_back(v);
      x.push_back(-v);
    }
    std::vector<float> y(x.size());
    GetParam()->unary(f.op, x.size(), x.data(), y.data(), 0.5f, 0);
    double worst = 0;
    float at = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const double exact = f.exact(static_cast<double>(x[i]));
      const double error = f.max_ulps != 0 ? ulps(y[i], exact) : std::fabs(static_cast<double>(y[i]) - exact);
      if (error > worst) {
        worst = error;
        at = x[i];
      }
    }
    RecordProperty(f.name, std::to_string(worst));
    EXPECT_LE(worst, f.max_ulps != 0 ? f.max_ulps : f.max_absolute) << f.name << " at " << at;
  }
}

TEST_P(Elementwise, FunctionsKeepNanAndReachTheirLimits) {
  CEC_SKIP_UNLESS_RUNNABLE(GetParam());
  const float x[] = {std::nanf(""), kInfinity, -kInfinity, 0.0f};
  struct Limits {
    UnaryF32 op;
    float at_inf, at_minus_inf, at_zero;
  };
  for (const Limits& l : {Limits{UnaryF32::exp, kInfinity, 0, 1}, Limits{UnaryF32::sigmoid, 1, 0, 0.5f}, Limits{UnaryF32::tanh, 1, -1, 0},
                          Limits{UnaryF32::erf, 1, -1, 0}}) {
    float y[4];
    GetParam()->unary(l.op, 4, x, y, 0, 0);
    EXPECT_TRUE(std::isnan(y[0])) << static_cast<int>(l.op);
    EXPECT_EQ(y[1], l.at_inf);
    EXPECT_EQ(y[2], l.at_minus_inf);
    EXPECT_EQ(y[3], l.at_zero);
  }
  float y[4];
  GetParam()->unary(UnaryF32::clip, 4, x, y, -2, 3);
  EXPECT_TRUE(std::isnan(y[0]));
  EXPECT_EQ(y[1], 3);
  EXPECT_EQ(y[2], -2);
}

TEST_P(Elementwise, ExactFunctionsEqualTheirFormula) {
  CEC_SKIP_UNLESS_RUNNABLE(GetParam());
  for (const size_t n : {0, 1, 7, 8, 9, 16, 31, 101}) {
    Random random(static_cast<unsigned>(n));
    Guarded<float> x(n), y(n);
    fill_uniform(x, random, -5, 5);
    const auto expect = [&](UnaryF32 op, float alpha, float beta, const std::function<float(float)>& f) {
      GetParam()->unary(op, n, x.data(), y.data(), alpha, beta);
      for (size_t i = 0; i < n; ++i) ASSERT_FLOAT_EQ(y[i], f(x[i])) << static_cast<int>(op) << " of " << x[i];
    };
    expect(UnaryF32::clip, 0, 3, [](float v) { return std::min(3.0f, std::max(0.0f, v)); });
    expect(UnaryF32::leaky_relu, 0.1f, 0, [](float v) { return v < 0 ? 0.1f * v : v; });
    expect(UnaryF32::hard_sigmoid, 0.2f, 0.5f, [](float v) { return std::min(1.0f, std::max(0.0f, 0.2f * v + 0.5f)); });
    expect(UnaryF32::neg, 0, 0, [](float v) { return -v; });
    expect(UnaryF32::abs, 0, 0, [](float v) { return std::fabs(v); });
    expect(UnaryF32::floor, 0, 0, [](float v) { return std::floor(v); });
    expect(UnaryF32::ceil, 0, 0, [](float v) { return std::ceil(v); });
    expect(UnaryF32::round, 0, 0, [](float v) { return std::nearbyint(v); });
    expect(UnaryF32::reciprocal, 0, 0, [](float v) { return 1 / v; });
    for (size_t i = 0; i < n; ++i) x[i] = std::fabs(x[i]);
    expect(UnaryF32::sqrt, 0, 0, [](float v) { return std::sqrt(v); });
    expect(UnaryF32::hard_swish, 0, 0, [](float v) { return v * std::min(1.0f, v / 6 + 0.5f); });
  }
  const float half[] = {0.5f, 1.5f, 2.5f, -0.5f};
  float y[4];
  GetParam()->unary(UnaryF32::round, 4, half, y, 0, 0);
  EXPECT_EQ(y[0], 0);
  EXPECT_EQ(y[1], 2);
  EXPECT_EQ(y[2], 2);
}

TEST_P(Elementwise, BinaryOperationsBroadcastScalarsClampAndMayWriteInPlace) {
  CEC_SKIP_UNLESS_RUNNABLE(GetParam());
  const std::function<float(float, float)> formulas[] = {
      [](float p, float q) { return p + q; }, [](float p, float q) { return p - q; }, [](float p, float q) { return p * q; },
      [](float p, float q) { return p / q; }, [](float p, float q) { return std::min(p, q); }, [](float p, float q) { return std::max(p, q); }};
  for (const size_t n : {0, 1, 7, 8, 9, 16, 31, 101}) {
    for (int op = 0; op < 6; ++op) {
      for (int scalars = 0; scalars < 4; ++scalars) {
        const bool a_scalar = (scalars & 1) != 0, b_scalar = (scalars & 2) != 0;
        if (n == 0 && (a_scalar || b_scalar)) continue;
        Random random(static_cast<unsigned>(n));
        Guarded<float> a(a_scalar ? 1 : n), b(b_scalar ? 1 : n), y(n);
        fill_uniform(a, random);
        fill_uniform(b, random, 0.5f, 2.0f);
        GetParam()->binary(static_cast<BinaryF32>(op), n, a.data(), a_scalar, b.data(), b_scalar, y.data(), -0.75f, 0.8f);
        for (size_t i = 0; i < n; ++i) {
          const float v = formulas[op](a[a_scalar ? 0 : i], b[b_scalar ? 0 : i]);
          ASSERT_EQ(y[i], std::min(0.8f, std::max(-0.75f, v)));
        }
        if (!a_scalar) {
          GetParam()->binary(static_cast<BinaryF32>(op), n, a.data(), false, b.data(), b_scalar, a.data(), -0.75f, 0.8f);
          ASSERT_TRUE(n == 0 || std::memcmp(a.data(), y.data(), n * sizeof(float)) == 0);
        }
      }
    }
  }
  const float nan = std::nanf("");
  const float a[] = {nan, 1, 2}, b[] = {1, nan, 3};
  for (const BinaryF32 op : {BinaryF32::min, BinaryF32::max, BinaryF32::add}) {
    float y[3];
    GetParam()->binary(op, 3, a, false, b, false, y, -kInfinity, kInfinity);
    EXPECT_TRUE(std::isnan(y[0]));
    EXPECT_TRUE(std::isnan(y[1]));
    EXPECT_FALSE(std::isnan(y[2]));
  }
}

TEST_P(Elementwise, AnElementsBitsDoNotDependOnItsPlace) {
  CEC_SKIP_UNLESS_RUNNABLE(GetParam());
  std::vector<float> x(29), whole(29), one(29);
  Random random(1);
  fill_uniform(x, random, -4, 4);
  for (int op = 0; op <= static_cast<int>(UnaryF32::round); ++op) {
    GetParam()->unary(static_cast<UnaryF32>(op), x.size(), x.data(), whole.data(), 0.25f, 0.5f);
    for (size_t i = 0; i < x.size(); ++i) GetParam()->unary(static_cast<UnaryF32>(op), 1, &x[i], &one[i], 0.25f, 0.5f);
    EXPECT_EQ(std::memcmp(whole.data(), one.data(), sizeof(float) * x.size()), 0) << op;
  }
}

}  // namespace
}  // namespace cec::test
