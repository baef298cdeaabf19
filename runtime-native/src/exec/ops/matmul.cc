// matmul and gemm of ONNX, f32 through the packed kernels, other types by plain loops.
#include "exec/ops/common.h"
#include "exec/ops/lists.h"

namespace cec {
namespace {

bool is_matrix_type(DType type) { return type == DType::f32 || type == DType::f64 || type == DType::i32 || type == DType::i64 || type == DType::u32 || type == DType::u64; }

/// c[m][n] = sum over k of a[m * am + k * ak] * b[k * bk + n * bn], sums in ascending k; integers wrap.
template <typename T>
void plain_matmul(size_t m, size_t n, size_t k, const T* a, size_t am, size_t ak, const T* b, size_t bk, size_t bn, T* c) {
  using Sum = std::conditional_t<std::is_floating_point_v<T>, T, std::make_unsigned_t<std::conditional_t<std::is_integral_v<T>, T, int>>>;
  for (size_t i = 0; i < m; ++i) {
    for (size_t j = 0; j < n; ++j) {
      Sum sum = 0;
      for (size_t p = 0; p < k; ++p) sum += static_cast<Sum>(a[i * am + p * ak]) * static_cast<Sum>(b[p * bk + j * bn]);
      c[i * n + j] = static_cast<T>(sum);
    }
  }
}

class MatMul final : public Op {
 public:
  explicit MatMul(CreateContext& ctx) : gemm_(*ctx.kernels().gemm_f32), clamp_(read_activation(ctx.attrs())) {
    if (!ctx.is_constant(1)) return;
    const Constant& b = ctx.constant(1, "b");
    if (b.type.dtype != DType::f32 || b.type.shape.rank() != 2 || b.type.count() == 0 || ctx.dtype(0) != DType::f32) return;
    k_ = static_cast<size_t>(b.type.shape[0]);
    n_ = static_cast<size_t>(b.type.shape[1]);
    packed_bytes_ = gemm_.packed_bytes(n_, k_);
    packed_ = allocate_aligned(packed_bytes_);
    gemm_.pack(n_, k_, b.as<float>(), 1, n_, packed_.get());
    ctx.absorb(1);
  }

  struct State : OpState {
    size_t m = 0, n = 0, k = 0, batches = 1;
    std::vector<size_t> a_at, b_at;  // first element of each batch
    size_t packed_at = 0, packed_bytes = 0, workers = 1;
  };

  void prepare(PrepareContext& ctx) const override {
    const DType type = ctx.dtype(0);
    ctx.expect(1, type);
    if (!is_matrix_type(type)) reject(std::string("operands of the type ") + name_of(type));
    if (!clamp_.none() && type != DType::f32) reject("an activation needs f32");
    Shape a = ctx.shape(0);
    Shape b = ctx.shape(1);
    if (a.rank() == 0 || b.rank() == 0) reject_shape("matmul needs at least one dimension");
    const bool a_vector = a.rank() == 1;
    const bool b_vector = b.rank() == 1;
    if (a_vector) a = Shape{1, a[0]};
    if (b_vector) b = Shape{b[0], 1};
    if (a[a.rank() - 1] != b[b.rank() - 2]) reject_shape("the shapes " + ctx.shape(0).to_string() + " and " + ctx.shape(1).to_string() + " cannot be multiplied");
    auto state = std::make_unique<State>();
    state->m = static_cast<size_t>(a[a.rank() - 2]);
    state->k = static_cast<size_t>(a[a.rank() - 1]);
    state->n = static_cast<size_t>(b[b.rank() - 1]);
    Shape a_batch, b_batch;
    for (int i = 0; i < a.rank() - 2; ++i) a_batch.push_back(a[i]);
    for (int i = 0; i < b.rank() - 2; ++i) b_batch.push_back(b[i]);
    const Shape batch = broadcast(a_batch, b_batch);
    Shape y = batch;
    if (!a_vector) y.push_back(a[a.rank() - 2]);
    if (!b_vector) y.push_back(b[b.rank() - 1]);
    ctx.output(0, type, y);
    if (b_batch.count() == 1) {
      // One matrix for all batches: they are more rows.
      state->m *= static_cast<size_t>(batch.count());
      state->a_at = {0};
      state->b_at = {0};
    } else {
      const Shape* operands[] = {&a_batch, &b_batch};
      const BroadcastPlan plan = plan_broadcast(batch, operands, 2);
      state->batches = static_cast<size_t>(batch.count());
      if (state->batches > (size_t{1} << 26)) throw Error(codes::kMemory, "a matmul of " + std::to_string(state->batches) + " batches is too large for the engine");
      const size_t last = static_cast<size_t>(plan.rank - 1);
      if (state->batches != 0) {
        for_each_row(plan, 2, 0, state->batches / static_cast<size_t>(plan.dims[last]), [&](int64_t, const auto& offsets, int64_t length) {
          for (int64_t i = 0; i < length; ++i) {
            state->a_at.push_back(static_cast<size_t>(offsets[0] + i * plan.strides[0][last]) * state->m * state->k);
            state->b_at.push_back(static_cast<size_t>(offsets[1] + i * plan.strides[1][last]) * state->k * state->n);
          }
        });
      }
    }
    if (type == DType::f32 && packed_ == nullptr && state->k != 0 && state->n != 0) {
      state->packed_bytes = gemm_.packed_bytes(state->n, state->k);
      state->workers = state->batches > 1 ? static_cast<size_t>(ctx.threads()) : 1;
      if (state->packed_bytes > static_cast<size_t>(kMaxTensorBytes) / 256) reject_shape("the matrix " + ctx.shape(1).to_string() + " is too large");
      state->packed_at = ctx.scratch(state->packed_bytes * state->workers);
    }
    ctx.state = std::move(state);
  }

