#include "exec/ops/common.h"

namespace cec {

int normalize_axis(int64_t axis, int rank, const char* what) {
  if (axis < -rank || axis >= rank) reject(std::string(what) + " is " + std::to_string(axis) + "; the tensor has " + std::to_string(rank) + " dimensions");
  return static_cast<int>(axis < 0 ? axis + rank : axis);
}

Clamp read_activation(const Attrs& attrs) {
  const std::string name = attrs.text("activation", "");
  if (name.empty() || name == "none") return {};
  if (name == "relu") return {0.0f, std::numeric_limits<float>::infinity()};
  if (name == "clip") {
    Clamp clamp;
    clamp.lo = static_cast<float>(attrs.number("clip_min", -std::numeric_limits<double>::infinity()));
    clamp.hi = static_cast<float>(attrs.number("clip_max", std::numeric_limits<double>::infinity()));
    if (std::isnan(clamp.lo) || std::isnan(clamp.hi)) reject("clip_min or clip_max is NaN");
    return clamp;
  }
  reject("activation is \"" + name + "\"; it must be relu or clip");
}

namespace {

constexpr int64_t kMaxWindow = int64_t{1} << 31;

template <size_t N>
void read_list(const Attrs& attrs, const char* key, int64_t least, std::array<int64_t, N>& into) {
  const std::vector<int64_t> values = attrs.integers(key, std::vector<int64_t>(into.begin(), into.end()));
  if (values.size() != N) reject(std::string("attribute ") + key + " must have " + std::to_string(N) + " values, it has " + std::to_string(values.size()));
  for (size_t i = 0; i < N; ++i) {
    if (values[i] < least || values[i] >= kMaxWindow) reject(std::string("attribute ") + key + " holds " + std::to_string(values[i]));
    into[i] = values[i];
  }
}

}  // namespace

Window2d read_window(const Attrs& attrs) {
  Window2d window;
  read_list(attrs, "strides", 1, window.stride);
  read_list(attrs, "dilations", 1, window.dilation);
  read_list(attrs, "pads", 0, window.pads);
  return window;
}

int64_t window_output(int64_t input, int64_t kernel, int64_t stride, int64_t dilation, int64_t pad_begin, int64_t pad_end, bool ceil_mode) {
  if (kernel < 1 || kernel >= kMaxWindow) reject("a kernel of size " + std::to_string(kernel));
  const int64_t padded = input + pad_begin + pad_end;
  const int64_t extent = (kernel - 1) * dilation + 1;  // both below 2^31
  if (padded < extent) {
    reject_shape("a window of " + std::to_string(extent) + " does not fit into an input of " + std::to_string(input) + " with padding " +
                 std::to_string(pad_begin) + " and " + std::to_string(pad_end));
  }
  int64_t out = (padded - extent + (ceil_mode ? stride - 1 : 0)) / stride + 1;
  // A last window that would begin in the padding at the end is left out (ONNX, ceil_mode).
  if (ceil_mode && (out - 1) * stride >= input + pad_begin) --out;
  return out;
}

void check_taps(int64_t taps, int64_t pixels, int64_t image_elements) {
  constexpr int64_t kMaxOffsets = int64_t{1} << 28;
  if (pixels > 0 && taps > kMaxOffsets / pixels) throw Error(codes::kMemory, "a window of " + std::to_string(taps) + " elements over " + std::to_string(pixels) + " positions is too large for the engine");
  if (image_elements >= (int64_t{1} << 31)) throw Error(codes::kMemory, "one image has more than 2^31 elements, which is too large for the engine");
}

void fill_rows(ThreadPool& pool, const EpilogueF32& e, size_t rows, size_t columns, float* c) {
  parallel(pool, rows, 256, [&](size_t begin, size_t end, int) {
    for (size_t row = begin; row < end; ++row) {
      for (size_t column = 0; column < columns; ++column) {
        float v = e.bias == nullptr ? 0.0f : e.bias[column];
        if (e.residual != nullptr) v += e.residual[row * e.ld_residual + column];
        v = v < e.lo ? e.lo : v;
        c[row * columns + column] = v > e.hi ? e.hi : v;
      }
    }
  });
}

TapGeometry geometry_of(const Window2d& window, int64_t in_h, int64_t in_w, int64_t out_h, int64_t out_w, int64_t channels) {
  TapGeometry geometry;
  geometry.in_h = static_cast<size_t>(in_h);
  geometry.in_w = static_cast<size_t>(in_w);
  geometry.out_h = static_cast<size_t>(out_h);
  geometry.out_w = static_cast<size_t>(out_w);
  geometry.kernel_h = static_cast<size_t>(window.kernel[0]);
  geometry.kernel_w = static_cast<size_t>(window.kernel[1]);
  geometry.stride_h = static_cast<size_t>(window.stride[0]);
  geometry.stride_w = static_cast<size_t>(window.stride[1]);
  geometry.dilation_h = static_cast<size_t>(window.dilation[0]);
  geometry.dilation_w = static_cast<size_t>(window.dilation[1]);
  geometry.pad_top = static_cast<ptrdiff_t>(window.pads[0]);
  geometry.pad_left = static_cast<ptrdiff_t>(window.pads[1]);
  geometry.pixel_stride = static_cast<size_t>(channels);
  return geometry;
}

TapTable make_taps(const Window2d& window, int64_t in_h, int64_t in_w, int64_t out_h, int64_t out_w, int64_t channels) {
  const int64_t taps = window.kernel[0] * window.kernel[1];
  check_taps(taps, out_h * out_w, in_h * in_w * channels);
  TapTable table;
  table.pixels = static_cast<size_t>(out_h * out_w);
  table.taps = static_cast<size_t>(taps);
  table.offsets.resize(table.pixels * table.taps);
  table.geometry = geometry_of(window, in_h, in_w, out_h, out_w, channels);
  if (!table.offsets.empty()) build_tap_offsets(table.geometry, table.offsets.data());
  return table;
}

bool wants_bf16(const Attrs& attrs) {
  const std::string precision = attrs.text("precision", "f32");
  if (precision != "f32" && precision != "bf16") reject("precision is \"" + precision + "\"; it must be f32 or bf16");
  return precision == "bf16";
}

float read_scale(const Attrs& attrs, const char* key) {
  const float scale = static_cast<float>(attrs.number(key));
  if (!(scale > 0) || !std::isfinite(scale)) reject(std::string("attribute ") + key + " is " + std::to_string(attrs.number(key)) + "; a scale must be finite and greater than 0");
  return scale;
}

bool is_8bit(DType type) { return type == DType::u8 || type == DType::i8; }

Q8 q8_of(DType type) {
  if (type == DType::u8) return Q8::u8;
  if (type == DType::i8) return Q8::s8;
  reject(std::string("an 8-bit tensor is needed, not ") + name_of(type));
}

int32_t read_zero_point(const Attrs& attrs, const char* key, DType type) {
  return type == DType::u8 ? attrs.bounded(key, 0, 0, 255) : attrs.bounded(key, 0, -128, 127);
}

QParams read_params(const Attrs& attrs, const std::string& name, DType type) {
  return {q8_of(type), read_scale(attrs, (name + "_scale").c_str()), read_zero_point(attrs, (name + "_zp").c_str(), type)};
}

void read_q_range(const Attrs& attrs, DType type, int32_t* q_min, int32_t* q_max, const std::string& prefix) {
  const int low = type == DType::u8 ? 0 : -128;
  const int high = type == DType::u8 ? 255 : 127;
  *q_min = attrs.bounded((prefix + "_min").c_str(), low, low, high);
  *q_max = attrs.bounded((prefix + "_max").c_str(), high, low, high);
  if (*q_min > *q_max) reject(prefix + "_min is greater than " + prefix + "_max");
}

DType read_y_type(const Attrs& attrs, DType otherwise, bool allow_f32, const char* key) {
  const std::string name = attrs.text(key, name_of(otherwise));
  const DType type = dtype_from_name(name);
  if (!is_8bit(type) && !(allow_f32 && type == DType::f32)) reject(std::string(key) + " is \"" + name + "\"; it must be u8, i8" + (allow_f32 ? " or f32" : ""));
  return type;
}

Shape broadcast(const Shape& a, const Shape& b) {
  const int rank = std::max(a.rank(), b.rank());
  Shape out;
  for (int i = 0; i < rank; ++i) {
    const int ai = i - (rank - a.rank());
    const int bi = i - (rank - b.rank());
    const int64_t da = ai < 0 ? 1 : a[ai];
    const int64_t db = bi < 0 ? 1 : b[bi];
    if (da != db && da != 1 && db != 1) reject_shape("the shapes " + a.to_string() + " and " + b.to_string() + " do not broadcast");
    out.push_back(da == 1 ? db : da);
  }
  return out;
}

BroadcastPlan plan_broadcast(const Shape& result, const Shape* const* operands, int count) {
  BroadcastPlan plan;
  const int rank = result.rank();
  std::array<std::array<int64_t, kMaxRank>, BroadcastPlan::kOperands> strides{};
  for (int o = 0; o < count; ++o) {
    const Shape& shape = *operands[o];
    int64_t stride = 1;
    for (int axis = rank - 1; axis >= 0; --axis) {
      const int own = axis - (rank - shape.rank());
      const int64_t dim = own < 0 ? 1 : shape[own];
      strides[static_cast<size_t>(o)][static_cast<size_t>(axis)] = dim == 1 ? 0 : stride;
      stride *= dim;
    }
  }
  // From the last axis outwards; an axis joins the one inside it when every operand's stride continues.
  std::vector<int64_t> dims;
  std::vector<std::array<int64_t, BroadcastPlan::kOperands>> merged;
  for (int axis = rank - 1; axis >= 0; --axis) {
    const int64_t dim = result[axis];
    if (dim == 1) continue;
    bool joins = !dims.empty();
    for (int o = 0; joins && o < count; ++o) {
      joins = strides[static_cast<size_t>(o)][static_cast<size_t>(axis)] == merged.back()[static_cast<size_t>(o)] * dims.back();
    }
    if (joins) {
      dims.back() *= dim;
      continue;
    }
    dims.push_back(dim);
    std::array<int64_t, BroadcastPlan::kOperands> row{};
    for (int o = 0; o < count; ++o) row[static_cast<size_t>(o)] = strides[static_cast<size_t>(o)][static_cast<size_t>(axis)];
    merged.push_back(row);
  }
  if (dims.empty()) {
    dims.push_back(1);
    merged.push_back({});
  }
  plan.rank = static_cast<int>(dims.size());
  for (int axis = 0; axis < plan.rank; ++axis) {
    const size_t from = dims.size() - 1 - static_cast<size_t>(axis);
    plan.dims[static_cast<size_t>(axis)] = dims[from];
    for (int o = 0; o < count; ++o) plan.strides[static_cast<size_t>(o)][static_cast<size_t>(axis)] = merged[from][static_cast<size_t>(o)];
  }
  return plan;
}

}  // namespace cec
