// Ops that choose elements by index: gather, gather_elements, gather_nd, scatter_elements, scatter_nd, one_hot.
#include "exec/ops/common.h"
#include "exec/ops/lists.h"

namespace cec {
namespace {

/// Reads an index operand of i32 or i64; rejects what lies outside of [-dim, dim).
class Indices {
 public:
  Indices(const RunContext& ctx, int operand) : wide_(ctx.input(operand).dtype == DType::i64), data_(ctx.in[operand]) {}
  size_t at(size_t i, size_t dim) const {
    const int64_t index = wide_ ? static_cast<const int64_t*>(data_)[i] : static_cast<const int32_t*>(data_)[i];
    const int64_t size = static_cast<int64_t>(dim);
    if (index < -size || index >= size) throw Error(codes::kRuntimeData, "the index " + std::to_string(index) + " is outside of a dimension of " + std::to_string(dim));
    return static_cast<size_t>(index < 0 ? index + size : index);
  }

 private:
  bool wide_;
  const void* data_;
};

void expect_indices(PrepareContext& ctx, int i) {
  if (ctx.dtype(i) != DType::i64 && ctx.dtype(i) != DType::i32) reject("operand " + std::to_string(i) + " must hold i32 or i64 indices, it is " + ctx.input(i).to_string());
}

class Gather final : public Op {
 public:
  explicit Gather(CreateContext& ctx) : axis_(ctx.attrs().integer("axis", 0)) {}
  void prepare(PrepareContext& ctx) const override {
    expect_indices(ctx, 1);
    const Shape& x = ctx.shape(0);
    const int axis = normalize_axis(axis_, x.rank());
    Shape y;
    for (int i = 0; i < axis; ++i) y.push_back(x[i]);
    for (int64_t dim : ctx.shape(1)) y.push_back(dim);
    for (int i = axis + 1; i < x.rank(); ++i) y.push_back(x[i]);
    ctx.output(0, ctx.dtype(0), y);
  }
  void run(RunContext& ctx) const override {
    const TensorType& x = ctx.input(0);
    if (ctx.output(0).count() == 0) return;
    const int axis = normalize_axis(axis_, x.shape.rank());
    const size_t outer = static_cast<size_t>(x.shape.count(0, axis));
    const size_t dim = static_cast<size_t>(x.shape[axis]);
    const size_t bytes = static_cast<size_t>(x.shape.count(axis + 1, x.shape.rank())) * size_of(x.dtype);
    const size_t n = static_cast<size_t>(ctx.input(1).count());
    const Indices indices(ctx, 1);
    parallel(ctx.pool(), outer * n, 1 + 65536 / bytes, [&](size_t begin, size_t end, int) {
      for (size_t i = begin; i < end; ++i) std::memcpy(ctx.dst<char>(0) + i * bytes, ctx.src<char>(0) + (i / n * dim + indices.at(i % n, dim)) * bytes, bytes);
    });
  }

 private:
  int64_t axis_;
};

class GatherElements final : public Op {
 public:
  explicit GatherElements(CreateContext& ctx) : axis_(ctx.attrs().integer("axis", 0)) {}
  void prepare(PrepareContext& ctx) const override {
    expect_indices(ctx, 1);
    const Shape& x = ctx.shape(0);
    const Shape& index = ctx.shape(1);
    const int axis = normalize_axis(axis_, x.rank());
    bool fits = index.rank() == x.rank();
    for (int i = 0; fits && i < x.rank(); ++i) fits = i == axis || index[i] <= x[i];
    if (!fits) reject_shape("the indices " + index.to_string() + " do not fit the tensor " + x.to_string());
    ctx.output(0, ctx.dtype(0), index);
  }
  void run(RunContext& ctx) const override {
    const Shape& x = ctx.input(0).shape;
    const Shape& y = ctx.output(0).shape;
    const int axis = normalize_axis(axis_, x.rank());
    const size_t bytes = size_of(ctx.output(0).dtype);
    const Indices indices(ctx, 1);
    const size_t n = static_cast<size_t>(y.count());
    parallel(ctx.pool(), n, 8192, [&](size_t begin, size_t end, int) {
      for (size_t i = begin; i < end; ++i) {
        size_t rest = i;
        size_t from = 0;
        size_t stride = 1;
        for (int a = x.rank() - 1; a >= 0; --a) {
          const size_t at = rest % static_cast<size_t>(y[a]);
          rest /= static_cast<size_t>(y[a]);
          from += (a == axis ? indices.at(i, static_cast<size_t>(x[a])) : at) * stride;
          stride *= static_cast<size_t>(x[a]);
        }
        std::memcpy(ctx.dst<char>(0) + i * bytes, ctx.src<char>(0) + from * bytes, bytes);
      }
    });
  }

