#include <algorithm>

#include "test_util.h"

namespace cec::test {
namespace {

#define CEC_KERNEL_VARIANT(isa, name) &name,
const GemmQVariant* const kVariants[] = {
#include "kernels/gemm_u8s8_s32/variants.inc"
};
#undef CEC_KERNEL_VARIANT

class GemmQ : public testing::TestWithParam<const GemmQVariant*> {};
INSTANTIATE_TEST_SUITE_P(All, GemmQ, testing::ValuesIn(kVariants), [](const auto& info) { return variant_name(info); });

size_t bytes_of(QOut out) { return out == QOut::u8 || out == QOut::s8 ? 1 : 4; }

struct Case {
  size_t m, n, k;
  Q8 type;
  int32_t zp;
  QOut out;
  bool bias;
};

struct Data {
  Guarded<uint8_t> a;
  Guarded<int8_t> w;
  Guarded<int32_t> bias;
  Guarded<float> multiplier, bias_f32;
  Data(size_t rows, size_t n, size_t k, unsigned seed) : a(rows), w(n * k), bias(n), multiplier(n), bias_f32(n) {
    Random random(seed);
    fill_bytes(a, random);
    fill_bytes(w, random);
    for (size_t j = 0; j < n; ++j) {
      bias[j] = static_cast<int32_t>(random() % 20001) - 10000;
      multiplier[j] = static_cast<float>(random() % 1000 + 1) * 2e-6f;
      bias_f32[j] = static_cast<float>(random() % 100) * 0.01f;
    }
  }
};

EpilogueQ epilogue(const Data& d, QOut out, bool bias) {
  EpilogueQ e;
  e.out = out;
  if (bias) e.bias = d.bias.data();
  if (out != QOut::s32) e.multiplier = d.multiplier.data();
  if (bias && out == QOut::f32) e.bias_f32 = d.bias_f32.data();
  if (out == QOut::s8) {
    e.y_zp = -5;
    e.q_min = -120;
    e.q_max = 127;
  } else {
    e.y_zp = 17;
    e.q_min = 17;
    e.q_max = 250;
  }
  if (out == QOut::f32) e.lo = -3.0f;
  return e;
}

std::vector<uint8_t> run(const GemmQVariant& v, const Case& c, const Data& d) {
  Packed packed(v.packed_bytes(c.n, 1, c.k));
  EXPECT_EQ(packed.size() % 64, 0u);
  v.pack(c.n, 1, c.k, d.w.data(), c.k, 1, packed.data());
  Guarded<uint8_t> out(c.m * c.n * bytes_of(c.out));
  GemmQArgs g;
  g.m = c.m;
  g.n = c.n;
  g.k = c.k;
  g.a = d.a.data();
  g.a_type = c.type;
  g.a_zp = c.zp;
  g.lda = c.k;
  g.packed_b = packed.data();
  g.c = out.data();
  g.ldc = c.n;
  g.epilogue = epilogue(d, c.out, c.bias);
  v.gemm(g, 0, c.m, 0, c.n);
  return std::vector<uint8_t>(out.data(), out.data() + out.size());
}

TEST_P(GemmQ, EqualsTheScalarReferenceToTheByte) {
  CEC_SKIP_UNLESS_RUNNABLE(GetParam());
  const GemmQVariant& v = *GetParam();
  const size_t ms[] = {0, 1, 2, v.m_step - 1, v.m_step, v.m_step + 1, 2 * v.m_step + 3};
  const size_t ns[] = {0, 1, v.n_step / 2 - 1, v.n_step / 2, v.n_step / 2 + 1, v.n_step - 1, v.n_step, v.n_step + 1, 3 * v.n_step + 7};
  unsigned i = 0;
  for (const size_t m : ms) {
    for (const size_t n : ns) {
      for (const size_t k : {0, 1, 2, 3, 4, 5, 15, 16, 17, 63, 64, 67, 131}) {
        const Q8 type = ++i % 2 == 0 ? Q8::u8 : Q8::s8;
        const int32_t zps[] = {0, type == Q8::u8 ? 128 : -128, type == Q8::u8 ? 255 : 127, 3};
        const Case c{m, n, k, type, zps[i / 2 % 4], static_cast<QOut>(i / 3 % 4), i % 5 != 0};
        const Data d(m * k, n, k, i);
        ASSERT_EQ(run(v, c, d), run(gemm_u8s8_s32__scalar_4x4, c, d)) << "m=" << m << " n=" << n << " k=" << k << " case " << i;
      }
    }
  }
}

TEST_P(GemmQ, EqualsTheScalarReferenceOnDeepRows) {
  CEC_SKIP_UNLESS_RUNNABLE(GetParam());
  for (const size_t k : {2048u, 4095u, 4096u, 4608u, 25088u}) {
    for (const Q8 type : {Q8::u8, Q8::s8}) {
      const Case c{13, 41, k, type, 7, QOut::s32, true};
      const Data d(c.m * k, c.n, k, 5);
      ASSERT_EQ(run(*GetParam(), c, d), run(gemm_u8s8_s32__scalar_4x4, c, d)) << k;
    }
  }
}

// What saturates 16-bit intermediate sums: 255 * 127 and 255 * -128 along the whole depth, both signs, all zero points.
TEST_P(GemmQ, IsExactAtTheExtremesAlongTheWholeDepth) {
  CEC_SKIP_UNLESS_RUNNABLE(GetParam());
  const GemmQVariant& v = *GetParam();
  const size_t m = v.m_step, n = v.n_step, k = 1157;
  for (const Q8 type : {Q8::u8, Q8::s8}) {
    const int32_t values[] = {type == Q8::u8 ? 0 : -128, type == Q8::u8 ? 255 : 127};
    for (const int32_t x : values) {
      for (const int32_t zp : {values[0], values[1], 0}) {
        for (const int32_t w : {-128, -127, 127}) {
          std::vector<uint8_t> a(m * k, static_cast<uint8_t>(x));
          std::vector<int8_t> weights(n * k, static_cast<int8_t>(w));
          Packed packed(v.packed_bytes(n, 1, k));
          v.pack(n, 1, k, weights.data(), k, 1, packed.data());
          std::vector<int32_t> c(m * n);
          GemmQArgs g;
          g.m = m;
          g.n = n;
          g.k = k;
          g.a = a.data();
          g.a_type = type;
          g.a_zp = zp;
          g.lda = k;
          g.packed_b = packed.data();
          g.c = c.data();
          g.ldc = n;
          g.epilogue.out = QOut::s32;
          v.gemm(g, 0, m, 0, n);
          const int32_t expected = static_cast<int32_t>(k) * (x - zp) * w;
          ASSERT_EQ(std::count(c.begin(), c.end(), expected), static_cast<ptrdiff_t>(c.size())) << x << " " << zp << " " << w;
        }
      }
    }
  }
}

TEST_P(GemmQ, RoundsHalfToEvenSaturatesAndTakesNanAsZero) {
  CEC_SKIP_UNLESS_RUNNABLE(GetParam());
  const GemmQVariant& v = *GetParam();
  // k = 1, x = 1: acc is bias + w. Columns: acc and multiplier -> expected value before the zero point 10, range 0..255.
  struct Column {
    int32_t acc;
    float multiplier;
    int32_t expected;
  };
  const float inf = kInfinity;
  const Column columns[] = {{1, 0.5f, 10},      {3, 0.5f, 12},         {5, 0.5f, 12},        {-1, 0.5f, 10},        {-3, 0.5f, 8},
                            {1, 1e30f, 255},    {-1, 1e30f, 0},        {1, inf, 255},        {-1, -inf, 255},       {0, inf, 10},
                            {1, -inf, 0},       {7, std::nanf(""), 10}, {2147483647, 1.0f, 255}, {-2147483647 - 1, 1.0f, 0}, {16777217, 0x1p-24f, 11},
                            {245, 1.0f, 255},   {246, 1.0f, 255},      {-10, 1.0f, 0},       {-11, 1.0f, 0}};
  const size_t n = sizeof(columns) / sizeof(columns[0]);
  std::vector<int8_t> w(n, 1);
  std::vector<int32_t> bias(n);
  std::vector<float> multiplier(n);
  for (size_t j = 0; j < n; ++j) {
    bias[j] = static_cast<int32_t>(static_cast<uint32_t>(columns[j].acc) - 1u);
    multiplier[j] = columns[j].multiplier;
  }
  Packed packed(v.packed_bytes(n, 1, 1));
  v.pack(n, 1, 1, w.data(), 1, 1, packed.data());
  const uint8_t x = 1;
  std::vector<uint8_t> y(n);
  GemmQArgs g;
  g.m = 1;
  g.n = n;
  g.k = g.lda = 1;
  g.a = &x;
  g.packed_b = packed.data();
  g.c = y.data();
  g.ldc = n;
  g.epilogue.bias = bias.data();
  g.epilogue.multiplier = multiplier.data();
  g.epilogue.y_zp = 10;
  v.gemm(g, 0, 1, 0, n);
  for (size_t j = 0; j < n; ++j) EXPECT_EQ(static_cast<int32_t>(y[j]), columns[j].expected) << "column " << j;
}

struct Image {
  size_t batch, h, w, channels, out, kernel, stride, pad, groups;
};

std::vector<uint8_t> run_conv(const GemmQVariant& v, const Image& s, Q8 type, int32_t zp, QOut out_type, size_t parts) {
  const size_t oh = (s.h + 2 * s.pad - s.kernel) / s.stride + 1, ow = (s.w + 2 * s.pad - s.kernel) / s.stride + 1;
  const size_t ic = s.channels / s.groups, oc = s.out / s.groups, taps = s.kernel * s.kernel, rows = s.batch * oh * ow;
  const Data d(s.batch * s.h * s.w * s.channels, s.out, taps * ic, 77);
  Guarded<uint8_t> zero(ic), out(rows * s.out * bytes_of(out_type));
  std::memset(zero.data(), zp, ic);
  std::vector<int32_t> offsets(oh * ow * taps);
  TapGeometry geometry;
  geometry.in_h = s.h;
  geometry.in_w = s.w;
  geometry.out_h = oh;
  geometry.out_w = ow;
  geometry.kernel_h = geometry.kernel_w = s.kernel;
  geometry.stride_h = geometry.stride_w = s.stride;
  geometry.pad_top = geometry.pad_left = static_cast<ptrdiff_t>(s.pad);
  geometry.pixel_stride = s.channels;
  build_tap_offsets(geometry, offsets.data());
  for (size_t g = 0; g < s.groups; ++g) {
    Packed packed(v.packed_bytes(oc, taps, ic));
    v.pack(oc, taps, ic, d.w.data() + g * oc * taps * ic, taps * ic, 1, packed.data());
    ConvQArgs a;
    a.rows = rows;
    a.n = oc;
    a.taps = {offsets.data(), oh * ow, taps, ic, s.h * s.w * s.channels};
    a.base = d.a.data() + g * ic;
    a.a_type = type;
    a.a_zp = zp;
    a.zero = zero.data();
    a.packed_b = packed.data();
    a.c = out.data() + g * oc * bytes_of(out_type);
    a.ldc = s.out;
    a.epilogue = epilogue(d, out_type, true);
    a.epilogue.bias += g * oc;
    if (a.epilogue.multiplier != nullptr) a.epilogue.multiplier += g * oc;
    if (a.epilogue.bias_f32 != nullptr) a.epilogue.bias_f32 += g * oc;
    for (size_t p = 0; p < parts; ++p) v.conv(a, rows * p / parts, rows * (p + 1) / parts, 0, oc);
  }
  return std::vector<uint8_t>(out.data(), out.data() + out.size());
}

TEST_P(GemmQ, ConvolvesAsTheScalarReferenceInAnyPartition) {
  CEC_SKIP_UNLESS_RUNNABLE(GetParam());
  const Image images[] = {{1, 5, 5, 3, 16, 3, 1, 1, 1},  {3, 7, 6, 16, 24, 3, 2, 1, 1}, {2, 6, 5, 12, 20, 5, 1, 2, 4},
                          {5, 4, 4, 17, 40, 1, 2, 0, 1}, {1, 1, 1, 5, 7, 3, 1, 1, 1},   {2, 4, 4, 1200, 33, 3, 1, 1, 1}};
  for (const Image& s : images) {
    for (const Q8 type : {Q8::u8, Q8::s8}) {
      for (const QOut out : {QOut::u8, QOut::s8, QOut::s32, QOut::f32}) {
        const int32_t zp = type == Q8::u8 ? 113 : -9;
        ASSERT_EQ(run_conv(*GetParam(), s, type, zp, out, 3), run_conv(gemm_u8s8_s32__scalar_4x4, s, type, zp, out, 1))
            << s.channels << " -> " << s.out << " out type " << static_cast<int>(out);
      }
    }
  }
}

// The reference itself, against a direct sum in 64 bits: everything above rests on it.
TEST(GemmQReference, ConvolutionIsTheSumOverTheWindowWithPaddingAsRealZero) {
  const Image s{2, 5, 4, 3, 5, 3, 1, 1, 1};
  const int32_t zp = 113;
  const std::vector<uint8_t> bytes = run_conv(gemm_u8s8_s32__scalar_4x4, s, Q8::u8, zp, QOut::s32, 1);
  std::vector<int32_t> got(bytes.size() / 4);
  std::memcpy(got.data(), bytes.data(), bytes.size());
  const Data d(s.batch * s.h * s.w * s.channels, s.out, 27, 77);
  size_t at = 0;
  for (size_t b = 0; b < s.batch; ++b) {
    for (size_t oy = 0; oy < s.h; ++oy) {
      for (size_t ox = 0; ox < s.w; ++ox) {
        for (size_t o = 0; o < s.out; ++o, ++at) {
          int64_t sum = d.bias[o];
          for (size_t ky = 0; ky < 3; ++ky) {
            for (size_t kx = 0; kx < 3; ++kx) {
              const size_t y = oy + ky - 1, x = ox + kx - 1;  // wraps below 0, and fails the comparison
              if (y >= s.h || x >= s.w) continue;
              for (size_t c = 0; c < 3; ++c) {
                sum += (int64_t{d.a[((b * s.h + y) * s.w + x) * 3 + c]} - zp) * d.w[o * 27 + (ky * 3 + kx) * 3 + c];
              }
            }
          }
          ASSERT_EQ(got[at], sum);
        }
      }
    }
  }
}

}  // namespace
}  // namespace cec::test
