// Elementwise ops with NumPy broadcasting: arithmetic, functions, comparisons, logic, where.
#include "exec/ops/common.h"
#include "exec/ops/lists.h"

namespace cec {
namespace {

constexpr size_t kGrain = 8192;

struct BroadcastState : OpState {
  BroadcastPlan plan;
  size_t rows = 0;
};

std::unique_ptr<BroadcastState> broadcast_state(const Shape& y, const Shape* const* operands, int count) {
  auto state = std::make_unique<BroadcastState>();
  state->plan = plan_broadcast(y, operands, count);
  state->rows = y.count() == 0 ? 0 : static_cast<size_t>(y.count() / state->plan.dims[static_cast<size_t>(state->plan.rank - 1)]);
  return state;
}

/// Runs body(a, a_step, b, b_step, y, length) over the rows of a two-operand broadcast, in parallel.
template <typename A, typename B, typename Y, typename F>
void run_pairs(RunContext& ctx, const A* a, const B* b, Y* y, F&& body) {
  const BroadcastState& state = ctx.state<BroadcastState>();
  const size_t last = static_cast<size_t>(state.plan.rank - 1);
  const int64_t sa = state.plan.strides[0][last];
  const int64_t sb = state.plan.strides[1][last];
  const size_t length = static_cast<size_t>(state.plan.dims[last]);
  if (state.rows == 0) return;
  if (state.plan.rank == 1) {
    parallel(ctx.pool(), length, kGrain, [&](size_t begin, size_t end, int) {
      body(a + static_cast<int64_t>(begin) * sa, sa, b + static_cast<int64_t>(begin) * sb, sb, y + begin, end - begin);
    });
    return;
  }
  parallel(ctx.pool(), state.rows, 1 + kGrain / length, [&](size_t begin, size_t end, int) {
    for_each_row(state.plan, 2, begin, end,
                 [&](int64_t at, const auto& offsets, int64_t n) { body(a + offsets[0], sa, b + offsets[1], sb, y + at, static_cast<size_t>(n)); });
  });
}

/// Calls f with a value of the C++ type of an element type; false when it is none of the listed.
template <typename F>
bool with_number(DType type, F&& f) {
  switch (type) {
    case DType::f32: f(float{}); return true;
    case DType::f64: f(double{}); return true;
    case DType::i8: f(int8_t{}); return true;
    case DType::u8: f(uint8_t{}); return true;
    case DType::i16: f(int16_t{}); return true;
    case DType::u16: f(uint16_t{}); return true;
    case DType::i32: f(int32_t{}); return true;
    case DType::u32: f(uint32_t{}); return true;
    case DType::i64: f(int64_t{}); return true;
    case DType::u64: f(uint64_t{}); return true;
    default: return false;
  }
}

// Integer arithmetic wraps; it is done unsigned, in at least 32 bits, because signed overflow is undefined.
template <typename T>
using Wide = std::conditional_t<(sizeof(T) < 4), uint32_t, std::make_unsigned_t<std::conditional_t<std::is_integral_v<T>, T, int>>>;

template <typename T, typename F, typename G>
T arithmetic(T a, T b, F&& on_float, G&& on_unsigned) {
  if constexpr (std::is_floating_point_v<T>) return on_float(a, b);
  else return static_cast<T>(on_unsigned(static_cast<Wide<T>>(a), static_cast<Wide<T>>(b)));
}

template <typename T>
T divide(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) return a / b;
  else {
    if (b == 0) throw Error(codes::kRuntimeData, "an integer is divided by zero");
    if constexpr (std::is_signed_v<T>) {
      if (b == -1) return static_cast<T>(Wide<T>{0} - static_cast<Wide<T>>(a));
    }
    return static_cast<T>(a / b);
  }
}

/// ONNX Mod: fmod=1 has the dividend's sign, fmod=0 (integers) the divisor's.
template <typename T>
T modulo(T a, T b, bool fmod) {
  if constexpr (std::is_floating_point_v<T>) {
    const T r = std::fmod(a, b);
    return fmod || r == 0 || (r < 0) == (b < 0) ? r : r + b;
  } else {
    if (b == 0) throw Error(codes::kRuntimeData, "an integer is divided by zero");
    if constexpr (std::is_signed_v<T>) {
      if (b == -1) return 0;
    }
    const T r = static_cast<T>(a % b);
    if constexpr (std::is_signed_v<T>) {
      if (!fmod && r != 0 && (r < 0) != (b < 0)) return static_cast<T>(r + b);
    }
    return r;
  }
}

template <typename T>
T power(T a, double b) {
  if constexpr (std::is_same_v<T, float>) return std::pow(a, static_cast<float>(b));
  else if constexpr (std::is_floating_point_v<T>) return std::pow(a, b);
  else {
    const double v = std::pow(static_cast<double>(a), b);
    constexpr double low = static_cast<double>(std::numeric_limits<T>::min());
    constexpr double high = static_cast<double>(std::numeric_limits<T>::max());
    if (!(v > low)) return std::isnan(v) ? T{0} : std::numeric_limits<T>::min();
    return v >= high ? std::numeric_limits<T>::max() : static_cast<T>(v);
  }
}

template <typename T>
T least(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    if (a != a) return a;
    if (b != b) return b;
  }
  return b < a ? b : a;
}