 private:
  int64_t axis_;
};

class GatherNd final : public Op {
 public:
  explicit GatherNd(CreateContext& ctx) : batch_(ctx.attrs().bounded("batch_dims", 0, 0, kMaxRank)) {}
  void prepare(PrepareContext& ctx) const override {
    expect_indices(ctx, 1);
    const Shape& x = ctx.shape(0);
    const Shape& index = ctx.shape(1);
    if (index.rank() < 1 || batch_ >= index.rank() || batch_ > x.rank()) reject_shape("batch_dims " + std::to_string(batch_) + " does not fit the indices " + index.to_string());
    const int64_t depth = index[index.rank() - 1];
    if (depth < 0 || depth > x.rank() - batch_) reject_shape("indices of length " + std::to_string(depth) + " into the tensor " + x.to_string());
    Shape y;
    for (int i = 0; i < index.rank() - 1; ++i) {
      if (i < batch_ && index[i] != x[i]) reject_shape("the batch dimensions of " + x.to_string() + " and " + index.to_string() + " differ");
      y.push_back(index[i]);
    }
    for (int i = batch_ + static_cast<int>(depth); i < x.rank(); ++i) y.push_back(x[i]);
    ctx.output(0, ctx.dtype(0), y);
  }
  void run(RunContext& ctx) const override {
    const TensorType& x = ctx.input(0);
    const Shape& index = ctx.input(1).shape;
    if (ctx.output(0).count() == 0) return;
    const int depth = static_cast<int>(index[index.rank() - 1]);
    const size_t bytes = static_cast<size_t>(x.shape.count(batch_ + depth, x.shape.rank())) * size_of(x.dtype);
    const size_t n = static_cast<size_t>(index.count(0, index.rank() - 1));
    const size_t per_batch = static_cast<size_t>(index.count(batch_, index.rank() - 1));
    const Indices indices(ctx, 1);
    for (size_t i = 0; i < n; ++i) {
      size_t from = i / per_batch;
      for (int d = 0; d < depth; ++d) {
        const size_t dim = static_cast<size_t>(x.shape[batch_ + d]);
        from = from * dim + indices.at(i * static_cast<size_t>(depth) + static_cast<size_t>(d), dim);
      }
      std::memcpy(ctx.dst<char>(0) + i * bytes, ctx.src<char>(0) + from * bytes, bytes);
    }
  }

