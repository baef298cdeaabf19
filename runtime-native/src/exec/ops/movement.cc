// Ops that move elements without looking at them: views, transpose, concat, split, slice, expand, tile, pad, depth and space.
#include "exec/ops/common.h"
#include "exec/ops/lists.h"

namespace cec {
namespace {

constexpr size_t kGrain = 16384;

/// Result 0 is operand 0 under another shape: shared where the planner can, else copied here.
class View : public Op {
 public:
  void run(RunContext& ctx) const final {
    const size_t bytes = ctx.output(0).bytes();
    if (bytes != 0 && ctx.out[0] != ctx.in[0]) std::memcpy(ctx.out[0], ctx.in[0], bytes);
  }

 protected:
  static void view(PrepareContext& ctx, const Shape& shape) {
    checked_bytes(ctx.dtype(0), shape);
    if (shape.count() != ctx.input(0).count()) {
      reject_shape("the tensor " + ctx.shape(0).to_string() + " has " + std::to_string(ctx.input(0).count()) + " elements, the shape " + shape.to_string() + " takes " +
                   std::to_string(shape.count()));
    }
    ctx.output(0, ctx.dtype(0), shape);
    ctx.view_of = 0;
  }
};

class Reshape final : public View {
 public:
  explicit Reshape(CreateContext& ctx) : allow_zero_(ctx.attrs().flag("allowzero", false)) {}
  void prepare(PrepareContext& ctx) const override {
    const Shape& x = ctx.shape(0);
    Shape y;
    int inferred = -1;
    const std::vector<int64_t> dims = ctx.ints(1);
    for (size_t i = 0; i < dims.size(); ++i) {
      int64_t dim = dims[i];
      if (dim == 0 && !allow_zero_) {
        if (static_cast<int>(i) >= x.rank()) reject_shape("the shape copies dimension " + std::to_string(i) + " of " + x.to_string() + ", which has fewer");
        dim = x[static_cast<int>(i)];
      } else if (dim == -1) {
        if (inferred >= 0) reject_shape("the shape has two dimensions of -1");
        inferred = static_cast<int>(i);
        dim = 1;
      } else if (dim < 0) {
        reject_shape("the shape has the dimension " + std::to_string(dim));
      }
      y.push_back(dim);
    }
    checked_bytes(ctx.dtype(0), y);
    if (inferred >= 0) {
      const int64_t rest = y.count();
      const int64_t total = ctx.input(0).count();
      if (rest == 0 || total % rest != 0) reject_shape("the tensor " + x.to_string() + " cannot be given a shape whose other dimensions multiply to " + std::to_string(rest));
      y[inferred] = total / rest;
    }
    view(ctx, y);
  }

 private:
  bool allow_zero_;
};

class Flatten final : public View {
 public:
  explicit Flatten(CreateContext& ctx) : axis_(ctx.attrs().integer("axis", 1)) {}
  void prepare(PrepareContext& ctx) const override {
    const Shape& x = ctx.shape(0);
    if (axis_ < -x.rank() || axis_ > x.rank()) reject("axis is " + std::to_string(axis_) + "; the tensor has " + std::to_string(x.rank()) + " dimensions");
    const int axis = static_cast<int>(axis_ < 0 ? axis_ + x.rank() : axis_);
    view(ctx, Shape{x.count(0, axis), x.count(axis, x.rank())});
  }

 private:
  int64_t axis_;
};

/// Axes from operand 1 or the attribute of older opsets.
std::vector<int64_t> axes_of(PrepareContext& ctx, const std::vector<int64_t>& attribute) { return ctx.has(1) ? ctx.ints(1) : attribute; }

class Squeeze final : public View {
 public:
  explicit Squeeze(CreateContext& ctx) : axes_(ctx.attrs().integers("axes", {})) {}
  void prepare(PrepareContext& ctx) const override {
    const Shape& x = ctx.shape(0);
    std::array<bool, kMaxRank> drop{};
    const std::vector<int64_t> axes = axes_of(ctx, axes_);
    for (int64_t axis : axes) {
      const int a = normalize_axis(axis, x.rank());
      if (x[a] != 1) reject_shape("dimension " + std::to_string(a) + " of " + x.to_string() + " is not 1");
      drop[static_cast<size_t>(a)] = true;
    }
    Shape y;
    for (int i = 0; i < x.rank(); ++i) {
      if (axes.empty() ? x[i] != 1 : !drop[static_cast<size_t>(i)]) y.push_back(x[i]);
    }
    view(ctx, y);
  }

 private:
  std::vector<int64_t> axes_;
};

class Unsqueeze final : public View {
 public:
  explicit Unsqueeze(CreateContext& ctx) : axes_(ctx.attrs().integers("axes", {})) {}
  void prepare(PrepareContext& ctx) const override {
    const Shape& x = ctx.shape(0);
    const std::vector<int64_t> axes = axes_of(ctx, axes_);
    if (axes.size() > static_cast<size_t>(kMaxRank - x.rank())) reject_shape("the result would have more than " + std::to_string(kMaxRank) + " dimensions");
    const int rank = x.rank() + static_cast<int>(axes.size());
    std::array<bool, kMaxRank> added{};
    for (int64_t axis : axes) {
      const int a = normalize_axis(axis, rank);
      if (added[static_cast<size_t>(a)]) reject("axes names dimension " + std::to_string(a) + " twice");
      added[static_cast<size_t>(a)] = true;
    }
    Shape y;
    for (int i = 0, from = 0; i < rank; ++i) y.push_back(added[static_cast<size_t>(i)] ? 1 : x[from++]);
    view(ctx, y);
  }