template <typename T>
T greatest(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    if (a != a) return a;
    if (b != b) return b;
  }
  return a < b ? b : a;
}

enum class BinaryKind { add, sub, mul, div, pow, mod };

class Binary final : public Op {
 public:
  explicit Binary(CreateContext& ctx) : kernels_(*ctx.kernels().elementwise), clamp_(read_activation(ctx.attrs())) {
    const std::string& k = ctx.kind;
    kind_ = k == "add" ? BinaryKind::add : k == "sub" ? BinaryKind::sub : k == "mul" ? BinaryKind::mul : k == "div" ? BinaryKind::div : k == "pow" ? BinaryKind::pow : BinaryKind::mod;
    fmod_ = ctx.attrs().flag("fmod", false);
  }

  void prepare(PrepareContext& ctx) const override {
    const DType a = ctx.dtype(0);
    const DType b = ctx.dtype(1);
    const bool numbers = with_number(a, [](auto) {}) && with_number(b, [](auto) {});
    if (!numbers || (a != b && kind_ != BinaryKind::pow)) reject("operands of the types " + std::string(name_of(a)) + " and " + name_of(b));
    if (!clamp_.none() && a != DType::f32) reject("an activation needs f32");
    const Shape y = broadcast(ctx.shape(0), ctx.shape(1));
    ctx.output(0, a, y);
    const Shape* operands[] = {&ctx.shape(0), &ctx.shape(1)};
    ctx.state = broadcast_state(y, operands, 2);
    if (ctx.shape(0) == y) ctx.inplace_with.push_back(0);
    if (ctx.shape(1) == y && a == b) ctx.inplace_with.push_back(1);
  }

  void run(RunContext& ctx) const override {
    const DType type = ctx.input(0).dtype;
    if (type == DType::f32 && kind_ != BinaryKind::pow && kind_ != BinaryKind::mod) {
      const BinaryF32 op = kind_ == BinaryKind::add ? BinaryF32::add : kind_ == BinaryKind::sub ? BinaryF32::sub : kind_ == BinaryKind::mul ? BinaryF32::mul : BinaryF32::div;
      run_pairs(ctx, ctx.src<float>(0), ctx.src<float>(1), ctx.dst<float>(0), [&](const float* a, int64_t sa, const float* b, int64_t sb, float* y, size_t n) {
        kernels_.binary(op, n, a, sa == 0, b, sb == 0, y, clamp_.lo, clamp_.hi);
      });
      return;
    }
    with_number(type, [&](auto zero) {
      using T = decltype(zero);
      if (kind_ == BinaryKind::pow) {
        with_number(ctx.input(1).dtype, [&](auto exponent) {
          using E = decltype(exponent);
          run_pairs(ctx, ctx.src<T>(0), ctx.src<E>(1), ctx.dst<T>(0), [](const T* a, int64_t sa, const E* b, int64_t sb, T* y, size_t n) {
            for (size_t i = 0; i < n; ++i) y[i] = power<T>(a[static_cast<int64_t>(i) * sa], static_cast<double>(b[static_cast<int64_t>(i) * sb]));
          });
        });
        return;
      }
      const auto each = [&](auto&& f) {
        run_pairs(ctx, ctx.src<T>(0), ctx.src<T>(1), ctx.dst<T>(0), [&](const T* a, int64_t sa, const T* b, int64_t sb, T* y, size_t n) {
          for (size_t i = 0; i < n; ++i) y[i] = f(a[static_cast<int64_t>(i) * sa], b[static_cast<int64_t>(i) * sb]);
        });
      };
      switch (kind_) {
        case BinaryKind::add: each([](T a, T b) { return arithmetic(a, b, [](auto p, auto q) { return p + q; }, [](auto p, auto q) { return p + q; }); }); break;
        case BinaryKind::sub: each([](T a, T b) { return arithmetic(a, b, [](auto p, auto q) { return p - q; }, [](auto p, auto q) { return p - q; }); }); break;
        case BinaryKind::mul: each([](T a, T b) { return arithmetic(a, b, [](auto p, auto q) { return p * q; }, [](auto p, auto q) { return p * q; }); }); break;
        case BinaryKind::div: each([](T a, T b) { return divide(a, b); }); break;
        default: each([this](T a, T b) { return modulo(a, b, fmod_); }); break;
      }
    });
  }

