// Reductions, arg_max, arg_min, top_k, cum_sum.
#include <numeric>

#include "exec/ops/common.h"
#include "exec/ops/lists.h"

namespace cec {
namespace {

enum class ReduceKind { mean, sum, max, min, l1, l2, prod, sum_square, log_sum, log_sum_exp };

constexpr const char* kReduceNames[] = {"reduce_mean", "reduce_sum", "reduce_max", "reduce_min", "reduce_l1", "reduce_l2", "reduce_prod", "reduce_sum_square", "reduce_log_sum", "reduce_log_sum_exp"};

template <typename T>
T nan_max(T a, T b) { return a != a ? a : b != b ? b : a < b ? b : a; }
template <typename T>
T nan_min(T a, T b) { return a != a ? a : b != b ? b : b < a ? b : a; }

class Reduce final : public Op {
 public:
  explicit Reduce(CreateContext& ctx) : axes_(ctx.attrs().integers("axes", {})) {
    int kind = 0;
    while (ctx.kind != kReduceNames[kind]) ++kind;
    kind_ = static_cast<ReduceKind>(kind);
    keep_ = ctx.attrs().flag("keepdims", true);
    noop_ = ctx.attrs().flag("noop_with_empty_axes", false);
  }

  /// The operand as [kept axes...] x [reduced axes...], both with strides; neighbours merged.
  struct State : OpState {
    std::vector<int64_t> kept_dims, kept_strides, dims, strides;
    size_t count = 0;    // elements of one reduction
    size_t results = 0;
  };

  void prepare(PrepareContext& ctx) const override {
    const Shape& x = ctx.shape(0);
    const DType type = ctx.dtype(0);
    const bool order = kind_ == ReduceKind::max || kind_ == ReduceKind::min;
    const bool number = type == DType::f32 || type == DType::f64 || type == DType::i32 || type == DType::i64 || type == DType::u32 || type == DType::u64;
    if (!number && !(order && (type == DType::u8 || type == DType::i8 || type == DType::boolean))) reject(std::string("an operand of the type ") + name_of(type));
    std::array<bool, kMaxRank> reduced{};
    const std::vector<int64_t> axes = ctx.has(1) ? ctx.ints(1) : axes_;
    for (int64_t axis : axes) reduced[static_cast<size_t>(normalize_axis(axis, x.rank()))] = true;
    if (axes.empty() && !noop_) reduced.fill(true);
    auto state = std::make_unique<State>();
    Shape y;
    std::vector<int64_t> strides(static_cast<size_t>(x.rank()));
    int64_t stride = 1;
    for (int i = x.rank() - 1; i >= 0; --i) {
      strides[static_cast<size_t>(i)] = stride;
      stride *= x[i];
    }
    state->count = 1;
    state->results = 1;
    for (int i = 0; i < x.rank(); ++i) {
      const size_t a = static_cast<size_t>(i);
      if (!reduced[a]) y.push_back(x[i]);
      else if (keep_) y.push_back(1);
      (reduced[a] ? state->count : state->results) *= static_cast<size_t>(x[i]);
      if (x[i] == 1) continue;
      auto& dims = reduced[a] ? state->dims : state->kept_dims;
      auto& steps = reduced[a] ? state->strides : state->kept_strides;
      if (!dims.empty() && steps.back() == strides[a] * x[i]) {
        dims.back() *= x[i];
        steps.back() = strides[a];
      } else {
        dims.push_back(x[i]);
        steps.push_back(strides[a]);
      }
    }
    ctx.output(0, type, y);
    ctx.state = std::move(state);
  }

  void run(RunContext& ctx) const override {
    switch (ctx.output(0).dtype) {
      case DType::f32: run_as<float>(ctx); break;
      case DType::f64: run_as<double>(ctx); break;
      case DType::i32: run_as<int32_t>(ctx); break;
      case DType::i64: run_as<int64_t>(ctx); break;
      case DType::u32: run_as<uint32_t>(ctx); break;
      case DType::u64: run_as<uint64_t>(ctx); break;
      case DType::i8: run_as<int8_t>(ctx); break;
      default: run_as<uint8_t>(ctx); break;  // u8 and bool
    }
  }

 private:
  template <typename T, typename F>
  static void walk(const State& s, const T* x, F&& take) {
    const size_t rank = s.dims.size();
    if (rank == 0) {
      if (s.count != 0) take(x, 1, 1);
      return;
    }
    if (s.count == 0) return;
    std::array<int64_t, kMaxRank> index{};
    const int64_t length = s.dims[rank - 1];
    const int64_t step = s.strides[rank - 1];
    const size_t rows = s.count / static_cast<size_t>(length);
    for (size_t row = 0; row < rows; ++row) {
      take(x, length, step);
      for (size_t a = rank - 1; a-- > 0;) {
        x += s.strides[a];
        if (++index[a] < s.dims[a]) break;
        x -= s.strides[a] * s.dims[a];
        index[a] = 0;
      }
    }
  }

