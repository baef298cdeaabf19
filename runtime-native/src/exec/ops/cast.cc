// cast and cast_like between all element types of the engine.
#include "exec/ops/common.h"
#include "exec/ops/lists.h"

namespace cec {
namespace {

float from_half(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000) << 16;
  const uint32_t exponent = (bits >> 10) & 31;
  const uint32_t fraction = bits & 1023;
  uint32_t out;
  if (exponent == 31) {
    out = sign | 0x7f800000u | (fraction << 13);
  } else if (exponent != 0) {
    out = sign | ((exponent + 112) << 23) | (fraction << 13);
  } else {
    const float v = std::ldexp(static_cast<float>(fraction), -24);
    std::memcpy(&out, &v, 4);
    out |= sign;
  }
  float v;
  std::memcpy(&v, &out, 4);
  return v;
}

/// Round to nearest even; overflow gives infinity. From f64, so that f64 is rounded once.
uint16_t to_half(double v) {
  const uint16_t sign = std::signbit(v) ? 0x8000 : 0;
  if (std::isnan(v)) return 0x7e00;
  const double a = std::fabs(v);
  if (a >= 65520.0) return static_cast<uint16_t>(sign | 0x7c00);
  if (a < std::ldexp(1.0, -14)) return static_cast<uint16_t>(sign | static_cast<uint16_t>(std::nearbyint(std::ldexp(a, 24))));
  const int exponent = std::ilogb(a);
  const double scaled = std::nearbyint(std::ldexp(a, 10 - exponent));  // 1024..2048
  return static_cast<uint16_t>(sign | static_cast<uint16_t>(((exponent + 15) << 10) + static_cast<int>(scaled) - 1024));
}

float from_bf16(uint16_t bits) {
  const uint32_t wide = static_cast<uint32_t>(bits) << 16;
  float v;
  std::memcpy(&v, &wide, 4);
  return v;
}

uint16_t to_bf16(float v) {
  uint32_t bits;
  std::memcpy(&bits, &v, 4);
  if (v != v) return 0x7fc0;
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

/// Storage and conversion of one element type. f16, bf16 and bool have the storage of an integer but not its values.
struct Half { uint16_t bits; };
struct Brain { uint16_t bits; };
struct Bool { uint8_t value; };

template <typename F>
void with_type(DType type, F&& f) {
  switch (type) {
    case DType::f32: f(float{}); break;
    case DType::f64: f(double{}); break;
    case DType::i8: f(int8_t{}); break;
    case DType::u8: f(uint8_t{}); break;
    case DType::i16: f(int16_t{}); break;
    case DType::u16: f(uint16_t{}); break;
    case DType::i32: f(int32_t{}); break;
    case DType::u32: f(uint32_t{}); break;
    case DType::i64: f(int64_t{}); break;
    case DType::u64: f(uint64_t{}); break;
    case DType::f16: f(Half{}); break;
    case DType::bf16: f(Brain{}); break;
    default: f(Bool{}); break;
  }
}

/// The value as the type it computes in.
template <typename From>
auto load(From v) {
  if constexpr (std::is_same_v<From, Half>) return from_half(v.bits);
  else if constexpr (std::is_same_v<From, Brain>) return from_bf16(v.bits);
  else if constexpr (std::is_same_v<From, Bool>) return static_cast<uint8_t>(v.value != 0);
  else return v;
}

template <typename To, typename V>
To store(V v) {
  if constexpr (std::is_same_v<To, Half>) return Half{to_half(static_cast<double>(v))};
  else if constexpr (std::is_same_v<To, Brain>) return Brain{to_bf16(static_cast<float>(v))};
  else if constexpr (std::is_same_v<To, Bool>) return Bool{static_cast<uint8_t>(v != 0)};
  else if constexpr (std::is_integral_v<To> && std::is_floating_point_v<V>) return to_integer<To>(static_cast<double>(v));
  else return static_cast<To>(v);
}

class Cast final : public Op {
 public:
  explicit Cast(CreateContext& ctx) : like_(ctx.kind == "cast_like"), half_(*ctx.kernels().half) {
    if (like_) return;
    const Attr* to = ctx.attrs().find("to");
    if (to == nullptr) reject("attribute to is missing");
    if (to->kind == Attr::kString) to_ = dtype_from_name(to->s);
    else if (to->kind == Attr::kInt && to->i >= 0 && to->i <= 255) to_ = static_cast<DType>(to->i);
    if (size_of(to_) == 0) reject("attribute to names no element type of the engine");
  }
  void prepare(PrepareContext& ctx) const override {
    const DType to = like_ ? ctx.dtype(1) : to_;
    ctx.output(0, to, ctx.shape(0));
    if (to == ctx.dtype(0)) ctx.view_of = 0;
  }
  void run(RunContext& ctx) const override {
    const size_t n = static_cast<size_t>(ctx.output(0).count());
    const DType from = ctx.input(0).dtype;
    const DType to = ctx.output(0).dtype;
    if (from == to) {
      if (n != 0) std::memcpy(ctx.out[0], ctx.in[0], n * size_of(to));
      return;
    }
    if (from == DType::f32 && to == DType::f16) {
      parallel(ctx.pool(), n, 16384, [&](size_t begin, size_t end, int) { half_.narrow(end - begin, ctx.src<float>(0) + begin, ctx.dst<uint16_t>(0) + begin); });
      return;
    }
    if (from == DType::f16 && to == DType::f32) {
      parallel(ctx.pool(), n, 16384, [&](size_t begin, size_t end, int) { half_.widen(end - begin, ctx.src<uint16_t>(0) + begin, ctx.dst<float>(0) + begin); });
      return;
    }
    with_type(from, [&](auto source) {
      using From = decltype(source);
      with_type(to, [&](auto target) {
        using To = decltype(target);
        const From* x = ctx.src<From>(0);
        To* y = ctx.dst<To>(0);
        parallel(ctx.pool(), n, 16384, [&](size_t begin, size_t end, int) {
          for (size_t i = begin; i < end; ++i) y[i] = store<To>(load(x[i]));
        });
      });
    });
  }

 private:
  bool like_;
  const HalfF32Variant& half_;
  DType to_ = DType::none;
};

constexpr OpKind kOps[] = {
    {"cast", 1, 1, 1, 1, create_op<Cast>},
    {"cast_like", 2, 2, 1, 1, create_op<Cast>},
};

}  // namespace

OpList cast_ops() { return {kOps, std::size(kOps)}; }

}  // namespace cec