 private:
  int batch_;
};

enum class Reduction { none, add, mul, min, max };

/// scatter_elements and scatter_nd: a copy of x, into which updates are written (or taken in by a reduction) in order.
class Scatter final : public Op {
 public:
  explicit Scatter(CreateContext& ctx) : nd_(ctx.kind == "scatter_nd"), axis_(ctx.attrs().integer("axis", 0)) {
    const std::string reduction = ctx.attrs().text("reduction", "none");
    if (reduction == "none") reduction_ = Reduction::none;
    else if (reduction == "add") reduction_ = Reduction::add;
    else if (reduction == "mul") reduction_ = Reduction::mul;
    else if (reduction == "min") reduction_ = Reduction::min;
    else if (reduction == "max") reduction_ = Reduction::max;
    else reject("reduction is \"" + reduction + "\"; it must be none, add, mul, min or max");
  }
  void prepare(PrepareContext& ctx) const override {
    expect_indices(ctx, 1);
    const DType type = ctx.dtype(0);
    ctx.expect(2, type);
    if (reduction_ != Reduction::none && type != DType::f32 && type != DType::f64 && type != DType::i32 && type != DType::i64) reject(std::string("a reduction of the type ") + name_of(type));
    const Shape& x = ctx.shape(0);
    const Shape& index = ctx.shape(1);
    const Shape& updates = ctx.shape(2);
    if (nd_) {
      if (index.rank() < 1 || index[index.rank() - 1] > x.rank()) reject_shape("the indices " + index.to_string() + " do not fit the tensor " + x.to_string());
      Shape want;
      for (int i = 0; i < index.rank() - 1; ++i) want.push_back(index[i]);
      for (int i = static_cast<int>(index[index.rank() - 1]); i < x.rank(); ++i) want.push_back(x[i]);
      if (updates != want) reject_shape("the updates must be " + want.to_string() + ", they are " + updates.to_string());
    } else {
      const int axis = normalize_axis(axis_, x.rank());
      bool fits = index.rank() == x.rank() && updates == index;
      for (int i = 0; fits && i < x.rank(); ++i) fits = i == axis || index[i] <= x[i];
      if (!fits) reject_shape("the indices " + index.to_string() + " and updates " + updates.to_string() + " do not fit the tensor " + x.to_string());
    }
    ctx.output(0, type, x);
    ctx.inplace_with = {0};
  }
  void run(RunContext& ctx) const override {
    const TensorType& x = ctx.input(0);
    if (x.count() == 0) return;
    if (ctx.out[0] != ctx.in[0]) std::memcpy(ctx.out[0], ctx.in[0], x.bytes());
    const Shape& index = ctx.input(1).shape;
    const Indices indices(ctx, 1);
    if (nd_) {
      const int depth = static_cast<int>(index[index.rank() - 1]);
      const size_t inner = static_cast<size_t>(x.shape.count(depth, x.shape.rank()));
      const size_t n = static_cast<size_t>(index.count(0, index.rank() - 1));
      for (size_t i = 0; i < n; ++i) {
        size_t to = 0;
        for (int d = 0; d < depth; ++d) {
          const size_t dim = static_cast<size_t>(x.shape[d]);
          to = to * dim + indices.at(i * static_cast<size_t>(depth) + static_cast<size_t>(d), dim);
        }
        take(ctx, to * inner, i * inner, inner);
      }
      return;
    }
    const int axis = normalize_axis(axis_, x.shape.rank());
    const size_t n = static_cast<size_t>(index.count());
    for (size_t i = 0; i < n; ++i) {
      size_t rest = i;
      size_t to = 0;
      size_t stride = 1;
      for (int a = x.shape.rank() - 1; a >= 0; --a) {
        const size_t at = rest % static_cast<size_t>(index[a]);
        rest /= static_cast<size_t>(index[a]);
        to += (a == axis ? indices.at(i, static_cast<size_t>(x.shape[a])) : at) * stride;
        stride *= static_cast<size_t>(x.shape[a]);
      }
      take(ctx, to, i, 1);
    }
  }