  void run(RunContext& ctx) const override {
    const State& s = ctx.state<State>();
    if (ctx.output(0).count() == 0) return;
    switch (ctx.output(0).dtype) {
      case DType::f32: run_f32(ctx, s); break;
      case DType::f64: run_plain<double>(ctx, s); break;
      case DType::i32: run_plain<int32_t>(ctx, s); break;
      case DType::u32: run_plain<uint32_t>(ctx, s); break;
      case DType::u64: run_plain<uint64_t>(ctx, s); break;
      default: run_plain<int64_t>(ctx, s); break;
    }
  }
  size_t packed_bytes() const override { return packed_bytes_; }

 private:
  template <typename T>
  void run_plain(RunContext& ctx, const State& s) const {
    for (size_t b = 0; b < s.batches; ++b) {
      plain_matmul(s.m, s.n, s.k, ctx.src<T>(0) + s.a_at[b], s.k, 1, ctx.src<T>(1) + s.b_at[b], s.n, 1, ctx.dst<T>(0) + b * s.m * s.n);
    }
  }

  void run_f32(RunContext& ctx, const State& s) const {
    if (s.k == 0) {
      std::memset(ctx.out[0], 0, ctx.output(0).bytes());
      return;
    }
    const auto args_of = [&](size_t b, const void* packed) {
      GemmF32Args args;
      args.m = s.m;
      args.n = s.n;
      args.k = s.k;
      args.a = ctx.src<float>(0) + s.a_at[b];
      args.lda = s.k;
      args.packed_b = packed;
      args.c = ctx.dst<float>(0) + b * s.m * s.n;
      args.ldc = s.n;
      args.epilogue.lo = clamp_.lo;
      args.epilogue.hi = clamp_.hi;
      return args;
    };
    if (s.batches > 1 && (packed_ == nullptr)) {
      parallel(ctx.pool(), s.batches, 1 + 32768 / (s.m * s.n * s.k), [&](size_t begin, size_t end, int worker) {
        void* packed = ctx.scratch<char>(s.packed_at) + static_cast<size_t>(worker) * s.packed_bytes;
        for (size_t b = begin; b < end; ++b) {
          if (b == begin || s.b_at[b] != s.b_at[b - 1]) gemm_.pack(s.n, s.k, ctx.src<float>(1) + s.b_at[b], 1, s.n, packed);
          gemm_.gemm(args_of(b, packed), 0, s.m, 0, s.n);
        }
      });
      return;
    }
    void* packed = packed_.get();
    if (packed == nullptr) {
      packed = ctx.scratch<void*>(s.packed_at);
      gemm_.pack(s.n, s.k, ctx.src<float>(1), 1, s.n, packed);
    }
    const GemmF32Args args = args_of(0, packed);
    run_tiles(ctx.pool(), s.m, s.n, gemm_.m_step, gemm_.n_step, s.m * s.n * s.k, [&](size_t m0, size_t m1, size_t n0, size_t n1) { gemm_.gemm(args, m0, m1, n0, n1); });
  }