 private:
  const ElementwiseF32Variant& kernels_;
  Clamp clamp_;
  BinaryKind kind_;
  bool fmod_ = false;
};

/// min, max, sum, mean of any number of operands: the first is copied with broadcasting, then the others are taken in one by one.
class Variadic final : public Op {
 public:
  explicit Variadic(CreateContext& ctx) {
    min_ = ctx.kind == "min";
    max_ = ctx.kind == "max";
    mean_ = ctx.kind == "mean";
  }

  struct State : OpState {
    std::vector<BroadcastPlan> plans;
    size_t count = 0;
  };

  void prepare(PrepareContext& ctx) const override {
    const DType type = ctx.dtype(0);
    const bool floats = type == DType::f32 || type == DType::f64;
    if (!with_number(type, [](auto) {}) || (!floats && !min_ && !max_)) reject(std::string("operands of the type ") + name_of(type));
    Shape y = ctx.shape(0);
    for (int i = 1; i < ctx.inputs(); ++i) {
      ctx.expect(i, type);
      y = broadcast(y, ctx.shape(i));
    }
    ctx.output(0, type, y);
    auto state = std::make_unique<State>();
    for (int i = 0; i < ctx.inputs(); ++i) {
      const Shape* operand = &ctx.shape(i);
      state->plans.push_back(plan_broadcast(y, &operand, 1));
    }
    state->count = static_cast<size_t>(y.count());
    ctx.state = std::move(state);
  }

  void run(RunContext& ctx) const override {
    const State& state = ctx.state<State>();
    if (state.count == 0) return;
    with_number(ctx.output(0).dtype, [&](auto zero) {
      using T = decltype(zero);
      for (int i = 0; i < ctx.in_count; ++i) {
        const T* x = ctx.src<T>(i);
        T* y = ctx.dst<T>(0);
        const BroadcastPlan& plan = state.plans[static_cast<size_t>(i)];
        const size_t last = static_cast<size_t>(plan.rank - 1);
        const int64_t step = plan.strides[0][last];
        parallel(ctx.pool(), state.count / static_cast<size_t>(plan.dims[last]), 1 + kGrain / static_cast<size_t>(plan.dims[last]), [&](size_t begin, size_t end, int) {
          for_each_row(plan, 1, begin, end, [&](int64_t at, const auto& offsets, int64_t n) {
            const T* from = x + offsets[0];
            T* to = y + at;
            for (int64_t k = 0; k < n; ++k) {
              const T v = from[k * step];
              to[k] = i == 0 ? v : min_ ? least(to[k], v) : max_ ? greatest(to[k], v) : static_cast<T>(to[k] + v);
            }
          });
        });
      }
      if (mean_) {
        T* y = ctx.dst<T>(0);
        const T n = static_cast<T>(ctx.in_count);
        for (size_t k = 0; k < state.count; ++k) y[k] = static_cast<T>(y[k] / n);
      }
    });
  }

 private:
  bool min_, max_, mean_;
};

/// One function of one operand: a fast f32 kernel where there is one, else the scalar function (f32 and f64), else an integer form.
struct UnaryKind {
  const char* kind;
  bool has_kernel;
  UnaryF32 kernel;
  double (*f64)(double x, double alpha, double beta);
  float (*f32)(float x, float alpha, float beta);
  double alpha, beta;  // defaults
  bool integers;
};