  /// Sums in f64 for f32: many elements are added and the result is rounded once. Integers wrap.
  template <typename T>
  T reduce(const State& s, const T* x) const {
    constexpr bool is_float = std::is_floating_point_v<T>;
    using Sum = std::conditional_t<is_float, double, uint64_t>;
    const auto fold = [&](Sum start, auto&& term) {
      Sum sum = start;
      walk(s, x, [&](const T* v, int64_t n, int64_t step) {
        for (int64_t i = 0; i < n; ++i) sum = term(sum, v[i * step]);
      });
      return sum;
    };
    const auto magnitude = [](T v) -> Sum { return is_float ? static_cast<Sum>(std::fabs(static_cast<double>(v))) : (v < T{0} ? Sum{0} - static_cast<Sum>(v) : static_cast<Sum>(v)); };
    const auto plus = [](Sum a, T v) { return a + static_cast<Sum>(v); };
    const auto square = [](Sum a, T v) { return a + static_cast<Sum>(v) * static_cast<Sum>(v); };
    const auto as_double = [](Sum v) { return is_float ? static_cast<double>(v) : static_cast<double>(static_cast<int64_t>(v)); };
    switch (kind_) {
      case ReduceKind::sum: return static_cast<T>(fold(0, plus));
      case ReduceKind::mean: {
        const Sum sum = fold(0, plus);
        if constexpr (is_float) return static_cast<T>(sum / static_cast<double>(s.count));
        else {
          if (s.count == 0) throw Error(codes::kRuntimeData, "the mean of no integers");
          return static_cast<T>(std::is_signed_v<T> ? static_cast<Sum>(static_cast<int64_t>(sum) / static_cast<int64_t>(s.count)) : sum / s.count);
        }
      }
      case ReduceKind::l1: return static_cast<T>(fold(0, [&](Sum a, T v) { return a + magnitude(v); }));
      case ReduceKind::sum_square: return static_cast<T>(fold(0, square));
      case ReduceKind::l2: return from_double<T>(std::sqrt(as_double(fold(0, square))));
      case ReduceKind::prod: return static_cast<T>(fold(1, [](Sum a, T v) { return a * static_cast<Sum>(v); }));
      case ReduceKind::log_sum: return from_double<T>(std::log(as_double(fold(0, plus))));
      case ReduceKind::max:
      case ReduceKind::min: {
        T best = kind_ == ReduceKind::max ? (is_float ? -std::numeric_limits<T>::infinity() : std::numeric_limits<T>::lowest())
                                          : (is_float ? std::numeric_limits<T>::infinity() : std::numeric_limits<T>::max());
        walk(s, x, [&](const T* v, int64_t n, int64_t step) {
          for (int64_t i = 0; i < n; ++i) best = kind_ == ReduceKind::max ? nan_max(best, v[i * step]) : nan_min(best, v[i * step]);
        });
        return best;
      }
      case ReduceKind::log_sum_exp: {
        double top = -std::numeric_limits<double>::infinity();
        walk(s, x, [&](const T* v, int64_t n, int64_t step) {
          for (int64_t i = 0; i < n; ++i) top = nan_max(top, static_cast<double>(v[i * step]));
        });
        if (!std::isfinite(top)) return from_double<T>(top);
        double sum = 0;
        walk(s, x, [&](const T* v, int64_t n, int64_t step) {
          for (int64_t i = 0; i < n; ++i) sum += std::exp(static_cast<double>(v[i * step]) - top);
        });
        return from_double<T>(top + std::log(sum));
      }
    }
    return T{};
  }

  template <typename T>
  void run_as(RunContext& ctx) const {
    const State& s = ctx.state<State>();
    const T* x = ctx.src<T>(0);
    T* y = ctx.dst<T>(0);
    parallel(ctx.pool(), s.results, 1 + 8192 / (s.count + 1), [&](size_t begin, size_t end, int) {
      for (size_t r = begin; r < end; ++r) {
        size_t rest = r;
        int64_t at = 0;
        for (size_t a = s.kept_dims.size(); a-- > 0;) {
          at += static_cast<int64_t>(rest % static_cast<size_t>(s.kept_dims[a])) * s.kept_strides[a];
          rest /= static_cast<size_t>(s.kept_dims[a]);
        }
        y[r] = reduce(s, s.count == 0 ? x : x + at);
      }
    });
  }