 private:
  std::vector<int64_t> axes_;
};

class Identity final : public View {
 public:
  explicit Identity(CreateContext&) {}
  void prepare(PrepareContext& ctx) const override { view(ctx, ctx.shape(0)); }
};

/// Inference: the value passes, the mask is true everywhere.
class Dropout final : public Op {
 public:
  explicit Dropout(CreateContext& ctx) {
    if (ctx.has(2)) {
      const Constant& training = ctx.constant(2, "training_mode");
      if (training.type.dtype == DType::boolean && training.type.count() == 1 && *training.as<uint8_t>() != 0) reject("training mode is not supported; the engine runs inference");
    }
  }
  void prepare(PrepareContext& ctx) const override {
    ctx.output(0, ctx.dtype(0), ctx.shape(0));
    ctx.output(1, DType::boolean, ctx.shape(0));
    ctx.inplace_with = {0};
  }
  void run(RunContext& ctx) const override {
    const size_t bytes = ctx.input(0).bytes();
    if (ctx.wants(0) && bytes != 0 && ctx.out[0] != ctx.in[0]) std::memcpy(ctx.out[0], ctx.in[0], bytes);
    if (ctx.wants(1) && bytes != 0) std::memset(ctx.out[1], 1, ctx.output(1).bytes());
  }
};

// ---- copies by strides -----------------------------------------------------------------------------------------------------------------

/// The result's axes over one source with arbitrary (also negative or zero) strides in elements; neighbouring axes are merged.
struct StridedCopy : OpState {
  int rank = 0;
  std::array<int64_t, kMaxRank> dims{};
  std::array<int64_t, kMaxRank> strides{};
  int64_t start = 0;
  size_t count = 0;
  size_t element = 1;

  StridedCopy(const Shape& y, const std::vector<int64_t>& by_axis, int64_t first, size_t element_bytes) : start(first), element(element_bytes) {
    count = static_cast<size_t>(y.count());
    for (int axis = 0; axis < y.rank(); ++axis) {
      if (y[axis] == 1) continue;
      const int64_t stride = by_axis[static_cast<size_t>(axis)];
      const size_t last = static_cast<size_t>(rank - 1);
      if (rank > 0 && strides[last] == stride * y[axis]) {
        dims[last] *= y[axis];
        strides[last] = stride;
        continue;
      }
      dims[static_cast<size_t>(rank)] = y[axis];
      strides[static_cast<size_t>(rank)] = stride;
      ++rank;
    }
    if (rank == 0) {
      dims[0] = 1;
      strides[0] = 1;
      rank = 1;
    }
  }

  void run(ThreadPool& pool, const LayoutVariant* layout, const void* x, void* y) const {
    if (count == 0) return;
    if (layout != nullptr && transpose(pool, *layout, x, y)) return;
    switch (element) {
      case 1: run_as<uint8_t>(pool, static_cast<const uint8_t*>(x), static_cast<uint8_t*>(y)); break;
      case 2: run_as<uint16_t>(pool, static_cast<const uint16_t*>(x), static_cast<uint16_t*>(y)); break;
      case 4: run_as<uint32_t>(pool, static_cast<const uint32_t*>(x), static_cast<uint32_t*>(y)); break;
      default: run_as<uint64_t>(pool, static_cast<const uint64_t*>(x), static_cast<uint64_t*>(y)); break;
    }
  }

 private:
  /// Batches of two-dimensional transposes: result [.., J, I] with the source's unit stride along J.
  bool transpose(ThreadPool& pool, const LayoutVariant& layout, const void* x, void* y) const {
    if (rank < 2 || rank > 3) return false;
    const size_t i = static_cast<size_t>(rank - 1);
    const size_t j = i - 1;
    if (strides[j] != 1 || strides[i] < dims[j]) return false;
    const size_t rows = static_cast<size_t>(dims[i]);  // along the source's rows
    const size_t cols = static_cast<size_t>(dims[j]);
    const size_t batches = rank == 3 ? static_cast<size_t>(dims[0]) : 1;
    const int64_t batch_stride = rank == 3 ? strides[0] : 0;
    const char* from = static_cast<const char*>(x) + start * static_cast<int64_t>(element);
    char* to = static_cast<char*>(y);
    // Blocks of columns of the source are blocks of rows of the result; wide ones where rows are few.
    const size_t block = std::max<size_t>(64, kGrain / rows / 64 * 64);
    const size_t blocks = (cols + block - 1) / block;
    parallel(pool, batches * blocks, 1 + kGrain / (rows * block), [&](size_t begin, size_t end, int) {
      for (size_t k = begin; k < end; ++k) {
        const size_t b = k / blocks;
        const size_t c = k % blocks * block;
        layout.transpose(element, rows, std::min(block, cols - c), from + (static_cast<int64_t>(b) * batch_stride + static_cast<int64_t>(c)) * static_cast<int64_t>(element),
                         static_cast<size_t>(strides[i]), to + (b * rows * cols + c * rows) * element, rows);
      }
    });
    return true;
  }

