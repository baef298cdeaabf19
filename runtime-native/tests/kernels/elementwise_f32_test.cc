#include <cmath>
#include <cstdio>
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
  double (*exact)(double);  // by other formulas than the kernels', in double
  double max_ulps;
};

double normal_below(double x) { return 0.5 * std::erfc(-x * 0.70710678118654752440); }

// The bounds that elementwise_f32/README.md states, over all of f32.
const Function kFunctions[] = {
    {"exp", UnaryF32::exp, [](double x) { return std::exp(x); }, 1},
    {"log", UnaryF32::log, [](double x) { return std::log(x); }, 1},
    {"sigmoid", UnaryF32::sigmoid, [](double x) { return 1 / (1 + std::exp(-x)); }, 2.5},
    {"tanh", UnaryF32::tanh, [](double x) { return std::tanh(x); }, 1.5},
    {"erf", UnaryF32::erf, [](double x) { return std::erf(x); }, 1.5},
    {"gelu", UnaryF32::gelu, [](double x) { return x * normal_below(x); }, 6},
    {"gelu_tanh", UnaryF32::gelu_tanh,
     [](double x) { return x * (1 / (1 + std::exp(-2 * std::sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x)))); }, 4},
    {"silu", UnaryF32::silu, [](double x) { return x * (1 / (1 + std::exp(-x))); }, 3.5},
    {"mish", UnaryF32::mish, [](double x) { return x * std::tanh(x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x))); }, 4.5},
    {"softplus", UnaryF32::softplus, [](double x) { return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x)); }, 3},
    {"softsign", UnaryF32::softsign, [](double x) { return std::isinf(x) ? std::nan("") : x / (1 + std::fabs(x)); }, 1.5},
    {"elu", UnaryF32::elu, [](double x) { return x < 0 ? 0.5 * std::expm1(x) : x; }, 1.5},
    {"celu", UnaryF32::celu, [](double x) { return x < 0 ? 0.5 * std::expm1(x / 0.5) : x; }, 1.5},
    {"selu", UnaryF32::selu, [](double x) { return 1.25 * (x < 0 ? 0.5 * std::expm1(x) : x); }, 2},
    {"sqrt", UnaryF32::sqrt, [](double x) { return std::sqrt(x); }, 0.5},
    {"reciprocal", UnaryF32::reciprocal, [](double x) { return 1 / x; }, 0.5},
};

// Every n-th bit pattern of f32: all exponents, subnormal values, both zeros and signs, NaN; the infinities and edges are put first.
// CEC_SWEEP_STRIDE=97 makes it dense.
std::vector<float> sweep(uint32_t stride) {
  if (const char* dense = std::getenv("CEC_SWEEP_STRIDE")) stride = static_cast<uint32_t>(std::atoi(dense));
  std::vector<float> x = {kInfinity, -kInfinity, 0.0f, -0.0f, 1e-45f, -1e-45f, 1.17549435e-38f, 3.40282347e38f, -3.40282347e38f, 1.0f, -1.0f};
  for (uint64_t bits = 0; bits <= 0xffffffffu; bits += stride) {
    const uint32_t b = static_cast<uint32_t>(bits);
    float v;
    std::memcpy(&v, &b, sizeof(v));
    x.push_back(v);
  }
  return x;
}

TEST_P(Elementwise, FunctionsStayWithinTheirStatedErrorOverAllOfF32) {
  CEC_SKIP_UNLESS_RUNNABLE(GetParam());
  const std::vector<float> x = sweep(8191);
  std::vector<float> y(x.size());
  for (const Function& f : kFunctions) {
    GetParam()->unary(f.op, x.size(), x.data(), y.data(), 0.5f, 1.25f);
    double worst = 0;
    float at = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const double error = ulps(y[i], f.exact(static_cast<double>(x[i])));
      if (error > worst) {
        worst = error;
        at = x[i];
      }
    }
    RecordProperty(f.name, std::to_string(worst));
    if (std::getenv("CEC_SWEEP_STRIDE") != nullptr) std::printf("%s: %s %.3f ULP at %.9g\n", GetParam()->name, f.name, worst, static_cast<double>(at));
    EXPECT_LE(worst, f.max_ulps) << f.name << " at " << at;
  }
}