template <typename T>
T erf_gelu(T x) { return T(0.5) * x * (T(1) + std::erf(x * T(0.70710678118654752440))); }
template <typename T>
T tanh_gelu(T x) { return T(0.5) * x * (T(1) + std::tanh(T(0.79788456080286535588) * (x + T(0.044715) * x * x * x))); }
template <typename T>
T softplus(T x) { return x > T(0) ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x)); }
template <typename T>
T sigmoid(T x) {
  if (x >= 0) return T(1) / (T(1) + std::exp(-x));
  const T e = std::exp(x);
  return e / (T(1) + e);
}

// A table row for a function given as an expression of T x, alpha, beta.
#define CEC_UNARY(name, has, kernel, alpha, beta, integers, expression)                                              \
  UnaryKind {                                                                                                        \
    name, has, UnaryF32::kernel, [](double x, double a, double b) -> double { using T = double; (void)a; (void)b; (void)sizeof(T); return expression; }, \
        [](float x, float a, float b) -> float { using T = float; (void)a; (void)b; (void)sizeof(T); return expression; }, alpha, beta, integers \
  }

constexpr double kInf = std::numeric_limits<double>::infinity();

const UnaryKind kUnary[] = {
    CEC_UNARY("sqrt", true, sqrt, 0, 0, false, std::sqrt(x)),
    CEC_UNARY("exp", true, exp, 0, 0, false, std::exp(x)),
    CEC_UNARY("log", true, log, 0, 0, false, std::log(x)),
    CEC_UNARY("neg", true, neg, 0, 0, true, -x),
    CEC_UNARY("abs", true, abs, 0, 0, true, std::fabs(x)),
    CEC_UNARY("reciprocal", true, reciprocal, 0, 0, false, T(1) / x),
    CEC_UNARY("floor", true, floor, 0, 0, false, std::floor(x)),
    CEC_UNARY("ceil", true, ceil, 0, 0, false, std::ceil(x)),
    CEC_UNARY("round", true, round, 0, 0, false, std::nearbyint(x)),
    CEC_UNARY("sign", true, sign, 0, 0, true, (x > 0 ? T(1) : x < 0 ? T(-1) : x == 0 ? T(0) : x)),
    CEC_UNARY("sin", false, exp, 0, 0, false, std::sin(x)),
    CEC_UNARY("cos", false, exp, 0, 0, false, std::cos(x)),
    CEC_UNARY("tan", false, exp, 0, 0, false, std::tan(x)),
    CEC_UNARY("asin", false, exp, 0, 0, false, std::asin(x)),
    CEC_UNARY("acos", false, exp, 0, 0, false, std::acos(x)),
    CEC_UNARY("atan", false, exp, 0, 0, false, std::atan(x)),
    CEC_UNARY("sinh", false, exp, 0, 0, false, std::sinh(x)),
    CEC_UNARY("cosh", false, exp, 0, 0, false, std::cosh(x)),
    CEC_UNARY("asinh", false, exp, 0, 0, false, std::asinh(x)),
    CEC_UNARY("acosh", false, exp, 0, 0, false, std::acosh(x)),
    CEC_UNARY("atanh", false, exp, 0, 0, false, std::atanh(x)),
    CEC_UNARY("erf", true, erf, 0, 0, false, std::erf(x)),
    CEC_UNARY("sigmoid", true, sigmoid, 0, 0, false, sigmoid(x)),
    CEC_UNARY("tanh", true, tanh, 0, 0, false, std::tanh(x)),
    CEC_UNARY("relu", true, clip, 0, kInf, true, (x < 0 ? T(0) : x)),
    CEC_UNARY("leaky_relu", true, leaky_relu, 0.01, 0, false, (x < 0 ? a * x : x)),
    CEC_UNARY("elu", true, elu, 1, 0, false, (x < 0 ? a * std::expm1(x) : x)),
    CEC_UNARY("celu", true, celu, 1, 0, false, (x < 0 ? a * std::expm1(x / a) : x)),
    CEC_UNARY("selu", true, selu, 1.67326319217681884765625, 1.05070102214813232421875, false, (x > 0 ? b * x : b * a * std::expm1(x))),
    CEC_UNARY("softplus", true, softplus, 0, 0, false, softplus(x)),
    CEC_UNARY("softsign", true, softsign, 0, 0, false, x / (T(1) + std::fabs(x))),
    CEC_UNARY("thresholded_relu", true, thresholded_relu, 1, 0, false, (x > a ? x : T(0))),
    CEC_UNARY("hard_sigmoid", true, hard_sigmoid, 0.2, 0.5, false, std::fmax(T(0), std::fmin(T(1), a * x + b))),
    CEC_UNARY("hard_swish", true, hard_swish, 0, 0, false, x * std::fmax(T(0), std::fmin(T(1), x / T(6) + T(0.5)))),
    CEC_UNARY("gelu", true, gelu, 0, 0, false, erf_gelu(x)),
    CEC_UNARY("gelu.tanh", true, gelu_tanh, 0, 0, false, tanh_gelu(x)),
    CEC_UNARY("mish", true, mish, 0, 0, false, x * std::tanh(softplus(x))),
};