  template <typename T>
  void run_as(ThreadPool& pool, const T* x, T* y) const {
    const size_t last = static_cast<size_t>(rank - 1);
    const int64_t length = dims[last];
    const int64_t step = strides[last];
    parallel(pool, count / static_cast<size_t>(length), 1 + kGrain / static_cast<size_t>(length), [&](size_t begin, size_t end, int) {
      std::array<int64_t, kMaxRank> index{};
      int64_t at = start;
      size_t rest = begin;
      for (int axis = rank - 2; axis >= 0; --axis) {
        const size_t a = static_cast<size_t>(axis);
        index[a] = static_cast<int64_t>(rest % static_cast<size_t>(dims[a]));
        rest /= static_cast<size_t>(dims[a]);
        at += index[a] * strides[a];
      }
      for (size_t row = begin; row < end; ++row) {
        T* to = y + row * static_cast<size_t>(length);
        const T* from = x + at;
        if (step == 1) {
          std::memcpy(to, from, static_cast<size_t>(length) * sizeof(T));
        } else {
          for (int64_t i = 0; i < length; ++i) to[i] = from[i * step];
        }
        for (int axis = rank - 2; axis >= 0; --axis) {
          const size_t a = static_cast<size_t>(axis);
          at += strides[a];
          if (++index[a] < dims[a]) break;
          at -= strides[a] * dims[a];
          index[a] = 0;
        }
      }
    });
  }
};

std::vector<int64_t> row_major(const Shape& shape) {
  std::vector<int64_t> strides(static_cast<size_t>(shape.rank()));
  int64_t stride = 1;
  for (int i = shape.rank() - 1; i >= 0; --i) {
    strides[static_cast<size_t>(i)] = stride;
    stride *= shape[i];
  }
  return strides;
}

/// Ops whose result is one strided copy of operand 0.
class CopyOp : public Op {
 public:
  void run(RunContext& ctx) const final { ctx.state<StridedCopy>().run(ctx.pool(), layout_, ctx.in[0], ctx.out[0]); }

 protected:
  static void copy(PrepareContext& ctx, const Shape& y, const std::vector<int64_t>& strides, int64_t start = 0) {
    ctx.output(0, ctx.dtype(0), y);
    ctx.state = std::make_unique<StridedCopy>(y, strides, start, size_of(ctx.dtype(0)));
  }
  const LayoutVariant* layout_ = nullptr;
};

class Transpose final : public CopyOp {
 public:
  explicit Transpose(CreateContext& ctx) : perm_(ctx.attrs().integers("perm", {})) { layout_ = ctx.kernels().layout; }
  void prepare(PrepareContext& ctx) const override {
    const Shape& x = ctx.shape(0);
    std::vector<int64_t> perm = perm_;
    if (perm.empty()) {
      for (int i = x.rank() - 1; i >= 0; --i) perm.push_back(i);
    }
    if (perm.size() != static_cast<size_t>(x.rank())) reject("perm has " + std::to_string(perm.size()) + " values, the tensor " + std::to_string(x.rank()) + " dimensions");
    const std::vector<int64_t> from = row_major(x);
    std::array<bool, kMaxRank> seen{};
    Shape y;
    std::vector<int64_t> strides;
    for (int64_t axis : perm) {
      const int a = normalize_axis(axis, x.rank(), "perm");
      if (seen[static_cast<size_t>(a)]) reject("perm names dimension " + std::to_string(a) + " twice");
      seen[static_cast<size_t>(a)] = true;
      y.push_back(x[a]);
      strides.push_back(from[static_cast<size_t>(a)]);
    }
    // Where no dimension of more than one element changes its place, nothing moves.
    int64_t previous = -1;
    bool same = true;
    for (int64_t axis : perm) {
      const int a = normalize_axis(axis, x.rank());
      if (x[a] == 1) continue;
      same = same && a > previous;
      previous = a;
    }
    copy(ctx, y, strides);
    if (same) ctx.view_of = 0;
  }