  ReduceKind kind_;
  std::vector<int64_t> axes_;
  bool keep_, noop_;
};

/// The operand as [outer, dim, inner] around one axis.
struct AxisState : OpState {
  size_t outer = 1, dim = 1, inner = 1;
  explicit AxisState(const Shape& x, int axis)
      : outer(static_cast<size_t>(x.count(0, axis))), dim(static_cast<size_t>(x[axis])), inner(static_cast<size_t>(x.count(axis + 1, x.rank()))) {}
};

class ArgReduce final : public Op {
 public:
  explicit ArgReduce(CreateContext& ctx) : max_(ctx.kind == "arg_max"), axis_(ctx.attrs().integer("axis", 0)) {
    keep_ = ctx.attrs().flag("keepdims", true);
    last_ = ctx.attrs().flag("select_last_index", false);
  }
  void prepare(PrepareContext& ctx) const override {
    const Shape& x = ctx.shape(0);
    const DType type = ctx.dtype(0);
    if (type != DType::f32 && type != DType::f64 && type != DType::i8 && type != DType::u8 && type != DType::i32 && type != DType::i64) reject(std::string("an operand of the type ") + name_of(type));
    const int axis = normalize_axis(axis_, x.rank());
    if (x[axis] == 0) reject_shape("dimension " + std::to_string(axis) + " of " + x.to_string() + " is empty");
    Shape y;
    for (int i = 0; i < x.rank(); ++i) {
      if (i != axis) y.push_back(x[i]);
      else if (keep_) y.push_back(1);
    }
    ctx.output(0, DType::i64, y);
    ctx.state = std::make_unique<AxisState>(x, axis);
  }
  void run(RunContext& ctx) const override {
    switch (ctx.input(0).dtype) {
      case DType::f32: run_as<float>(ctx); break;
      case DType::f64: run_as<double>(ctx); break;
      case DType::i8: run_as<int8_t>(ctx); break;
      case DType::u8: run_as<uint8_t>(ctx); break;
      case DType::i32: run_as<int32_t>(ctx); break;
      default: run_as<int64_t>(ctx); break;
    }
  }

 private:
  template <typename T>
  void run_as(RunContext& ctx) const {
    const AxisState& s = ctx.state<AxisState>();
    const T* x = ctx.src<T>(0);
    int64_t* y = ctx.dst<int64_t>(0);
    for (size_t o = 0; o < s.outer; ++o) {
      for (size_t i = 0; i < s.inner; ++i) {
        const T* v = x + o * s.dim * s.inner + i;
        size_t best = 0;
        for (size_t k = 1; k < s.dim; ++k) {
          const T a = v[k * s.inner];
          const T b = v[best * s.inner];
          // A NaN is chosen before anything, the first of several unless the last is asked for (as NumPy).
          const bool better = a != a ? b == b : b == b && (max_ ? a > b : a < b);
          const bool equal = a == b || (a != a && b != b);
          if (better || (last_ && equal)) best = k;
        }
        y[o * s.inner + i] = static_cast<int64_t>(best);
      }
    }
  }
  bool max_;
  int64_t axis_;
  bool keep_, last_;
};

class TopK final : public Op {
 public:
  explicit TopK(CreateContext& ctx) : axis_(ctx.attrs().integer("axis", -1)), k_(ctx.attrs().integer("k", -1)), largest_(ctx.attrs().flag("largest", true)) {}
  struct State : OpState {
    AxisState axis;
    size_t k;
    size_t order_at = 0;
    State(const Shape& x, int a, size_t count) : axis(x, a), k(count) {}
  };
  void prepare(PrepareContext& ctx) const override {
    const Shape& x = ctx.shape(0);
    const DType type = ctx.dtype(0);
    if (type != DType::f32 && type != DType::f64 && type != DType::i32 && type != DType::i64 && type != DType::u64) reject(std::string("an operand of the type ") + name_of(type));
    const int axis = normalize_axis(axis_, x.rank());
    const int64_t k = ctx.has(1) ? ctx.scalar_int(1) : k_;
    if (k < 0 || k > x[axis]) reject_shape("k is " + std::to_string(k) + ", dimension " + std::to_string(axis) + " of " + x.to_string() + " has " + std::to_string(x[axis]));
    Shape y = x;
    y[axis] = k;
    ctx.output(0, type, y);
    ctx.output(1, DType::i64, y);
    auto state = std::make_unique<State>(x, axis, static_cast<size_t>(k));
    state->order_at = ctx.scratch(static_cast<size_t>(x[axis]) * sizeof(int64_t));
    ctx.state = std::move(state);
  }
  void run(RunContext& ctx) const override {
    switch (ctx.input(0).dtype) {
      case DType::f32: run_as<float>(ctx); break;
      case DType::f64: run_as<double>(ctx); break;
      case DType::i32: run_as<int32_t>(ctx); break;
      case DType::u64: run_as<uint64_t>(ctx); break;
      default: run_as<int64_t>(ctx); break;
    }
  }