class Unary final : public Op {
 public:
  explicit Unary(CreateContext& ctx) : kernels_(*ctx.kernels().elementwise) {
    std::string kind = ctx.kind;
    if (kind == "gelu") {
      const std::string approximate = ctx.attrs().text("approximate", "none");
      if (approximate == "tanh") kind = "gelu.tanh";
      else if (approximate != "none") reject("approximate is \"" + approximate + "\"; it must be none or tanh");
    }
    row_ = &kUnary[0];
    while (kind != row_->kind) ++row_;  // every registered kind has a row
    alpha_ = row_->alpha;
    beta_ = row_->beta;
    if (kind != "relu") {
      alpha_ = ctx.attrs().number("alpha", alpha_);
      beta_ = ctx.attrs().number(kind == "selu" ? "gamma" : "beta", beta_);
    }
  }

  void prepare(PrepareContext& ctx) const override {
    const DType type = ctx.dtype(0);
    const bool integer = type == DType::i8 || type == DType::i16 || type == DType::i32 || type == DType::i64;
    if (type != DType::f32 && type != DType::f64 && !(row_->integers && integer)) reject(std::string("an operand of the type ") + name_of(type));
    ctx.output(0, type, ctx.shape(0));
    ctx.inplace_with = {0};
  }

  void run(RunContext& ctx) const override {
    const size_t n = static_cast<size_t>(ctx.output(0).count());
    const DType type = ctx.input(0).dtype;
    if (type == DType::f32) {
      const float* x = ctx.src<float>(0);
      float* y = ctx.dst<float>(0);
      const float a = static_cast<float>(alpha_);
      const float b = static_cast<float>(beta_);
      parallel(ctx.pool(), n, row_->has_kernel ? kGrain : kGrain / 4, [&](size_t begin, size_t end, int) {
        if (row_->has_kernel) {
          kernels_.unary(row_->kernel, end - begin, x + begin, y + begin, a, b);
        } else {
          for (size_t i = begin; i < end; ++i) y[i] = row_->f32(x[i], a, b);
        }
      });
      return;
    }
    if (type == DType::f64) {
      const double* x = ctx.src<double>(0);
      double* y = ctx.dst<double>(0);
      for (size_t i = 0; i < n; ++i) y[i] = row_->f64(x[i], alpha_, beta_);
      return;
    }
    const std::string kind = row_->kind;
    with_number(type, [&](auto zero) {
      using T = decltype(zero);
      if constexpr (std::is_integral_v<T> && std::is_signed_v<T>) {
        const T* x = ctx.src<T>(0);
        T* y = ctx.dst<T>(0);
        for (size_t i = 0; i < n; ++i) {
          const T negative = static_cast<T>(Wide<T>{0} - static_cast<Wide<T>>(x[i]));
          if (kind == "neg") y[i] = negative;
          else if (kind == "abs") y[i] = x[i] < 0 ? negative : x[i];
          else if (kind == "sign") y[i] = static_cast<T>(x[i] > 0 ? 1 : x[i] < 0 ? -1 : 0);
          else y[i] = x[i] < 0 ? T{0} : x[i];  // relu
        }
      }
    });
  }

 private:
  const ElementwiseF32Variant& kernels_;
  const UnaryKind* row_;
  double alpha_, beta_;
};