 private:
  std::vector<int64_t> perm_;
};

class Expand final : public CopyOp {
 public:
  explicit Expand(CreateContext&) {}
  void prepare(PrepareContext& ctx) const override {
    const Shape& x = ctx.shape(0);
    Shape wanted;
    for (int64_t dim : ctx.ints(1)) {
      if (dim < 0) reject_shape("the shape has the dimension " + std::to_string(dim));
      wanted.push_back(dim);
    }
    const Shape y = broadcast(x, wanted);
    const std::vector<int64_t> from = row_major(x);
    std::vector<int64_t> strides(static_cast<size_t>(y.rank()), 0);
    for (int i = 0; i < x.rank(); ++i) {
      if (x[i] != 1) strides[static_cast<size_t>(y.rank() - x.rank() + i)] = from[static_cast<size_t>(i)];
    }
    copy(ctx, y, strides);
  }
};

/// Result [r0, d0, r1, d1, ...] of a tensor [d0, d1, ...], which may need twice the axes: walked as its own loop.
class Tile final : public Op {
 public:
  explicit Tile(CreateContext&) {}
  void prepare(PrepareContext& ctx) const override {
    const Shape& x = ctx.shape(0);
    const std::vector<int64_t> repeats = ctx.ints(1);
    if (repeats.size() != static_cast<size_t>(x.rank())) reject("there are " + std::to_string(repeats.size()) + " repeats for " + std::to_string(x.rank()) + " dimensions");
    Shape y;
    for (int i = 0; i < x.rank(); ++i) {
      const int64_t r = repeats[static_cast<size_t>(i)];
      if (r < 0) reject("repeats holds " + std::to_string(r));
      checked_bytes(DType::u8, Shape{x[i], r});
      y.push_back(x[i] * r);
    }
    ctx.output(0, ctx.dtype(0), y);
  }
  void run(RunContext& ctx) const override {
    const TensorType& x = ctx.input(0);
    const TensorType& y = ctx.output(0);
    if (y.count() == 0) return;
    const size_t element = size_of(x.dtype);
    const int rank = x.shape.rank();
    if (rank == 0) {
      std::memcpy(ctx.out[0], ctx.in[0], element);
      return;
    }
    const int64_t length = x.shape[rank - 1];
    const size_t rows = static_cast<size_t>(y.count() / y.shape[rank - 1]);
    const int64_t copies = y.shape[rank - 1] / length;
    parallel(ctx.pool(), rows, 1 + kGrain / static_cast<size_t>(y.shape[rank - 1]), [&](size_t begin, size_t end, int) {
      for (size_t row = begin; row < end; ++row) {
        size_t rest = row;
        size_t from = 0;
        size_t stride = 1;
        for (int axis = rank - 2; axis >= 0; --axis) {
          const size_t index = rest % static_cast<size_t>(y.shape[axis]);
          rest /= static_cast<size_t>(y.shape[axis]);
          from += index % static_cast<size_t>(x.shape[axis]) * stride;
          stride *= static_cast<size_t>(x.shape[axis]);
        }
        const size_t bytes = static_cast<size_t>(length) * element;
        char* to = ctx.dst<char>(0) + row * static_cast<size_t>(copies) * bytes;
        for (int64_t k = 0; k < copies; ++k) std::memcpy(to + static_cast<size_t>(k) * bytes, ctx.src<char>(0) + from * bytes, bytes);
      }
    });
  }
};

class Slice final : public CopyOp {
 public:
  explicit Slice(CreateContext& ctx) : starts_(ctx.attrs().integers("starts", {})), ends_(ctx.attrs().integers("ends", {})), axes_(ctx.attrs().integers("axes", {})) {}
  void prepare(PrepareContext& ctx) const override {
    const Shape& x = ctx.shape(0);
    const std::vector<int64_t> starts = ctx.has(1) ? ctx.ints(1) : starts_;
    const std::vector<int64_t> ends = ctx.has(2) ? ctx.ints(2) : ends_;
    std::vector<int64_t> axes = ctx.has(3) ? ctx.ints(3) : axes_;
    std::vector<int64_t> steps = ctx.has(4) ? ctx.ints(4) : std::vector<int64_t>(starts.size(), 1);
    if (axes.empty()) {
      for (size_t i = 0; i < starts.size(); ++i) axes.push_back(static_cast<int64_t>(i));
    }
    if (starts.size() != ends.size() || starts.size() != axes.size() || starts.size() != steps.size()) reject("starts, ends, axes and steps have different lengths");
    Shape y = x;
    std::vector<int64_t> strides = row_major(x);
    int64_t start = 0;
    std::array<bool, kMaxRank> seen{};
    for (size_t i = 0; i < starts.size(); ++i) {
      const int a = normalize_axis(axes[i], x.rank());
      if (seen[static_cast<size_t>(a)]) reject("axes names dimension " + std::to_string(a) + " twice");
      seen[static_cast<size_t>(a)] = true;
      const int64_t dim = x[a];
      const int64_t step = steps[i];
      if (step == 0) reject("a step is 0");
      // Values near the ends of i64 stand for "to the end": clamp before anything is added.
      const auto clamp = [&](int64_t v, int64_t low, int64_t high) {
        if (v < 0) v = v < -dim ? -1 - dim : v;  // keeps v + dim in range
        v = v < 0 ? v + dim : v;
        return std::min(std::max(v, low), high);
      };
      const int64_t first = step > 0 ? clamp(starts[i], 0, dim) : clamp(starts[i], 0, dim - 1);
      const int64_t last = step > 0 ? clamp(ends[i], 0, dim) : clamp(ends[i], -1, dim - 1);
      const int64_t span = step > 0 ? last - first : first - last;
      const uint64_t width = step > 0 ? static_cast<uint64_t>(step) : uint64_t{0} - static_cast<uint64_t>(step);
      y[a] = dim == 0 || span <= 0 ? 0 : static_cast<int64_t>((static_cast<uint64_t>(span) - 1) / width) + 1;
      if (y[a] > 0) start += first * strides[static_cast<size_t>(a)];
      // With one element the step is never taken, and a huge one must not be multiplied.
      strides[static_cast<size_t>(a)] = y[a] > 1 ? strides[static_cast<size_t>(a)] * step : 0;
    }
    copy(ctx, y, strides, start);
  }

 private:
  std::vector<int64_t> starts_, ends_, axes_;
};

class Concat final : public Op {
 public:
  explicit Concat(CreateContext& ctx) : axis_(ctx.attrs().integer("axis", 0)) {}
  void prepare(PrepareContext& ctx) const override {
    Shape y = ctx.shape(0);
    const int axis = normalize_axis(axis_, y.rank());
    int64_t sum = 0;
    for (int i = 0; i < ctx.inputs(); ++i) {
      ctx.expect(i, ctx.dtype(0));
      const Shape& x = ctx.shape(i);
      bool fits = x.rank() == y.rank();
      for (int d = 0; fits && d < x.rank(); ++d) fits = d == axis || x[d] == y[d];
      if (!fits) reject_shape("the shapes " + ctx.shape(0).to_string() + " and " + x.to_string() + " cannot be joined along dimension " + std::to_string(axis));
      sum += x[axis];
    }
    y[axis] = sum;
    ctx.output(0, ctx.dtype(0), y);
  }
  void run(RunContext& ctx) const override {
    const TensorType& y = ctx.output(0);
    if (y.count() == 0) return;
    const int axis = normalize_axis(axis_, y.shape.rank());
    const size_t outer = static_cast<size_t>(y.shape.count(0, axis));
    const size_t row = static_cast<size_t>(y.shape.count(axis, y.shape.rank())) * size_of(y.dtype);
    parallel(ctx.pool(), outer, 1 + 65536 / row, [&](size_t begin, size_t end, int) {
      size_t at = 0;
      for (int i = 0; i < ctx.in_count; ++i) {
        const TensorType& x = ctx.input(i);
        const size_t part = static_cast<size_t>(x.shape.count(axis, x.shape.rank())) * size_of(x.dtype);
        for (size_t o = begin; o < end && part != 0; ++o) std::memcpy(ctx.dst<char>(0) + o * row + at, ctx.src<char>(i) + o * part, part);
        at += part;
      }
    });
  }