  const GemmF32Variant& gemm_;
  Clamp clamp_;
  size_t k_ = 0, n_ = 0, packed_bytes_ = 0;
  std::shared_ptr<void> packed_;
};

class Gemm final : public Op {
 public:
  explicit Gemm(CreateContext& ctx) : gemm_(*ctx.kernels().gemm_f32), layout_(*ctx.kernels().layout), clamp_(read_activation(ctx.attrs())) {
    alpha_ = ctx.attrs().number("alpha", 1);
    beta_ = ctx.attrs().number("beta", 1);
    trans_a_ = ctx.attrs().flag("transA", false);
    trans_b_ = ctx.attrs().flag("transB", false);
    if (!ctx.is_constant(1)) return;
    const Constant& b = ctx.constant(1, "b");
    if (b.type.dtype != DType::f32 || b.type.shape.rank() != 2 || b.type.count() == 0 || ctx.dtype(0) != DType::f32) return;
    const size_t rows = static_cast<size_t>(b.type.shape[0]);
    const size_t cols = static_cast<size_t>(b.type.shape[1]);
    packed_bytes_ = gemm_.packed_bytes(trans_b_ ? rows : cols, trans_b_ ? cols : rows);
    packed_ = allocate_aligned(packed_bytes_);
    pack(trans_b_ ? rows : cols, trans_b_ ? cols : rows, b.as<float>(), packed_.get());
    ctx.absorb(1);
  }

  struct State : OpState {
    size_t m = 0, n = 0, k = 0, packed_at = 0, a_at = 0;
    BroadcastPlan c;
    bool row_bias = false;
  };

  void prepare(PrepareContext& ctx) const override {
    const DType type = ctx.dtype(0);
    ctx.expect(1, type);
    if (!is_matrix_type(type)) reject(std::string("operands of the type ") + name_of(type));
    if (!clamp_.none() && type != DType::f32) reject("an activation needs f32");
    const Shape& a = ctx.shape(0);
    const Shape& b = ctx.shape(1);
    if (a.rank() != 2 || b.rank() != 2) reject_shape("gemm needs matrices, not " + a.to_string() + " and " + b.to_string());
    auto s = std::make_unique<State>();
    s->m = static_cast<size_t>(a[trans_a_ ? 1 : 0]);
    s->k = static_cast<size_t>(a[trans_a_ ? 0 : 1]);
    s->n = static_cast<size_t>(b[trans_b_ ? 0 : 1]);
    if (static_cast<size_t>(b[trans_b_ ? 1 : 0]) != s->k) reject_shape("the shapes " + a.to_string() + " and " + b.to_string() + " cannot be multiplied");
    const Shape y{static_cast<int64_t>(s->m), static_cast<int64_t>(s->n)};
    ctx.output(0, type, y);
    if (ctx.has(2)) {
      ctx.expect(2, type);
      const Shape& c = ctx.shape(2);
      if (broadcast(c, y) != y) reject_shape("the operand c " + c.to_string() + " does not broadcast to " + y.to_string());
      const Shape* operand = &c;
      s->c = plan_broadcast(y, &operand, 1);
      s->row_bias = alpha_ == 1 && beta_ == 1 && c.rank() > 0 && c[c.rank() - 1] == y[1] && c.count() == y[1];
    }
    if (type == DType::f32) {
      if (packed_ == nullptr && s->k != 0 && s->n != 0) s->packed_at = ctx.scratch(gemm_.packed_bytes(s->n, s->k));
      if (trans_a_) s->a_at = ctx.scratch(ctx.input(0).bytes());
    }
    ctx.state = std::move(s);
  }

  void run(RunContext& ctx) const override {
    const State& s = ctx.state<State>();
    if (ctx.output(0).count() == 0) return;
    switch (ctx.output(0).dtype) {
      case DType::f32: run_f32(ctx, s); break;
      case DType::f64: run_plain<double>(ctx, s); break;
      case DType::i32: run_plain<int32_t>(ctx, s); break;
      case DType::u32: run_plain<uint32_t>(ctx, s); break;
      case DType::u64: run_plain<uint64_t>(ctx, s); break;
      default: run_plain<int64_t>(ctx, s); break;
    }
  }
  size_t packed_bytes() const override { return packed_bytes_; }