class Clip final : public Op {
 public:
  explicit Clip(CreateContext& ctx) : kernels_(*ctx.kernels().elementwise) {
    low_ = ctx.attrs().number("clip_min", ctx.attrs().number("min", -kInf));
    high_ = ctx.attrs().number("clip_max", ctx.attrs().number("max", kInf));
  }
  void prepare(PrepareContext& ctx) const override {
    const DType type = ctx.dtype(0);
    if (!with_number(type, [](auto) {})) reject(std::string("an operand of the type ") + name_of(type));
    for (int i = 1; i < 3; ++i) {
      if (!ctx.has(i)) continue;
      ctx.expect(i, type);
      if (ctx.input(i).count() != 1) reject_shape("a bound must be one number, it is " + ctx.input(i).to_string());
    }
    ctx.output(0, type, ctx.shape(0));
    ctx.inplace_with = {0};
  }
  void run(RunContext& ctx) const override {
    const size_t n = static_cast<size_t>(ctx.output(0).count());
    with_number(ctx.input(0).dtype, [&](auto zero) {
      using T = decltype(zero);
      constexpr double lowest = static_cast<double>(std::numeric_limits<T>::lowest());
      constexpr double highest = static_cast<double>(std::numeric_limits<T>::max());
      T low = low_ <= lowest ? (std::is_floating_point_v<T> ? static_cast<T>(-kInf) : std::numeric_limits<T>::lowest()) : low_ >= highest ? std::numeric_limits<T>::max() : static_cast<T>(low_);
      T high = high_ >= highest ? (std::is_floating_point_v<T> ? static_cast<T>(kInf) : std::numeric_limits<T>::max()) : high_ <= lowest ? std::numeric_limits<T>::lowest() : static_cast<T>(high_);
      if (ctx.has(1)) low = *ctx.src<T>(1);
      if (ctx.has(2)) high = *ctx.src<T>(2);
      const T* x = ctx.src<T>(0);
      T* y = ctx.dst<T>(0);
      parallel(ctx.pool(), n, kGrain, [&](size_t begin, size_t end, int) {
        if constexpr (std::is_same_v<T, float>) {
          kernels_.unary(UnaryF32::clip, end - begin, x + begin, y + begin, low, high);
        } else {
          for (size_t i = begin; i < end; ++i) {
            const T v = x[i] < low ? low : x[i];
            y[i] = v > high ? high : v;
          }
        }
      });
    });
  }

 private:
  const ElementwiseF32Variant& kernels_;
  double low_, high_;
};

class PRelu final : public Op {
 public:
  explicit PRelu(CreateContext&) {}
  void prepare(PrepareContext& ctx) const override {
    ctx.expect(0, DType::f32);
    ctx.expect(1, DType::f32);
    const Shape y = broadcast(ctx.shape(0), ctx.shape(1));
    if (y != ctx.shape(0)) reject_shape("the slope " + ctx.shape(1).to_string() + " does not broadcast to " + ctx.shape(0).to_string());
    ctx.output(0, DType::f32, y);
    const Shape* operands[] = {&ctx.shape(0), &ctx.shape(1)};
    ctx.state = broadcast_state(y, operands, 2);
    ctx.inplace_with = {0};
  }
  void run(RunContext& ctx) const override {
    run_pairs(ctx, ctx.src<float>(0), ctx.src<float>(1), ctx.dst<float>(0), [](const float* a, int64_t sa, const float* b, int64_t sb, float* y, size_t n) {
      for (size_t i = 0; i < n; ++i) {
        const float x = a[static_cast<int64_t>(i) * sa];
        y[i] = x < 0 ? x * b[static_cast<int64_t>(i) * sb] : x;
      }
    });
  }
};

enum class CompareKind { equal, less, greater, less_or_equal, greater_or_equal };