 private:
  int64_t axis_;
};

class Split final : public Op {
 public:
  explicit Split(CreateContext& ctx)
      : axis_(ctx.attrs().integer("axis", 0)), parts_(ctx.attrs().integers("split", {})), count_(ctx.attrs().integer("num_outputs", ctx.outputs())) {
    if (count_ != ctx.outputs()) reject("num_outputs is " + std::to_string(count_) + ", the op has " + std::to_string(ctx.outputs()) + " results");
  }
  void prepare(PrepareContext& ctx) const override {
    const Shape& x = ctx.shape(0);
    const int axis = normalize_axis(axis_, x.rank());
    std::vector<int64_t> parts = ctx.has(1) ? ctx.ints(1) : parts_;
    if (parts.empty()) {
      // Equal parts, the last one smaller where they do not fit.
      const int64_t part = (x[axis] + count_ - 1) / count_;
      for (int64_t i = 0; i < count_; ++i) parts.push_back(std::max<int64_t>(0, std::min(part, x[axis] - i * part)));
    }
    if (parts.size() != static_cast<size_t>(ctx.outputs())) reject("split has " + std::to_string(parts.size()) + " parts, the op " + std::to_string(ctx.outputs()) + " results");
    int64_t left = x[axis];
    for (size_t i = 0; i < parts.size(); ++i) {
      if (parts[i] < 0 || parts[i] > left) reject_shape("the parts of split do not add up to dimension " + std::to_string(axis) + " of " + x.to_string());
      left -= parts[i];
      Shape y = x;
      y[axis] = parts[i];
      ctx.output(static_cast<int>(i), ctx.dtype(0), y);
    }
    if (left != 0) reject_shape("the parts of split do not add up to dimension " + std::to_string(axis) + " of " + x.to_string());
    auto state = std::make_unique<State>();
    state->parts = parts;
    ctx.state = std::move(state);
  }
  void run(RunContext& ctx) const override {
    const TensorType& x = ctx.input(0);
    if (x.count() == 0) return;
    const int axis = normalize_axis(axis_, x.shape.rank());
    const size_t outer = static_cast<size_t>(x.shape.count(0, axis));
    const size_t inner = static_cast<size_t>(x.shape.count(axis + 1, x.shape.rank())) * size_of(x.dtype);
    const size_t row = inner * static_cast<size_t>(x.shape[axis]);
    size_t at = 0;
    const std::vector<int64_t>& parts = ctx.state<State>().parts;
    for (int i = 0; i < ctx.out_count; ++i) {
      const size_t part = static_cast<size_t>(parts[static_cast<size_t>(i)]) * inner;
      if (ctx.wants(i) && part != 0) {
        for (size_t o = 0; o < outer; ++o) std::memcpy(ctx.dst<char>(i) + o * part, ctx.src<char>(0) + o * row + at, part);
      }
      at += part;
    }
  }

 private:
  struct State : OpState {
    std::vector<int64_t> parts;
  };
  int64_t axis_;
  std::vector<int64_t> parts_;
  int64_t count_;
};

class Pad final : public Op {
 public:
  explicit Pad(CreateContext& ctx) : mode_(parse(ctx.attrs().text("mode", "constant"))), pads_(ctx.attrs().integers("pads", {})) {}

  // No table of positions: it would be as large as the result, and made before anybody has memory for that.
  struct Axis {
    int64_t in, out, begin;
    bool kept() const { return begin == 0 && in == out; }
  };
  struct State : OpState {
    std::vector<Axis> axes;  // at least one, the innermost last
  };

