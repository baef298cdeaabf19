// quantize_linear, dequantize_linear, dynamic_quantize_linear, matmul_integer, qlinear_matmul (the convolutions stand in window.cc).
#include "exec/ops/common.h"
#include "exec/ops/lists.h"

namespace cec {
namespace {

/// Scale and zero point operands: one value, or one per index of an axis.
struct AxisScale : OpState {
  size_t outer = 1, dim = 1, inner = 1;
  bool per_axis = false;
};

std::unique_ptr<AxisScale> prepare_scale(PrepareContext& ctx, int64_t axis_attr, DType zero_type) {
  ctx.expect(1, DType::f32);
  const Shape& x = ctx.shape(0);
  const Shape& scale = ctx.shape(1);
  auto state = std::make_unique<AxisScale>();
  if (ctx.has(2)) {
    ctx.expect(2, zero_type);
    if (ctx.shape(2).count() != scale.count()) reject_shape("scale " + scale.to_string() + " and zero point " + ctx.shape(2).to_string() + " differ");
  }
  if (scale.count() == 1 && scale.rank() <= 1) {
    state->inner = static_cast<size_t>(x.count());
    return state;
  }
  if (scale.rank() != 1) reject_shape("a scale of the shape " + scale.to_string() + "; the engine takes one per tensor or per index of an axis (no blocks)");
  const int axis = normalize_axis(axis_attr, x.rank());
  if (scale[0] != x[axis]) reject_shape("there are " + std::to_string(scale[0]) + " scales, dimension " + std::to_string(axis) + " of " + x.to_string() + " has " + std::to_string(x[axis]));
  state->per_axis = true;
  state->outer = static_cast<size_t>(x.count(0, axis));
  state->dim = static_cast<size_t>(x[axis]);
  state->inner = static_cast<size_t>(x.count(axis + 1, x.rank()));
  return state;
}

/// Calls body(from, length, channel) for each run that shares a scale.
template <typename F>
void for_each_run(ThreadPool& pool, const AxisScale& s, F&& body) {
  if (s.inner == 0) return;
  if (!s.per_axis) {
    parallel(pool, s.inner, 16384, [&](size_t begin, size_t end, int) { body(begin, end - begin, size_t{0}); });
    return;
  }
  parallel(pool, s.outer * s.dim, 1 + 16384 / s.inner, [&](size_t begin, size_t end, int) {
    for (size_t r = begin; r < end; ++r) body(r * s.inner, s.inner, r % s.dim);
  });
}

template <typename T>
T quantize_one(float x, float scale, int32_t zero) {
  // Saturated in f32 first: rne may give a value outside of i32.
  const float v = std::nearbyint(x / scale);
  constexpr int32_t low = std::numeric_limits<T>::min();
  constexpr int32_t high = std::numeric_limits<T>::max();
  if (v != v) return static_cast<T>(zero);
  if (v <= -131072.0f) return static_cast<T>(low);
  if (v >= 131072.0f) return static_cast<T>(high);
  const int32_t q = static_cast<int32_t>(v) + zero;
  return static_cast<T>(q < low ? low : q > high ? high : q);
}

class Quantize final : public Op {
 public:
  explicit Quantize(CreateContext& ctx) : kernels_(*ctx.kernels().quantize), axis_(ctx.attrs().integer("axis", 1)) {
    y_type_ = DType::u8;
    const Attr* wanted = ctx.attrs().find("output_dtype");
    if (wanted != nullptr && wanted->kind == Attr::kString) y_type_ = dtype_from_name(wanted->s);
    if (wanted != nullptr && wanted->kind == Attr::kInt && wanted->i > 0 && wanted->i <= 255) y_type_ = static_cast<DType>(wanted->i);
    if (ctx.has(2)) y_type_ = ctx.dtype(2);
    if (y_type_ != DType::u8 && y_type_ != DType::i8 && y_type_ != DType::u16 && y_type_ != DType::i16) reject(std::string("a result of the type ") + name_of(y_type_));
    if (ctx.attrs().integer("block_size", 0) != 0) reject("blocked quantization is not supported");
  }
  void prepare(PrepareContext& ctx) const override {
    ctx.expect(0, DType::f32);
    ctx.state = prepare_scale(ctx, axis_, y_type_);
    ctx.output(0, y_type_, ctx.shape(0));
  }
  void run(RunContext& ctx) const override {
    const AxisScale& s = ctx.state<AxisScale>();
    const float* x = ctx.src<float>(0);
    const float* scale = ctx.src<float>(1);
    switch (y_type_) {
      case DType::u8:
      case DType::i8:
        for_each_run(ctx.pool(), s, [&](size_t from, size_t n, size_t c) {
          QParams q;
          q.type = q8_of(y_type_);
          q.scale = scale[c];
          q.zp = !ctx.has(2) ? 0 : y_type_ == DType::u8 ? ctx.src<uint8_t>(2)[c] : ctx.src<int8_t>(2)[c];
          kernels_.quantize(n, x + from, q, y_type_ == DType::u8 ? 0 : -128, y_type_ == DType::u8 ? 255 : 127, ctx.dst<char>(0) + from);
        });
        break;
      case DType::u16: run_as<uint16_t>(ctx, s); break;
      default: run_as<int16_t>(ctx, s); break;
    }
  }