 private:
  void pack(size_t n, size_t k, const float* b, void* packed) const { gemm_.pack(n, k, b, trans_b_ ? k : 1, trans_b_ ? 1 : n, packed); }

  void run_f32(RunContext& ctx, const State& s) const {
    float* y = ctx.dst<float>(0);
    const bool add_after = ctx.has(2) && !s.row_bias;
    const bool clamp_after = add_after || alpha_ != 1;
    if (s.k == 0) {
      std::memset(y, 0, ctx.output(0).bytes());
    } else {
      const void* packed = packed_.get();
      if (packed == nullptr) {
        packed = ctx.scratch<void*>(s.packed_at);
        pack(s.n, s.k, ctx.src<float>(1), ctx.scratch<void*>(s.packed_at));
      }
      GemmF32Args args;
      args.m = s.m;
      args.n = s.n;
      args.k = s.k;
      args.a = ctx.src<float>(0);
      args.lda = s.k;
      if (trans_a_) {
        float* a = ctx.scratch<float>(s.a_at);
        layout_.transpose(sizeof(float), s.k, s.m, ctx.in[0], s.m, a, s.k);
        args.a = a;
      }
      args.packed_b = packed;
      args.c = y;
      args.ldc = s.n;
      if (s.row_bias) args.epilogue.bias = ctx.src<float>(2);
      if (!clamp_after) {
        args.epilogue.lo = clamp_.lo;
        args.epilogue.hi = clamp_.hi;
      }
      run_tiles(ctx.pool(), s.m, s.n, gemm_.m_step, gemm_.n_step, s.m * s.n * s.k, [&](size_t m0, size_t m1, size_t n0, size_t n1) { gemm_.gemm(args, m0, m1, n0, n1); });
      if (!clamp_after) return;
    }
    finish<float>(ctx, s, y);
    for (size_t i = 0; i < s.m * s.n && !clamp_.none(); ++i) {
      y[i] = y[i] < clamp_.lo ? clamp_.lo : y[i];
      y[i] = y[i] > clamp_.hi ? clamp_.hi : y[i];
    }
  }

  /// y = alpha * y + beta * c.
  template <typename T>
  void finish(RunContext& ctx, const State& s, T* y) const {
    const auto scaled = [](T v, double factor) -> T {
      if (factor == 1) return v;
      if constexpr (std::is_floating_point_v<T>) return v * static_cast<T>(factor);
      else return to_integer<T>(static_cast<double>(v) * factor);
    };
    for (size_t i = 0; i < s.m * s.n; ++i) y[i] = scaled(y[i], alpha_);
    if (!ctx.has(2) || (s.row_bias && s.k != 0 && std::is_same_v<T, float>)) return;
    const T* c = ctx.src<T>(2);
    const size_t last = static_cast<size_t>(s.c.rank - 1);
    for_each_row(s.c, 1, 0, s.m * s.n / static_cast<size_t>(s.c.dims[last]), [&](int64_t at, const auto& offsets, int64_t length) {
      for (int64_t i = 0; i < length; ++i) y[at + i] = wrapping_add(y[at + i], scaled(c[offsets[0] + i * s.c.strides[0][last]], beta_));
    });
  }

  template <typename T>
  void run_plain(RunContext& ctx, const State& s) const {
    plain_matmul(s.m, s.n, s.k, ctx.src<T>(0), trans_a_ ? 1 : s.k, trans_a_ ? s.m : 1, ctx.src<T>(1), trans_b_ ? 1 : s.n, trans_b_ ? s.k : 1, ctx.dst<T>(0));
    finish<T>(ctx, s, ctx.dst<T>(0));
  }

  const GemmF32Variant& gemm_;
  const LayoutVariant& layout_;
  Clamp clamp_;
  double alpha_, beta_;
  bool trans_a_, trans_b_;
  size_t packed_bytes_ = 0;
  std::shared_ptr<void> packed_;
};

constexpr OpKind kOps[] = {
    {"matmul", 2, 2, 1, 1, create_op<MatMul>},
    {"gemm", 2, 3, 1, 1, create_op<Gemm>},
};

}  // namespace

OpList matmul_ops() { return {kOps, std::size(kOps)}; }

}  // namespace cec