  void prepare(PrepareContext& ctx) const override {
    const Shape& x = ctx.shape(0);
    const std::vector<int64_t> given = ctx.has(1) ? ctx.ints(1) : pads_;
    std::vector<int64_t> axes;
    if (ctx.has(3)) axes = ctx.ints(3);
    else for (int i = 0; i < x.rank(); ++i) axes.push_back(i);
    if (given.size() != axes.size() * 2) reject("pads has " + std::to_string(given.size()) + " values for " + std::to_string(axes.size()) + " axes");
    if (ctx.has(2)) {
      ctx.expect(2, ctx.dtype(0));
      if (ctx.input(2).count() != 1) reject_shape("the constant must be one element, it is " + ctx.input(2).to_string());
    }
    std::vector<int64_t> begin(static_cast<size_t>(x.rank()), 0), end(static_cast<size_t>(x.rank()), 0);
    for (size_t i = 0; i < axes.size(); ++i) {
      const size_t a = static_cast<size_t>(normalize_axis(axes[i], x.rank()));
      begin[a] = given[i];
      end[a] = given[i + axes.size()];
    }
    Shape y;
    for (int axis = 0; axis < x.rank(); ++axis) {
      const size_t a = static_cast<size_t>(axis);
      const int64_t dim = x[axis];
      const int64_t limit = kMaxTensorBytes;
      if (begin[a] > limit || begin[a] < -limit || end[a] > limit || end[a] < -limit) reject_shape("pads holds a huge value");
      const int64_t size = dim + begin[a] + end[a];
      if (size < 0) reject_shape("pads takes more than there is from dimension " + std::to_string(axis) + " of " + x.to_string());
      y.push_back(size);
      if (size > 0 && dim == 0 && mode_ != Mode::constant) reject_shape("an empty dimension has nothing to pad with; only mode constant can pad it");
    }
    ctx.output(0, ctx.dtype(0), y);
    if (y.rank() > 1 && y.count(1, y.rank()) >= (int64_t{1} << 31)) throw Error(codes::kMemory, "padding " + x.to_string() + " to " + y.to_string() + " gives one sample more than 2^31 elements, which is too large for the engine");
    auto state = std::make_unique<State>();
    state->axes = joined(x, y, begin);
    ctx.state = std::move(state);
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
  /// As few axes as do the same: one that is kept whole is part of the axis around it, whose padding are then whole rows of it.
  std::vector<Axis> joined(const Shape& x, const Shape& y, const std::vector<int64_t>& begin) const {
    std::vector<Axis> axes;  // the outermost last
    for (int axis = x.rank() - 1; axis >= 0; --axis) {
      Axis a{x[axis], y[axis], begin[static_cast<size_t>(axis)]};
      if (mode_ == Mode::constant) a.begin = std::clamp(a.begin, -a.in, a.out);  // beyond that, nothing of the source is left
      if (axes.empty() || !axes.back().kept() || (mode_ != Mode::constant && !a.kept())) axes.push_back(a);
      else axes.back() = {a.in * axes.back().in, a.out * axes.back().out, a.begin * axes.back().in};
    }
    if (axes.empty()) axes.push_back({1, 1, 0});
    std::reverse(axes.begin(), axes.end());
    return axes;
  }

  /// The position in an axis of `dim` elements that stands for position `at` (0: its first element; below it and from `dim` on: padding), or -1 for the constant.
  int64_t source(int64_t at, int64_t dim) const {
    if (at >= 0 && at < dim) return at;
    switch (mode_) {
      case Mode::constant: return -1;
      case Mode::edge: return at < 0 ? 0 : dim - 1;
      case Mode::wrap: return ((at % dim) + dim) % dim;
      case Mode::reflect: break;
    }
    const int64_t period = 2 * (dim - 1);
    if (period == 0) return 0;
    at = ((at % period) + period) % period;
    return at < dim ? at : period - at;
  }

  template <typename T>
  void run_as(RunContext& ctx) const {
    const std::vector<Axis>& axes = ctx.state<State>().axes;
    const TensorType& y = ctx.output(0);
    if (y.count() == 0) return;
    const T fill = ctx.has(2) ? *ctx.src<T>(2) : T{0};
    const auto [dim, length, shift] = axes.back();
    // Of each row [from, to) lies in the source.
    const int64_t from = std::min(std::max<int64_t>(shift, 0), length);
    const int64_t to = std::max(from, std::min(shift + dim, length));
    parallel(ctx.pool(), static_cast<size_t>(y.count() / length), 1 + kGrain / static_cast<size_t>(length), [&, dim = dim, length = length, shift = shift](size_t begin, size_t end, int) {
      for (size_t row = begin; row < end; ++row) {
        int64_t rest = static_cast<int64_t>(row);
        int64_t offset = 0;
        int64_t stride = dim;
        bool outside = false;
        for (size_t i = axes.size() - 1; i-- > 0;) {
          const Axis& axis = axes[i];
          const int64_t at = source((i == 0 ? rest : rest % axis.out) - axis.begin, axis.in);
          if (i != 0) rest /= axis.out;
          outside = outside || at < 0;
          offset += at * stride;
          stride *= axis.in;
        }
        T* const result = ctx.dst<T>(0) + static_cast<int64_t>(row) * length;
        if (outside) {
          std::fill(result, result + length, fill);
          continue;
        }
        const T* const values = ctx.src<T>(0) + offset;
        const auto pad = [&](int64_t i, int64_t end) {
          if (mode_ == Mode::constant) return static_cast<void>(std::fill(result + i, result + end, fill));
          for (; i < end; ++i) result[i] = values[source(i - shift, dim)];
        };
        pad(0, from);
        if (to > from) std::copy(values + (from - shift), values + (to - shift), result + from);
        pad(to, length);
      }
    });
  }

  enum class Mode { constant, reflect, edge, wrap };
  static Mode parse(const std::string& mode) {
    if (mode == "constant") return Mode::constant;
    if (mode == "reflect") return Mode::reflect;
    if (mode == "edge") return Mode::edge;
    if (mode == "wrap") return Mode::wrap;
    reject("mode is \"" + mode + "\"; it must be constant, reflect, edge or wrap");
  }

  Mode mode_;
  std::vector<int64_t> pads_;
};

/// depth_to_space and space_to_depth, NCHW: a reshape to six axes, a transpose and a reshape, done as one strided copy.
class DepthSpace final : public Op {
 public:
  explicit DepthSpace(CreateContext& ctx) {
    to_space_ = ctx.kind == "depth_to_space";
    block_ = ctx.attrs().bounded("blocksize", 0, 1, 1 << 20);
    const std::string mode = ctx.attrs().text("mode", "DCR");
    if (mode != "DCR" && mode != "CRD") reject("mode is \"" + mode + "\"; it must be DCR or CRD");
    crd_ = mode == "CRD";
  }
  void prepare(PrepareContext& ctx) const override {
    const Shape& x = ctx.shape(0);
    if (x.rank() != 4) reject_shape("the input must be [N,C,H,W], it is " + x.to_string());
    const int64_t b = block_;
    if (to_space_) {
      if (x[1] % (b * b) != 0) reject_shape("the channels of " + x.to_string() + " are no multiple of " + std::to_string(b * b));
      const int64_t c = x[1] / (b * b);
      checked_bytes(DType::u8, Shape{x[2], b});
      checked_bytes(DType::u8, Shape{x[3], b});
      ctx.output(0, ctx.dtype(0), Shape{x[0], c, x[2] * b, x[3] * b});
      // Result axes N, C, H, by, W, bx.
      const int64_t plane = x[2] * x[3];
      const int64_t c_stride = crd_ ? b * b * plane : plane;
      const int64_t block_stride = crd_ ? plane : c * plane;
      ctx.state = std::make_unique<StridedCopy>(Shape{x[0], c, x[2], b, x[3], b}, std::vector<int64_t>{x[1] * plane, c_stride, x[3], block_stride * b, 1, block_stride}, 0, size_of(ctx.dtype(0)));
    } else {
      if (x[2] % b != 0 || x[3] % b != 0) reject_shape("the image of " + x.to_string() + " is no multiple of " + std::to_string(b));
      checked_bytes(DType::u8, Shape{x[1], b, b});
      const int64_t h = x[2] / b;
      const int64_t w = x[3] / b;
      ctx.output(0, ctx.dtype(0), Shape{x[0], x[1] * b * b, h, w});
      // Result axes N, by, bx, C, H, W.
      const int64_t plane = x[2] * x[3];
      ctx.state = std::make_unique<StridedCopy>(Shape{x[0], b, b, x[1], h, w}, std::vector<int64_t>{x[1] * plane, x[3], 1, plane, x[3] * b, b}, 0, size_of(ctx.dtype(0)));
    }
  }
  void run(RunContext& ctx) const override { ctx.state<StridedCopy>().run(ctx.pool(), nullptr, ctx.in[0], ctx.out[0]); }