 private:
  template <typename T>
  void run_as(RunContext& ctx, const AxisScale& s) const {
    for_each_run(ctx.pool(), s, [&](size_t from, size_t n, size_t c) {
      const int32_t zero = ctx.has(2) ? ctx.src<T>(2)[c] : 0;
      for (size_t i = 0; i < n; ++i) ctx.dst<T>(0)[from + i] = quantize_one<T>(ctx.src<float>(0)[from + i], ctx.src<float>(1)[c], zero);
    });
  }
  const Quantize8Variant& kernels_;
  int64_t axis_;
  DType y_type_;
};

class Dequantize final : public Op {
 public:
  explicit Dequantize(CreateContext& ctx) : kernels_(*ctx.kernels().quantize), axis_(ctx.attrs().integer("axis", 1)) {
    if (ctx.attrs().integer("block_size", 0) != 0) reject("blocked quantization is not supported");
  }
  void prepare(PrepareContext& ctx) const override {
    const DType type = ctx.dtype(0);
    if (!is_8bit(type) && type != DType::u16 && type != DType::i16 && type != DType::i32) reject(std::string("an operand of the type ") + name_of(type));
    ctx.state = prepare_scale(ctx, axis_, type);
    ctx.output(0, DType::f32, ctx.shape(0));
  }
  void run(RunContext& ctx) const override {
    const AxisScale& s = ctx.state<AxisScale>();
    const DType type = ctx.input(0).dtype;
    if (is_8bit(type)) {
      for_each_run(ctx.pool(), s, [&](size_t from, size_t n, size_t c) {
        QParams q;
        q.type = q8_of(type);
        q.scale = ctx.src<float>(1)[c];
        q.zp = !ctx.has(2) ? 0 : type == DType::u8 ? ctx.src<uint8_t>(2)[c] : ctx.src<int8_t>(2)[c];
        kernels_.dequantize(n, ctx.src<char>(0) + from, q, ctx.dst<float>(0) + from);
      });
    } else if (type == DType::u16) {
      run_as<uint16_t>(ctx, s);
    } else if (type == DType::i16) {
      run_as<int16_t>(ctx, s);
    } else {
      run_as<int32_t>(ctx, s);
    }
  }

 private:
  template <typename T>
  void run_as(RunContext& ctx, const AxisScale& s) const {
    for_each_run(ctx.pool(), s, [&](size_t from, size_t n, size_t c) {
      const int64_t zero = ctx.has(2) ? ctx.src<T>(2)[c] : 0;
      const float scale = ctx.src<float>(1)[c];
      for (size_t i = 0; i < n; ++i) ctx.dst<float>(0)[from + i] = static_cast<float>(ctx.src<T>(0)[from + i] - zero) * scale;
    });
  }
  const Quantize8Variant& kernels_;
  int64_t axis_;
};

class DynamicQuantize final : public Op {
 public:
  explicit DynamicQuantize(CreateContext& ctx) : kernels_(*ctx.kernels().quantize) {}
  void prepare(PrepareContext& ctx) const override {
    ctx.expect(0, DType::f32);
    ctx.output(0, DType::u8, ctx.shape(0));
    ctx.output(1, DType::f32, Shape{});
    ctx.output(2, DType::u8, Shape{});
  }
  void run(RunContext& ctx) const override {
    const float* x = ctx.src<float>(0);
    const size_t n = static_cast<size_t>(ctx.input(0).count());
    float low = 0;
    float high = 0;
    for (size_t i = 0; i < n; ++i) {
      low = x[i] < low ? x[i] : low;
      high = x[i] > high ? x[i] : high;
    }
    // A tensor of zeros would have the scale 0; any scale represents it.
    const float range = (high - low) / 255.0f;
    const float scale = range > 0 && std::isfinite(range) ? range : 1.0f;
    const float zero = std::nearbyint(std::min(std::max(0.0f - low / scale, 0.0f), 255.0f));
    QParams q;
    q.type = Q8::u8;
    q.scale = scale;
    q.zp = zero == zero ? static_cast<int32_t>(zero) : 0;
    if (ctx.wants(0)) {
      parallel(ctx.pool(), n, 16384, [&](size_t begin, size_t end, int) { kernels_.quantize(end - begin, x + begin, q, 0, 255, ctx.dst<char>(0) + begin); });
    }
    if (ctx.wants(1)) *ctx.dst<float>(1) = scale;
    if (ctx.wants(2)) *ctx.dst<uint8_t>(2) = static_cast<uint8_t>(q.zp);
  }

