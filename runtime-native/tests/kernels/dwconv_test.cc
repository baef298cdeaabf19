#include <cmath>

#include "test_util.h"

namespace cec::test {
namespace {

#define CEC_KERNEL_VARIANT(isa, name) &name,
const DwconvF32Variant* const kF32[] = {
#include "kernels/dwconv_f32/variants.inc"
};
const DwconvQVariant* const kQ[] = {
#include "kernels/dwconv_u8s8_s32/variants.inc"
};
#undef CEC_KERNEL_VARIANT

class DwconvF32 : public testing::TestWithParam<const DwconvF32Variant*> {};
INSTANTIATE_TEST_SUITE_P(All, DwconvF32, testing::ValuesIn(kF32), [](const auto& info) { return variant_name(info); });
class DwconvQ : public testing::TestWithParam<const DwconvQVariant*> {};
INSTANTIATE_TEST_SUITE_P(All, DwconvQ, testing::ValuesIn(kQ), [](const auto& info) { return variant_name(info); });

struct Image {
  size_t batch, h, w, channels, kernel, stride, dilation, pad;
};

struct Geometry {
  size_t oh, ow, taps, rows;
  std::vector<int32_t> offsets;
  TapGeometry geometry;
  Taps view;
};

Geometry geometry_of(const Image& s) {
  Geometry g;
  const size_t reach = s.dilation * (s.kernel - 1) + 1;
  g.oh = (s.h + 2 * s.pad - reach) / s.stride + 1;
  g.ow = (s.w + 2 * s.pad - reach) / s.stride + 1;
  g.taps = s.kernel * s.kernel;
  g.rows = s.batch * g.oh * g.ow;
  g.offsets.resize(g.oh * g.ow * g.taps);
  TapGeometry t;
  t.in_h = s.h;
  t.in_w = s.w;
  t.out_h = g.oh;
  t.out_w = g.ow;
  t.kernel_h = t.kernel_w = s.kernel;
  t.stride_h = t.stride_w = s.stride;
  t.dilation_h = t.dilation_w = s.dilation;
  t.pad_top = t.pad_left = static_cast<ptrdiff_t>(s.pad);
  t.pixel_stride = s.channels;
  build_tap_offsets(t, g.offsets.data());
  g.geometry = t;
  g.view = {g.offsets.data(), g.oh * g.ow, g.taps, s.channels, s.h * s.w * s.channels};
  return g;
}

// Channel counts around one and two vectors of AVX2 and AVX-512, primes; the last image has more taps than the kernels' tables hold.
std::vector<Image> images() {
  std::vector<Image> out;
  for (const size_t c : {1, 3, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 40, 47, 64, 67}) out.push_back({2, 5, 6, c, 3, c % 2 + 1, 1, 1});
  out.push_back({1, 9, 9, 19, 5, 1, 1, 2});
  out.push_back({3, 9, 8, 20, 3, 1, 2, 2});
  out.push_back({2, 3, 3, 35, 1, 1, 1, 0});
  out.push_back({1, 13, 14, 21, 12, 1, 1, 3});
  // Rows of several pixels for the forms that take whole rows: strides, dilation, a wide and a large kernel.
  out.push_back({2, 11, 23, 48, 3, 1, 1, 1});
  out.push_back({2, 11, 23, 64, 3, 2, 1, 1});
  out.push_back({1, 12, 19, 32, 5, 1, 2, 4});
  out.push_back({1, 9, 30, 16, 7, 2, 1, 3});
  out.push_back({1, 40, 40, 16, 20, 1, 1, 0});
  return out;
}

TEST_P(DwconvF32, EqualsTheSumOverTheWindow) {
  CEC_SKIP_UNLESS_RUNNABLE(GetParam());
  const DwconvF32Variant& v = *GetParam();
  for (const Image& s : images()) {
    const Geometry g = geometry_of(s);
    Random random(static_cast<unsigned>(s.channels));
    Guarded<float> x(s.batch * s.h * s.w * s.channels), w(s.channels * g.taps), bias(s.channels), residual(g.rows * s.channels),
        zero(s.channels), out(g.rows * s.channels);
    fill_uniform(x, random);
    fill_uniform(w, random);
    fill_uniform(bias, random);
    fill_uniform(residual, random);
    Packed packed(v.packed_bytes(s.channels, g.taps));
    v.pack(s.channels, g.taps, w.data(), packed.data());
    DwconvF32Args a;
    a.rows = g.rows;
    a.taps = g.view;
    a.base = x.data();
    a.zero = zero.data();
    a.packed_w = packed.data();
    a.c = out.data();
    a.ldc = s.channels;
    a.epilogue.bias = bias.data();
    a.epilogue.residual = residual.data();
    a.epilogue.ld_residual = s.channels;
    a.epilogue.lo = -1.0f;
    a.epilogue.hi = 1.5f;
    v.dwconv(a, 0, g.rows);
    for (size_t m = 0; m < g.rows; ++m) {
      const size_t b = m / (g.oh * g.ow), oy = m % (g.oh * g.ow) / g.ow, ox = m % g.ow;
      for (size_t c = 0; c < s.channels; ++c) {
        double sum = static_cast<double>(bias[c]);
        for (size_t t = 0; t < g.taps; ++t) {
          const ptrdiff_t y = static_cast<ptrdiff_t>(oy * s.stride + t / s.kernel * s.dilation) - static_cast<ptrdiff_t>(s.pad);
          const ptrdiff_t xx = static_cast<ptrdiff_t>(ox * s.stride + t % s.kernel * s.dilation) - static_cast<ptrdiff_t>(s.pad);
          if (y < 0 || xx < 0 || y >= static_cast<ptrdiff_t>(s.h) || xx >= static_cast<ptrdiff_t>(s.w)) continue;
          const size_t from = ((b * s.h + static_cast<size_t>(y)) * s.w + static_cast<size_t>(xx)) * s.channels + c;
          sum += static_cast<double>(x[from]) * static_cast<double>(w[c * g.taps + t]);
        }
        sum = std::min(1.5, std::max(-1.0, sum + static_cast<double>(residual[m * s.channels + c])));
        ASSERT_NEAR(static_cast<double>(out[m * s.channels + c]), sum, 2e-5) << s.channels << " channels, row " << m << " channel " << c;
      }
    }
    // Any partition gives the same bits.
    std::vector<float> whole(out.data(), out.data() + out.size());
    for (size_t m = 0, step = 1; m < g.rows; m += step, step = step % 5 + 1) v.dwconv(a, m, std::min(g.rows, m + step));
    ASSERT_EQ(std::memcmp(whole.data(), out.data(), out.size() * sizeof(float)), 0);
  }
}

std::vector<uint8_t> run(const DwconvQVariant& v, const Image& s, Q8 type, int32_t zp, QOut out_type, bool extreme, size_t parts, bool with_geometry = true, int32_t offset = 0) {
  const Geometry g = geometry_of(s);
  const size_t bytes = out_type == QOut::u8 || out_type == QOut::s8 ? 1 : 4;
  Random random(static_cast<unsigned>(s.channels + 1));
  Guarded<uint8_t> x(s.batch * s.h * s.w * s.channels), zero(s.channels), out(g.rows * s.channels * bytes);
  Guarded<int8_t> w(s.channels * g.taps);
  Guarded<int32_t> bias(s.channels);
  Guarded<float> multiplier(s.channels);
  fill_bytes(x, random);
  fill_bytes(w, random);
  if (extreme) {
    std::memset(x.data(), type == Q8::u8 ? 255 : 0x80, x.size());
    for (size_t i = 0; i < w.size(); ++i) w[i] = i / g.taps % 2 == 0 ? -128 : 127;
  }
  std::memset(zero.data(), zp, zero.size());
  for (size_t c = 0; c < s.channels; ++c) {
    bias[c] = static_cast<int32_t>(random() % 2001) - 1000 + offset;
    // Sums around 2^24 and 2^31 must not all saturate.
    multiplier[c] = static_cast<float>(random() % 1000 + 1) * (offset == 0 ? 2e-5f : 0.4f / std::fabs(static_cast<float>(offset)));
  }
  Packed packed(v.packed_bytes(s.channels, g.taps));
  v.pack(s.channels, g.taps, w.data(), packed.data());
  DwconvQArgs a;
  a.rows = g.rows;
  a.taps = g.view;
  a.base = x.data();
  a.a_type = type;
  a.a_zp = zp;
  a.zero = zero.data();
  a.packed_w = packed.data();
  a.c = out.data();
  a.ldc = s.channels;
  if (with_geometry) a.geometry = &g.geometry;
  a.epilogue.out = out_type;
  a.epilogue.bias = bias.data();
  a.epilogue.multiplier = multiplier.data();
  a.epilogue.y_zp = out_type == QOut::s8 ? -3 : 40;
  a.epilogue.q_min = out_type == QOut::s8 ? -128 : 0;
  a.epilogue.q_max = out_type == QOut::s8 ? 127 : 255;
  for (size_t p = 0; p < parts; ++p) v.dwconv(a, g.rows * p / parts, g.rows * (p + 1) / parts);
  return std::vector<uint8_t>(out.data(), out.data() + out.size());
}

TEST_P(DwconvQ, EqualsTheScalarReferenceToTheByte) {
  CEC_SKIP_UNLESS_RUNNABLE(GetParam());
  for (const Image& s : images()) {
    for (const Q8 type : {Q8::u8, Q8::s8}) {
      for (const QOut out : {QOut::u8, QOut::s8, QOut::s32, QOut::f32}) {
        for (const bool extreme : {false, true}) {
          const int32_t zp = type == Q8::u8 ? (extreme ? 0 : 128) : (extreme ? 127 : -7);
          const std::vector<uint8_t> want = run(dwconv_u8s8_s32__scalar, s, type, zp, out, extreme, 1);
          ASSERT_EQ(run(*GetParam(), s, type, zp, out, extreme, 4), want) << s.channels << " channels, kernel " << s.kernel << ", out type " << static_cast<int>(out);
          ASSERT_EQ(run(*GetParam(), s, type, zp, out, extreme, 3, false), want) << s.channels << " channels without geometry, kernel " << s.kernel;
        }
      }
    }
  }
}

// Sums that f32 does not hold: |bias| + 255 * sum |w| is at 2^24 and beyond.
TEST_P(DwconvQ, StaysExactWhereSumsLeaveTheIntegersOfF32) {
  CEC_SKIP_UNLESS_RUNNABLE(GetParam());
  const Image s{1, 7, 13, 32, 3, 1, 1, 1};
  for (const int32_t offset : {(1 << 24) - 400000, (1 << 24) - 250000, (1 << 24) - 1000, (1 << 24) + 1, -(1 << 24) - 1, 2000000001, -2000000001}) {
    ASSERT_EQ(run(*GetParam(), s, Q8::u8, 3, QOut::u8, false, 2, true, offset), run(dwconv_u8s8_s32__scalar, s, Q8::u8, 3, QOut::u8, false, 1, true, offset)) << offset;
  }
}

// The reference against the general convolution's reference, with weights that are zero off the diagonal.
TEST(DwconvQReference, IsAConvolutionWithADiagonalKernel) {
  const Image s{2, 5, 4, 6, 3, 1, 1, 1};
  const Geometry g = geometry_of(s);
  Random random(9);
  std::vector<uint8_t> x(s.batch * s.h * s.w * s.channels), zero(s.channels, 99);
  std::vector<int8_t> w(s.channels * g.taps), dense(s.channels * g.taps * s.channels);
  fill_bytes(x, random);
  fill_bytes(w, random);
  for (size_t c = 0; c < s.channels; ++c) {
    for (size_t t = 0; t < g.taps; ++t) dense[(c * g.taps + t) * s.channels + c] = w[c * g.taps + t];
  }
  std::vector<int32_t> got(g.rows * s.channels), expected(got.size());
  Packed packed(dwconv_u8s8_s32__scalar.packed_bytes(s.channels, g.taps));
  dwconv_u8s8_s32__scalar.pack(s.channels, g.taps, w.data(), packed.data());
  DwconvQArgs a;
  a.rows = g.rows;
  a.taps = g.view;
  a.base = x.data();
  a.a_zp = 99;
  a.zero = zero.data();
  a.packed_w = packed.data();
  a.c = got.data();
  a.ldc = s.channels;
  a.epilogue.out = QOut::s32;
  dwconv_u8s8_s32__scalar.dwconv(a, 0, g.rows);
  Packed panels(gemm_u8s8_s32__scalar_4x4.packed_bytes(s.channels, g.taps, s.channels));
  gemm_u8s8_s32__scalar_4x4.pack(s.channels, g.taps, s.channels, dense.data(), g.taps * s.channels, 1, panels.data());
  ConvQArgs c;
  c.rows = g.rows;
  c.n = s.channels;
  c.taps = g.view;
  c.base = x.data();
  c.a_zp = 99;
  c.zero = zero.data();
  c.packed_b = panels.data();
  c.c = expected.data();
  c.ldc = s.channels;
  c.epilogue.out = QOut::s32;
  gemm_u8s8_s32__scalar_4x4.conv(c, 0, g.rows, 0, s.channels);
  EXPECT_EQ(got, expected);
}

}  // namespace
}  // namespace cec::test