 private:
  bool to_space_, crd_ = false;
  int block_ = 1;
};

class ShapeOf final : public Op {
 public:
  explicit ShapeOf(CreateContext& ctx) : size_(ctx.kind == "size"), start_(ctx.attrs().integer("start", 0)), has_end_(ctx.attrs().has("end")), end_(ctx.attrs().integer("end", 0)) {}
  bool reads_operands() const override { return false; }
  struct State : OpState {
    std::vector<int64_t> values;
  };
  void prepare(PrepareContext& ctx) const override {
    const Shape& x = ctx.shape(0);
    auto state = std::make_unique<State>();
    if (size_) {
      state->values = {x.count()};
      ctx.output(0, DType::i64, Shape{});
    } else {
      const int64_t rank = x.rank();
      const auto bound = [&](int64_t v) { return std::min(std::max<int64_t>(v < 0 ? std::max(v, -rank) + rank : v, 0), rank); };
      const int64_t from = bound(start_);
      const int64_t to = has_end_ ? bound(end_) : rank;
      for (int64_t i = from; i < to; ++i) state->values.push_back(x[static_cast<int>(i)]);
      ctx.output(0, DType::i64, Shape{static_cast<int64_t>(state->values.size())});
    }
    ctx.state = std::move(state);
  }
  void run(RunContext& ctx) const override {
    const std::vector<int64_t>& values = ctx.state<State>().values;
    if (!values.empty()) std::memcpy(ctx.out[0], values.data(), values.size() * sizeof(int64_t));
  }