 private:
  const Quantize8Variant& kernels_;
};

int32_t read_8bit(const void* data, DType type, size_t i) { return type == DType::u8 ? static_cast<const uint8_t*>(data)[i] : static_cast<const int8_t*>(data)[i]; }

/// Integer products of matrices with zero points. With a scalar a zero point and signed weights without one, the packed kernels do it;
/// other forms: acc = sum(a*b) over shifted signed weights, corrected by row and column sums, all exact mod 2^32.
class IntegerMatMul {
 public:
  explicit IntegerMatMul(CreateContext& ctx, int b) : gemm_(*ctx.kernels().gemm_q), b_(b) {}

  struct Shapes {
    size_t m = 0, n = 0, k = 0, batches = 1;
    std::vector<size_t> a_at, b_at;
    size_t shifted_at = 0, packed_at = 0, sums_at = 0;
  };

  void prepare(PrepareContext& ctx, Shapes& s, Shape& y) const {
    Shape a = ctx.shape(0);
    Shape b = ctx.shape(b_);
    if (!is_8bit(ctx.dtype(0)) || !is_8bit(ctx.dtype(b_))) reject("operands must be u8 or i8");
    if (a.rank() == 0 || b.rank() == 0) reject_shape("a matrix product needs at least one dimension");
    const bool a_vector = a.rank() == 1;
    const bool b_vector = b.rank() == 1;
    if (a_vector) a = Shape{1, a[0]};
    if (b_vector) b = Shape{b[0], 1};
    if (a[a.rank() - 1] != b[b.rank() - 2]) reject_shape("the shapes " + ctx.shape(0).to_string() + " and " + ctx.shape(b_).to_string() + " cannot be multiplied");
    s.m = static_cast<size_t>(a[a.rank() - 2]);
    s.k = static_cast<size_t>(a[a.rank() - 1]);
    s.n = static_cast<size_t>(b[b.rank() - 1]);
    Shape a_batch, b_batch;
    for (int i = 0; i < a.rank() - 2; ++i) a_batch.push_back(a[i]);
    for (int i = 0; i < b.rank() - 2; ++i) b_batch.push_back(b[i]);
    const Shape batch = broadcast(a_batch, b_batch);
    y = batch;
    if (!a_vector) y.push_back(a[a.rank() - 2]);
    if (!b_vector) y.push_back(b[b.rank() - 1]);
    checked_bytes(DType::i32, y);
    s.batches = static_cast<size_t>(batch.count());
    if (s.batches > (size_t{1} << 26)) throw Error(codes::kMemory, "a matrix product of " + std::to_string(s.batches) + " batches is too large for the engine");
    const Shape* operands[] = {&a_batch, &b_batch};
    const BroadcastPlan plan = plan_broadcast(batch, operands, 2);
    const size_t last = static_cast<size_t>(plan.rank - 1);
    if (s.batches != 0) {
      for_each_row(plan, 2, 0, s.batches / static_cast<size_t>(plan.dims[last]), [&](int64_t, const auto& offsets, int64_t length) {
        for (int64_t i = 0; i < length; ++i) {
          s.a_at.push_back(static_cast<size_t>(offsets[0] + i * plan.strides[0][last]) * s.m * s.k);
          s.b_at.push_back(static_cast<size_t>(offsets[1] + i * plan.strides[1][last]) * s.k * s.n);
        }
      });
    }
    if (s.k != 0 && s.n != 0) {
      s.shifted_at = ctx.scratch(s.k * s.n);
      s.packed_at = ctx.scratch(gemm_.packed_bytes(s.n, 1, s.k));
      s.sums_at = ctx.scratch((s.m + s.n) * sizeof(int32_t));
    }
  }