 private:
  void take(RunContext& ctx, size_t to, size_t from, size_t n) const {
    const DType type = ctx.output(0).dtype;
    if (reduction_ == Reduction::none) {
      const size_t bytes = size_of(type);
      std::memcpy(ctx.dst<char>(0) + to * bytes, ctx.src<char>(2) + from * bytes, n * bytes);
      return;
    }
    switch (type) {
      case DType::f32: combine<float, float>(ctx, to, from, n); break;
      case DType::f64: combine<double, double>(ctx, to, from, n); break;
      case DType::i32: combine<int32_t, uint32_t>(ctx, to, from, n); break;
      default: combine<int64_t, uint64_t>(ctx, to, from, n); break;
    }
  }
  template <typename T, typename Sum>
  void combine(RunContext& ctx, size_t to, size_t from, size_t n) const {
    T* y = ctx.dst<T>(0) + to;
    const T* v = ctx.src<T>(2) + from;
    for (size_t i = 0; i < n; ++i) {
      switch (reduction_) {
        case Reduction::add: y[i] = static_cast<T>(static_cast<Sum>(y[i]) + static_cast<Sum>(v[i])); break;
        case Reduction::mul: y[i] = static_cast<T>(static_cast<Sum>(y[i]) * static_cast<Sum>(v[i])); break;
        case Reduction::min: y[i] = std::min(y[i], v[i]); break;
        default: y[i] = std::max(y[i], v[i]); break;
      }
    }
  }
  bool nd_;
  int64_t axis_;
  Reduction reduction_ = Reduction::none;
};

class OneHot final : public Op {
 public:
  explicit OneHot(CreateContext& ctx) : axis_(ctx.attrs().integer("axis", -1)) {}
  void prepare(PrepareContext& ctx) const override {
    const DType type = ctx.dtype(0);
    if (type != DType::f32 && type != DType::f64 && type != DType::i32 && type != DType::i64) reject(std::string("indices of the type ") + name_of(type));
    const Shape& x = ctx.shape(0);
    int64_t depth = 0;
    if (ctx.input(1).count() != 1) reject("depth must be one number, it is " + ctx.input(1).to_string());
    const void* value = ctx.value(1);
    switch (ctx.dtype(1)) {
      case DType::i64: depth = *static_cast<const int64_t*>(value); break;
      case DType::i32: depth = *static_cast<const int32_t*>(value); break;
      case DType::f32: depth = checked_depth(*static_cast<const float*>(value)); break;
      case DType::f64: depth = checked_depth(*static_cast<const double*>(value)); break;
      default: reject(std::string("a depth of the type ") + name_of(ctx.dtype(1)));
    }
    if (depth < 1) reject("depth is " + std::to_string(depth));
    if (ctx.input(2).count() != 2) reject("values must be two elements, they are " + ctx.input(2).to_string());
    const int axis = normalize_axis(axis_, x.rank() + 1);
    Shape y;
    for (int i = 0; i < axis; ++i) y.push_back(x[i]);
    y.push_back(depth);
    for (int i = axis; i < x.rank(); ++i) y.push_back(x[i]);
    ctx.output(0, ctx.dtype(2), y);
  }
  void run(RunContext& ctx) const override {
    const TensorType& y = ctx.output(0);
    const Shape& x = ctx.input(0).shape;
    const int axis = normalize_axis(axis_, y.shape.rank());
    const size_t depth = static_cast<size_t>(y.shape[axis]);
    const size_t inner = static_cast<size_t>(x.count(axis, x.rank()));
    const size_t bytes = size_of(y.dtype);
    const size_t total = static_cast<size_t>(y.count());
    for (size_t i = 0; i < total; ++i) std::memcpy(ctx.dst<char>(0) + i * bytes, ctx.in[2], bytes);
    const size_t n = static_cast<size_t>(x.count());
    for (size_t i = 0; i < n; ++i) {
      double index = 0;
      switch (ctx.input(0).dtype) {
        case DType::f32: index = ctx.src<float>(0)[i]; break;
        case DType::f64: index = ctx.src<double>(0)[i]; break;
        case DType::i32: index = ctx.src<int32_t>(0)[i]; break;
        default: index = static_cast<double>(ctx.src<int64_t>(0)[i]); break;
      }
      if (index < 0) index += static_cast<double>(depth);
      if (!(index >= 0 && index < static_cast<double>(depth))) continue;  // outside: all off
      const size_t at = (i / inner * depth + static_cast<size_t>(index)) * inner + i % inner;
      std::memcpy(ctx.dst<char>(0) + at * bytes, ctx.src<char>(2) + bytes, bytes);
    }
  }

 private:
  static int64_t checked_depth(double depth) { return depth >= 1 && depth < static_cast<double>(kMaxTensorBytes) ? static_cast<int64_t>(depth) : -1; }
  int64_t axis_;
};

constexpr OpKind kOps[] = {
    {"gather", 2, 2, 1, 1, create_op<Gather>},
    {"gather_elements", 2, 2, 1, 1, create_op<GatherElements>},
    {"gather_nd", 2, 2, 1, 1, create_op<GatherNd>},
    {"scatter_elements", 3, 3, 1, 1, create_op<Scatter>},
    {"scatter_nd", 3, 3, 1, 1, create_op<Scatter>},
    {"one_hot", 3, 3, 1, 1, create_op<OneHot>},
};

}  // namespace

OpList index_ops() { return {kOps, std::size(kOps)}; }

}  // namespace cec