 private:
  bool size_;
  int64_t start_;
  bool has_end_;
  int64_t end_;
};

class ConstantOfShape final : public Op {
 public:
  explicit ConstantOfShape(CreateContext&) {}
  void prepare(PrepareContext& ctx) const override {
    Shape y;
    for (int64_t dim : ctx.ints(0)) {
      if (dim < 0) reject_shape("the shape has the dimension " + std::to_string(dim));
      y.push_back(dim);
    }
    if (ctx.has(1) && ctx.input(1).count() != 1) reject("the value must be one element, it is " + ctx.input(1).to_string());
    ctx.output(0, ctx.has(1) ? ctx.dtype(1) : DType::f32, y);
  }
  void run(RunContext& ctx) const override {
    const TensorType& y = ctx.output(0);
    const size_t element = size_of(y.dtype);
    const size_t n = static_cast<size_t>(y.count());
    if (n == 0) return;
    if (!ctx.has(1)) {
      std::memset(ctx.out[0], 0, n * element);
      return;
    }
    for (size_t i = 0; i < n; ++i) std::memcpy(ctx.dst<char>(0) + i * element, ctx.in[1], element);
  }
};

class Range final : public Op {
 public:
  explicit Range(CreateContext&) {}
  void prepare(PrepareContext& ctx) const override {
    const DType type = ctx.dtype(0);
    for (int i = 0; i < 3; ++i) {
      ctx.expect(i, type);
      if (ctx.input(i).count() != 1) reject("operand " + std::to_string(i) + " must be one number, it is " + ctx.input(i).to_string());
    }
    int64_t n = 0;
    const auto of_floats = [&](double start, double limit, double delta) {
      const double count = std::ceil((limit - start) / delta);
      if (!(count < static_cast<double>(kMaxTensorBytes))) reject_shape("the range would have more than 2^40 elements");
      n = count > 0 ? static_cast<int64_t>(count) : 0;
    };
    const auto of_ints = [&](int64_t start, int64_t limit, int64_t delta) {
      if (delta == 0) reject("the step of the range is 0");
      if (delta > 0 ? start >= limit : start <= limit) return;
      const uint64_t span = delta > 0 ? static_cast<uint64_t>(limit) - static_cast<uint64_t>(start) : static_cast<uint64_t>(start) - static_cast<uint64_t>(limit);
      const uint64_t width = delta > 0 ? static_cast<uint64_t>(delta) : uint64_t{0} - static_cast<uint64_t>(delta);
      const uint64_t count = (span - 1) / width + 1;
      if (count > static_cast<uint64_t>(kMaxTensorBytes)) reject_shape("the range would have more than 2^40 elements");
      n = static_cast<int64_t>(count);
    };
    const void* v[3] = {ctx.value(0), ctx.value(1), ctx.value(2)};
    if (type == DType::f32) of_floats(*static_cast<const float*>(v[0]), *static_cast<const float*>(v[1]), *static_cast<const float*>(v[2]));
    else if (type == DType::f64) of_floats(*static_cast<const double*>(v[0]), *static_cast<const double*>(v[1]), *static_cast<const double*>(v[2]));
    else if (type == DType::i32) of_ints(*static_cast<const int32_t*>(v[0]), *static_cast<const int32_t*>(v[1]), *static_cast<const int32_t*>(v[2]));
    else if (type == DType::i64) of_ints(*static_cast<const int64_t*>(v[0]), *static_cast<const int64_t*>(v[1]), *static_cast<const int64_t*>(v[2]));
    else reject(std::string("operands of the type ") + name_of(type));
    ctx.output(0, type, Shape{n});
  }
  void run(RunContext& ctx) const override {
    const size_t n = static_cast<size_t>(ctx.output(0).count());
    const auto floats = [&](auto zero) {
      using T = decltype(zero);
      for (size_t i = 0; i < n; ++i) ctx.dst<T>(0)[i] = *ctx.src<T>(0) + static_cast<T>(i) * *ctx.src<T>(2);
    };
    const auto ints = [&](auto zero) {
      using T = decltype(zero);
      using U = std::make_unsigned_t<T>;
      for (size_t i = 0; i < n; ++i) ctx.dst<T>(0)[i] = static_cast<T>(static_cast<U>(*ctx.src<T>(0)) + static_cast<U>(i) * static_cast<U>(*ctx.src<T>(2)));
    };
    switch (ctx.output(0).dtype) {
      case DType::f32: floats(float{}); break;
      case DType::f64: floats(double{}); break;
      case DType::i32: ints(int32_t{}); break;
      default: ints(int64_t{}); break;
    }
  }
};

class Trilu final : public Op {
 public:
  explicit Trilu(CreateContext& ctx) : upper_(ctx.attrs().flag("upper", true)) {}
  struct State : OpState {
    int64_t k = 0;
  };
  void prepare(PrepareContext& ctx) const override {
    if (ctx.shape(0).rank() < 2) reject_shape("the input must have at least 2 dimensions, it is " + ctx.shape(0).to_string());
    auto state = std::make_unique<State>();
    const int64_t limit = kMaxTensorBytes;
    if (ctx.has(1)) state->k = std::min(std::max(ctx.scalar_int(1), -limit), limit);
    ctx.state = std::move(state);
    ctx.output(0, ctx.dtype(0), ctx.shape(0));
    ctx.inplace_with = {0};
  }
  void run(RunContext& ctx) const override {
    const TensorType& type = ctx.output(0);
    const int rank = type.shape.rank();
    const int64_t rows = type.shape[rank - 2];
    const int64_t cols = type.shape[rank - 1];
    const int64_t element = static_cast<int64_t>(size_of(type.dtype));
    if (type.count() == 0) return;
    const int64_t total = type.count() / cols;
    const int64_t k = ctx.state<State>().k;
    for (int64_t r = 0; r < total; ++r) {
      const int64_t edge = std::min(std::max<int64_t>(r % rows + k + (upper_ ? 0 : 1), 0), cols);  // kept: [edge, cols) or [0, edge)
      const char* from = ctx.src<char>(0) + r * cols * element;
      char* to = ctx.dst<char>(0) + r * cols * element;
      const int64_t begin = upper_ ? edge : 0;
      const int64_t end = upper_ ? cols : edge;
      if (from != to) std::memcpy(to + begin * element, from + begin * element, static_cast<size_t>((end - begin) * element));
      std::memset(to, 0, static_cast<size_t>(begin * element));
      std::memset(to + end * element, 0, static_cast<size_t>((cols - end) * element));
    }
  }

 private:
  bool upper_;
};

constexpr OpKind kOps[] = {
    {"reshape", 2, 2, 1, 1, create_op<Reshape>},
    {"flatten", 1, 1, 1, 1, create_op<Flatten>},
    {"squeeze", 1, 2, 1, 1, create_op<Squeeze>},
    {"unsqueeze", 1, 2, 1, 1, create_op<Unsqueeze>},
    {"identity", 1, 1, 1, 1, create_op<Identity>},
    {"dropout", 1, 3, 1, 2, create_op<Dropout>},
    {"transpose", 1, 1, 1, 1, create_op<Transpose>},
    {"expand", 2, 2, 1, 1, create_op<Expand>},
    {"tile", 2, 2, 1, 1, create_op<Tile>},
    {"slice", 1, 5, 1, 1, create_op<Slice>},
    {"concat", 1, -1, 1, 1, create_op<Concat>},
    {"split", 1, 2, 1, -1, create_op<Split>},
    {"pad", 1, 4, 1, 1, create_op<Pad>},
    {"depth_to_space", 1, 1, 1, 1, create_op<DepthSpace>},
    {"space_to_depth", 1, 1, 1, 1, create_op<DepthSpace>},
    {"shape", 1, 1, 1, 1, create_op<ShapeOf>},
    {"size", 1, 1, 1, 1, create_op<ShapeOf>},
    {"constant_of_shape", 1, 2, 1, 1, create_op<ConstantOfShape>},
    {"range", 3, 3, 1, 1, create_op<Range>},
    {"trilu", 1, 2, 1, 1, create_op<Trilu>},
};

}  // namespace

OpList movement_ops() { return {kOps, std::size(kOps)}; }

}  // namespace cec