  /// c[batches][m][n] = sum over k of (a - a_zp[row or 0]) * (b - b_zp[column or 0]).
  void run(RunContext& ctx, const Shapes& s, const void* a, DType a_type, const int32_t* a_zp, bool a_per_row, const void* b, DType b_type, const int32_t* b_zp, bool b_per_column, int32_t* c) const {
    if (s.m == 0 || s.n == 0 || s.batches == 0) return;
    if (s.k == 0) {
      std::memset(c, 0, s.batches * s.m * s.n * sizeof(int32_t));
      return;
    }
    // u8 weights become s8 by subtracting 128 from values and zero points alike.
    const int32_t shift = b_type == DType::u8 ? 128 : 0;
    int8_t* shifted = ctx.scratch<int8_t>(s.shifted_at);
    void* packed = ctx.scratch<char>(s.packed_at);
    int32_t* row_sums = ctx.scratch<int32_t>(s.sums_at);
    int32_t* column_sums = row_sums + s.m;
    for (size_t t = 0; t < s.batches; ++t) {
      const uint8_t* bt = static_cast<const uint8_t*>(b) + s.b_at[t];
      if (t == 0 || s.b_at[t] != s.b_at[t - 1]) {
        for (size_t i = 0; i < s.k * s.n; ++i) shifted[i] = static_cast<int8_t>(shift != 0 ? static_cast<int32_t>(bt[i]) - 128 : static_cast<int32_t>(static_cast<int8_t>(bt[i])));
        gemm_.pack(s.n, 1, s.k, shifted, 1, s.n, packed);
        for (size_t j = 0; j < s.n; ++j) column_sums[j] = 0;
        for (size_t p = 0; p < s.k; ++p) {
          for (size_t j = 0; j < s.n; ++j) column_sums[j] += shifted[p * s.n + j];
        }
      }
      GemmQArgs args;
      args.m = s.m;
      args.n = s.n;
      args.k = s.k;
      args.a = static_cast<const uint8_t*>(a) + s.a_at[t];
      args.a_type = q8_of(a_type);
      args.a_zp = a_per_row ? 0 : a_zp[0];
      args.lda = s.k;
      args.packed_b = packed;
      int32_t* ct = c + t * s.m * s.n;
      args.c = ct;
      args.ldc = s.n;
      args.epilogue.out = QOut::s32;
      run_tiles(ctx.pool(), s.m, s.n, gemm_.m_step, gemm_.n_step, s.m * s.n * s.k, [&](size_t m0, size_t m1, size_t n0, size_t n1) { gemm_.gemm(args, m0, m1, n0, n1); });
      bool has_b = false;
      for (size_t j = 0; j < (b_per_column ? s.n : 1); ++j) has_b = has_b || b_zp[j] != shift;
      if (!has_b && !a_per_row) continue;
      for (size_t i = 0; i < s.m; ++i) {
        uint32_t row = 0;
        for (size_t p = 0; p < s.k; ++p) row += static_cast<uint32_t>(read_8bit(args.a, a_type, i * s.k + p));
        const uint32_t za = static_cast<uint32_t>(a_zp[a_per_row ? i : 0]);
        for (size_t j = 0; j < s.n; ++j) {
          // (a - za)(w - zw) = [a*w - za*sum(w) if not done] - zw * (sum(a) - k * za)
          const uint32_t zw = static_cast<uint32_t>(b_zp[b_per_column ? j : 0] - shift);
          uint32_t v = static_cast<uint32_t>(ct[i * s.n + j]);
          if (a_per_row) v -= za * static_cast<uint32_t>(column_sums[j]);
          v -= zw * (row - static_cast<uint32_t>(s.k) * za);
          ct[i * s.n + j] = static_cast<int32_t>(v);
        }
      }
    }
  }