 private:
  template <typename T>
  void run_as(RunContext& ctx) const {
    const State& s = ctx.state<State>();
    const AxisState& a = s.axis;
    int64_t* order = ctx.scratch<int64_t>(s.order_at);
    const T* x = ctx.src<T>(0);
    for (size_t o = 0; o < a.outer && s.k != 0; ++o) {
      for (size_t i = 0; i < a.inner; ++i) {
        const T* v = x + o * a.dim * a.inner + i;
        std::iota(order, order + a.dim, int64_t{0});
        // NaN counts as the greatest value, so the order is total; ties by the lower index.
        const auto above = [](T p, T q) { return p != p ? q == q : q == q && p > q; };
        std::partial_sort(order, order + s.k, order + a.dim, [&](int64_t p, int64_t q) {
          const T vp = v[static_cast<size_t>(p) * a.inner];
          const T vq = v[static_cast<size_t>(q) * a.inner];
          if (largest_ ? above(vp, vq) : above(vq, vp)) return true;
          if (largest_ ? above(vq, vp) : above(vp, vq)) return false;
          return p < q;
        });
        for (size_t k = 0; k < s.k; ++k) {
          const size_t to = (o * s.k + k) * a.inner + i;
          if (ctx.wants(0)) ctx.dst<T>(0)[to] = v[static_cast<size_t>(order[k]) * a.inner];
          if (ctx.wants(1)) ctx.dst<int64_t>(1)[to] = order[k];
        }
      }
    }
  }
  int64_t axis_, k_;
  bool largest_;
};

class CumSum final : public Op {
 public:
  explicit CumSum(CreateContext& ctx) : exclusive_(ctx.attrs().flag("exclusive", false)), reverse_(ctx.attrs().flag("reverse", false)) {}
  void prepare(PrepareContext& ctx) const override {
    const DType type = ctx.dtype(0);
    if (type != DType::f32 && type != DType::f64 && type != DType::i32 && type != DType::i64) reject(std::string("an operand of the type ") + name_of(type));
    const Shape& x = ctx.shape(0);
    ctx.output(0, type, x);
    ctx.state = std::make_unique<AxisState>(x, normalize_axis(ctx.scalar_int(1), x.rank()));
  }
  void run(RunContext& ctx) const override {
    switch (ctx.input(0).dtype) {
      case DType::f32: run_as<float, float>(ctx); break;
      case DType::f64: run_as<double, double>(ctx); break;
      case DType::i32: run_as<int32_t, uint32_t>(ctx); break;
      default: run_as<int64_t, uint64_t>(ctx); break;
    }
  }

 private:
  template <typename T, typename Sum>
  void run_as(RunContext& ctx) const {
    const AxisState& s = ctx.state<AxisState>();
    for (size_t o = 0; o < s.outer; ++o) {
      for (size_t i = 0; i < s.inner; ++i) {
        Sum sum = 0;
        for (size_t k = 0; k < s.dim; ++k) {
          const size_t at = (o * s.dim + (reverse_ ? s.dim - 1 - k : k)) * s.inner + i;
          const Sum v = static_cast<Sum>(ctx.src<T>(0)[at]);
          ctx.dst<T>(0)[at] = static_cast<T>(exclusive_ ? sum : sum + v);
          sum += v;
        }
      }
    }
  }
  bool exclusive_, reverse_;
};

constexpr OpKind reduce(ReduceKind kind) { return {kReduceNames[static_cast<int>(kind)], 1, 2, 1, 1, create_op<Reduce>}; }

constexpr OpKind kOps[] = {
    reduce(ReduceKind::mean), reduce(ReduceKind::sum), reduce(ReduceKind::max), reduce(ReduceKind::min), reduce(ReduceKind::l1),
    reduce(ReduceKind::l2), reduce(ReduceKind::prod), reduce(ReduceKind::sum_square), reduce(ReduceKind::log_sum), reduce(ReduceKind::log_sum_exp),
    {"arg_max", 1, 1, 1, 1, create_op<ArgReduce>}, {"arg_min", 1, 1, 1, 1, create_op<ArgReduce>},
    {"top_k", 1, 2, 1, 2, create_op<TopK>}, {"cum_sum", 2, 2, 1, 1, create_op<CumSum>},
};

}  // namespace

OpList reduce_ops() { return {kOps, std::size(kOps)}; }

}  // namespace cec