TEST_P(Elementwise, EveryVariantGivesTheScalarBits) {
  CEC_SKIP_UNLESS_RUNNABLE(GetParam());
  const std::vector<float> x = sweep(8191), other(x.rbegin(), x.rend());
  std::vector<float> y(x.size()), scalar(x.size());
  const auto compare = [&](int op) {
    for (size_t i = 0; i < x.size(); ++i) {
      const bool same = std::isnan(scalar[i]) ? std::isnan(y[i]) : std::memcmp(&y[i], &scalar[i], sizeof(float)) == 0;
      ASSERT_TRUE(same) << op << " of " << x[i] << ": " << y[i] << ", not " << scalar[i];
    }
  };
  for (int op = 0; op < kUnaryF32Count; ++op) {
    GetParam()->unary(static_cast<UnaryF32>(op), x.size(), x.data(), y.data(), 0.3f, 0.7f);
    kVariants[0]->unary(static_cast<UnaryF32>(op), x.size(), x.data(), scalar.data(), 0.3f, 0.7f);
    compare(op);
  }
  for (int op = 0; op <= static_cast<int>(BinaryF32::max); ++op) {
    GetParam()->binary(static_cast<BinaryF32>(op), x.size(), x.data(), false, other.data(), false, y.data(), -1e30f, 1e30f);
    kVariants[0]->binary(static_cast<BinaryF32>(op), x.size(), x.data(), false, other.data(), false, scalar.data(), -1e30f, 1e30f);
    compare(op);
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
                          Limits{UnaryF32::erf, 1, -1, 0}, Limits{UnaryF32::gelu, kInfinity, std::nanf(""), 0}, Limits{UnaryF32::gelu_tanh, kInfinity, std::nanf(""), 0},
                          Limits{UnaryF32::silu, kInfinity, std::nanf(""), 0}, Limits{UnaryF32::mish, kInfinity, std::nanf(""), 0}, Limits{UnaryF32::softplus, kInfinity, 0, 0.693147182f},
                          Limits{UnaryF32::sign, 1, -1, 0}, Limits{UnaryF32::abs, kInfinity, kInfinity, 0}}) {
    float y[4];
    GetParam()->unary(l.op, 4, x, y, 0, 0);
    EXPECT_TRUE(std::isnan(y[0])) << static_cast<int>(l.op);
    EXPECT_EQ(y[1], l.at_inf);
    EXPECT_TRUE(y[2] == l.at_minus_inf || (std::isnan(y[2]) && std::isnan(l.at_minus_inf))) << static_cast<int>(l.op);
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
    expect(UnaryF32::thresholded_relu, 1.5f, 0, [](float v) { return v > 1.5f ? v : 0.0f; });
    expect(UnaryF32::softsign, 0, 0, [](float v) { return v / (1 + std::fabs(v)); });
    expect(UnaryF32::sign, 0, 0, [](float v) { return v > 0 ? 1.0f : v < 0 ? -1.0f : 0.0f; });
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
  for (int op = 0; op < kUnaryF32Count; ++op) {
    GetParam()->unary(static_cast<UnaryF32>(op), x.size(), x.data(), whole.data(), 0.25f, 0.5f);
    for (size_t i = 0; i < x.size(); ++i) GetParam()->unary(static_cast<UnaryF32>(op), 1, &x[i], &one[i], 0.25f, 0.5f);
    EXPECT_EQ(std::memcmp(whole.data(), one.data(), sizeof(float) * x.size()), 0) << op;
  }
}

}  // namespace
}  // namespace cec::test