 private:
  const GemmQVariant& gemm_;
  int b_;
};

/// Zero points of an operand as i32, one or `n`.
struct ZeroPoints {
  std::vector<int32_t> values{0};
  bool many = false;
};

ZeroPoints read_zeros(const RunContext& ctx, int i) {
  ZeroPoints zeros;
  if (!ctx.has(i)) return zeros;
  const size_t n = static_cast<size_t>(ctx.input(i).count());
  zeros.values.resize(n);
  for (size_t k = 0; k < n; ++k) zeros.values[k] = read_8bit(ctx.in[i], ctx.input(i).dtype, k);
  zeros.many = n > 1;
  return zeros;
}

void expect_zeros(PrepareContext& ctx, int i, DType type, size_t many) {
  if (!ctx.has(i)) return;
  ctx.expect(i, type);
  const int64_t n = ctx.input(i).count();
  if (n != 1 && n != static_cast<int64_t>(many)) reject_shape("operand " + std::to_string(i) + " must be one zero point or " + std::to_string(many) + ", it is " + ctx.input(i).to_string());
}

class MatMulInteger final : public Op {
 public:
  explicit MatMulInteger(CreateContext& ctx) : product_(ctx, 1) {}
  struct State : OpState {
    IntegerMatMul::Shapes shapes;
  };
  void prepare(PrepareContext& ctx) const override {
    auto state = std::make_unique<State>();
    Shape y;
    product_.prepare(ctx, state->shapes, y);
    expect_zeros(ctx, 2, ctx.dtype(0), state->shapes.m);
    expect_zeros(ctx, 3, ctx.dtype(1), state->shapes.n);
    ctx.output(0, DType::i32, y);
    ctx.state = std::move(state);
  }
  void run(RunContext& ctx) const override {
    const ZeroPoints a = read_zeros(ctx, 2);
    const ZeroPoints b = read_zeros(ctx, 3);
    product_.run(ctx, ctx.state<State>().shapes, ctx.in[0], ctx.input(0).dtype, a.values.data(), a.many, ctx.in[1], ctx.input(1).dtype, b.values.data(), b.many, ctx.dst<int32_t>(0));
  }

 private:
  IntegerMatMul product_;
};

/// a, a_scale, a_zp, b, b_scale, b_zp, y_scale, y_zp; b's parameters may be per column.
class QLinearMatMul final : public Op {
 public:
  explicit QLinearMatMul(CreateContext& ctx) : product_(ctx, 3) {}
  struct State : OpState {
    IntegerMatMul::Shapes shapes;
    size_t sums_at = 0;
  };
  void prepare(PrepareContext& ctx) const override {
    auto state = std::make_unique<State>();
    Shape y;
    product_.prepare(ctx, state->shapes, y);
    expect_zeros(ctx, 2, ctx.dtype(0), 1);
    expect_zeros(ctx, 5, ctx.dtype(3), state->shapes.n);
    for (int i : {1, 4, 6}) {
      ctx.expect(i, DType::f32);
      const int64_t n = ctx.input(i).count();
      if (n != 1 && !(i == 4 && n == static_cast<int64_t>(state->shapes.n))) reject_shape("operand " + std::to_string(i) + " is " + ctx.input(i).to_string());
    }
    if (!is_8bit(ctx.dtype(7)) || ctx.input(7).count() != 1) reject("operand 7 must be one u8 or i8 zero point");
    state->sums_at = ctx.scratch(static_cast<size_t>(y.count()) * sizeof(int32_t));
    ctx.output(0, ctx.dtype(7), y);
    ctx.state = std::move(state);
  }
  void run(RunContext& ctx) const override {
    const State& s = ctx.state<State>();
    const ZeroPoints a = read_zeros(ctx, 2);
    const ZeroPoints b = read_zeros(ctx, 5);
    int32_t* sums = ctx.scratch<int32_t>(s.sums_at);
    product_.run(ctx, s.shapes, ctx.in[0], ctx.input(0).dtype, a.values.data(), false, ctx.in[3], ctx.input(3).dtype, b.values.data(), b.many, sums);
    const int32_t zero = read_8bit(ctx.in[7], ctx.input(7).dtype, 0);
    const size_t n = static_cast<size_t>(ctx.output(0).count());
    const bool is_unsigned = ctx.output(0).dtype == DType::u8;
    const bool many = ctx.input(4).count() > 1;
    for (size_t i = 0; i < n; ++i) {
      const float multiplier = (*ctx.src<float>(1) * ctx.src<float>(4)[many ? i % s.shapes.n : 0]) / *ctx.src<float>(6);
      const float v = static_cast<float>(sums[i]) * multiplier;
      if (is_unsigned) ctx.dst<uint8_t>(0)[i] = quantize_one<uint8_t>(v, 1.0f, zero);
      else ctx.dst<int8_t>(0)[i] = quantize_one<int8_t>(v, 1.0f, zero);
    }
  }

 private:
  IntegerMatMul product_;
};

constexpr OpKind kOps[] = {
    {"quantize_linear", 2, 3, 1, 1, create_op<Quantize>},
    {"dequantize_linear", 2, 3, 1, 1, create_op<Dequantize>},
    {"dynamic_quantize_linear", 1, 1, 1, 3, create_op<DynamicQuantize>},
    {"matmul_integer", 2, 4, 1, 1, create_op<MatMulInteger>},
    {"qlinear_matmul", 8, 8, 1, 1, create_op<QLinearMatMul>},
};

}  // namespace

OpList quantize_ops() { return {kOps, std::size(kOps)}; }

}  // namespace cec