class Compare final : public Op {
 public:
  explicit Compare(CreateContext& ctx) {
    const std::string& k = ctx.kind;
    kind_ = k == "equal" ? CompareKind::equal : k == "less" ? CompareKind::less : k == "greater" ? CompareKind::greater : k == "less_or_equal" ? CompareKind::less_or_equal : CompareKind::greater_or_equal;
  }
  void prepare(PrepareContext& ctx) const override {
    const DType type = ctx.dtype(0);
    ctx.expect(1, type);
    if (!with_number(type, [](auto) {}) && !(kind_ == CompareKind::equal && type == DType::boolean)) reject(std::string("operands of the type ") + name_of(type));
    const Shape y = broadcast(ctx.shape(0), ctx.shape(1));
    ctx.output(0, DType::boolean, y);
    const Shape* operands[] = {&ctx.shape(0), &ctx.shape(1)};
    ctx.state = broadcast_state(y, operands, 2);
  }
  void run(RunContext& ctx) const override {
    const DType type = ctx.input(0).dtype;
    with_number(type == DType::boolean ? DType::u8 : type, [&](auto zero) {
      using T = decltype(zero);
      run_pairs(ctx, ctx.src<T>(0), ctx.src<T>(1), ctx.dst<uint8_t>(0), [&](const T* a, int64_t sa, const T* b, int64_t sb, uint8_t* y, size_t n) {
        for (size_t i = 0; i < n; ++i) {
          const T p = a[static_cast<int64_t>(i) * sa];
          const T q = b[static_cast<int64_t>(i) * sb];
          switch (kind_) {
            case CompareKind::equal: y[i] = p == q; break;
            case CompareKind::less: y[i] = p < q; break;
            case CompareKind::greater: y[i] = p > q; break;
            case CompareKind::less_or_equal: y[i] = p <= q; break;
            case CompareKind::greater_or_equal: y[i] = p >= q; break;
          }
        }
      });
    });
  }

 private:
  CompareKind kind_;
};

class Logic final : public Op {
 public:
  explicit Logic(CreateContext& ctx) : kind_(ctx.kind[0]) {}
  void prepare(PrepareContext& ctx) const override {
    ctx.expect(0, DType::boolean);
    ctx.expect(1, DType::boolean);
    const Shape y = broadcast(ctx.shape(0), ctx.shape(1));
    ctx.output(0, DType::boolean, y);
    const Shape* operands[] = {&ctx.shape(0), &ctx.shape(1)};
    ctx.state = broadcast_state(y, operands, 2);
  }
  void run(RunContext& ctx) const override {
    run_pairs(ctx, ctx.src<uint8_t>(0), ctx.src<uint8_t>(1), ctx.dst<uint8_t>(0), [&](const uint8_t* a, int64_t sa, const uint8_t* b, int64_t sb, uint8_t* y, size_t n) {
      for (size_t i = 0; i < n; ++i) {
        const bool p = a[static_cast<int64_t>(i) * sa] != 0;
        const bool q = b[static_cast<int64_t>(i) * sb] != 0;
        y[i] = kind_ == 'a' ? p && q : kind_ == 'o' ? p || q : p != q;
      }
    });
  }

 private:
  char kind_;  // a(nd), o(r), x(or)
};

/// bool results of one operand: not, is_nan, is_inf.
class Test final : public Op {
 public:
  explicit Test(CreateContext& ctx) : kind_(ctx.kind) {
    negative_ = ctx.attrs().flag("detect_negative", true);
    positive_ = ctx.attrs().flag("detect_positive", true);
  }
  void prepare(PrepareContext& ctx) const override {
    const DType type = ctx.dtype(0);
    if (kind_ == "not" ? type != DType::boolean : type != DType::f32 && type != DType::f64) reject(std::string("an operand of the type ") + name_of(type));
    ctx.output(0, DType::boolean, ctx.shape(0));
  }
  void run(RunContext& ctx) const override {
    const size_t n = static_cast<size_t>(ctx.output(0).count());
    uint8_t* y = ctx.dst<uint8_t>(0);
    const auto floats = [&](const auto* x) {
      for (size_t i = 0; i < n; ++i) y[i] = kind_ == "is_nan" ? std::isnan(x[i]) : std::isinf(x[i]) && (x[i] < 0 ? negative_ : positive_);
    };
    if (kind_ == "not") {
      for (size_t i = 0; i < n; ++i) y[i] = ctx.src<uint8_t>(0)[i] == 0;
    } else if (ctx.input(0).dtype == DType::f32) {
      floats(ctx.src<float>(0));
    } else {
      floats(ctx.src<double>(0));
    }
  }

 private:
  std::string kind_;
  bool negative_, positive_;
};

class Where final : public Op {
 public:
  explicit Where(CreateContext&) {}
  void prepare(PrepareContext& ctx) const override {
    ctx.expect(0, DType::boolean);
    ctx.expect(2, ctx.dtype(1));
    const Shape y = broadcast(broadcast(ctx.shape(0), ctx.shape(1)), ctx.shape(2));
    ctx.output(0, ctx.dtype(1), y);
    const Shape* operands[] = {&ctx.shape(0), &ctx.shape(1), &ctx.shape(2)};
    ctx.state = broadcast_state(y, operands, 3);
  }
  void run(RunContext& ctx) const override {
    switch (size_of(ctx.output(0).dtype)) {
      case 1: run_as<uint8_t>(ctx); break;
      case 2: run_as<uint16_t>(ctx); break;
      case 4: run_as<uint32_t>(ctx); break;
      default: run_as<uint64_t>(ctx); break;
    }
  }

 private:
  template <typename T>
  void run_as(RunContext& ctx) const {
    const BroadcastState& state = ctx.state<BroadcastState>();
    const size_t last = static_cast<size_t>(state.plan.rank - 1);
    const int64_t sc = state.plan.strides[0][last];
    const int64_t sa = state.plan.strides[1][last];
    const int64_t sb = state.plan.strides[2][last];
    const uint8_t* c = ctx.src<uint8_t>(0);
    const T* a = ctx.src<T>(1);
    const T* b = ctx.src<T>(2);
    T* y = ctx.dst<T>(0);
    parallel(ctx.pool(), state.rows, 1 + kGrain / static_cast<size_t>(std::max<int64_t>(state.plan.dims[last], 1)), [&](size_t begin, size_t end, int) {
      for_each_row(state.plan, 3, begin, end, [&](int64_t at, const auto& offsets, int64_t n) {
        for (int64_t i = 0; i < n; ++i) y[at + i] = c[offsets[0] + i * sc] != 0 ? a[offsets[1] + i * sa] : b[offsets[2] + i * sb];
      });
    });
  }
};

constexpr OpKind binary(const char* kind) { return {kind, 2, 2, 1, 1, create_op<Binary>}; }
constexpr OpKind unary(const char* kind) { return {kind, 1, 1, 1, 1, create_op<Unary>}; }
constexpr OpKind compare(const char* kind) { return {kind, 2, 2, 1, 1, create_op<Compare>}; }

constexpr OpKind kOps[] = {
    binary("add"), binary("sub"), binary("mul"), binary("div"), binary("pow"), binary("mod"),
    {"min", 1, -1, 1, 1, create_op<Variadic>}, {"max", 1, -1, 1, 1, create_op<Variadic>},
    {"sum", 1, -1, 1, 1, create_op<Variadic>}, {"mean", 1, -1, 1, 1, create_op<Variadic>},
    unary("sqrt"), unary("exp"), unary("log"), unary("neg"), unary("abs"), unary("reciprocal"), unary("floor"), unary("ceil"), unary("round"),
    unary("sign"), unary("sin"), unary("cos"), unary("tan"), unary("asin"), unary("acos"), unary("atan"), unary("sinh"), unary("cosh"),
    unary("asinh"), unary("acosh"), unary("atanh"), unary("erf"), unary("sigmoid"), unary("tanh"), unary("relu"), unary("leaky_relu"),
    unary("elu"), unary("celu"), unary("selu"), unary("softplus"), unary("softsign"), unary("thresholded_relu"), unary("hard_sigmoid"),
    unary("hard_swish"), unary("gelu"), unary("mish"),
    {"clip", 1, 3, 1, 1, create_op<Clip>}, {"prelu", 2, 2, 1, 1, create_op<PRelu>},
    compare("equal"), compare("less"), compare("greater"), compare("less_or_equal"), compare("greater_or_equal"),
    {"and", 2, 2, 1, 1, create_op<Logic>}, {"or", 2, 2, 1, 1, create_op<Logic>}, {"xor", 2, 2, 1, 1, create_op<Logic>},
    {"not", 1, 1, 1, 1, create_op<Test>}, {"is_nan", 1, 1, 1, 1, create_op<Test>}, {"is_inf", 1, 1, 1, 1, create_op<Test>},
    {"where", 3, 3, 1, 1, create_op<Where>},
};

}  // namespace

OpList elementwise_ops() { return {kOps, std::size(kOps)}; }

}  // namespace cec
