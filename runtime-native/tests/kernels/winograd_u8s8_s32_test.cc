#include "kernels/winograd_u8s8_s32/winograd_u8s8_s32.h"

#include <cstring>
#include <vector>

#include "test_util.h"

namespace cec::test {
namespace {

class WinogradQ : public testing::TestWithParam<const WinogradQVariant*> {};

#define CEC_KERNEL_VARIANT(isa, name) &name,
const WinogradQVariant* const kVariants[] = {
#include "kernels/winograd_u8s8_s32/variants.inc"
};
#undef CEC_KERNEL_VARIANT
INSTANTIATE_TEST_SUITE_P(All, WinogradQ, testing::ValuesIn(kVariants), [](const auto& info) { return variant_name(info); });

struct Problem {
  size_t batch, h, w, channels, out, pad_top, pad_left, pad_bottom, pad_right;
};

size_t bytes_of(QOut out) { return out == QOut::u8 || out == QOut::s8 ? 1 : 4; }

// Bytes of the direct convolution by the scalar reference, and of the Winograd form.
void check(const WinogradQVariant& v, const Problem& p, Q8 type, int32_t zp, QOut out_type, const std::vector<uint8_t>& values, const std::vector<int8_t>& weights) {
  SCOPED_TRACE(testing::Message() << p.h << "x" << p.w << "x" << p.channels << " -> " << p.out << " out " << static_cast<int>(out_type) << " zp " << zp);
  const size_t oh = p.h + p.pad_top + p.pad_bottom - 2, ow = p.w + p.pad_left + p.pad_right - 2, pixels = p.batch * oh * ow;
  Guarded<uint8_t> x(p.batch * p.h * p.w * p.channels), y(pixels * p.out * bytes_of(out_type));
  for (size_t i = 0; i < x.size(); ++i) x[i] = values[i % values.size()];
  std::vector<int8_t> w(p.out * 9 * p.channels);
  for (size_t i = 0; i < w.size(); ++i) w[i] = weights[i % weights.size()];
  std::vector<int32_t> bias(winograd_q_row(p.out));
  std::vector<float> multiplier(p.out), bias_f32(p.out, 0.25f);
  for (size_t j = 0; j < p.out; ++j) {
    bias[j] = static_cast<int32_t>(j * 7919) - 30000;
    multiplier[j] = 1e-4f * static_cast<float>(j % 13 + 1);
  }
  EpilogueQ e;
  e.out = out_type;
  e.bias = bias.data();
  e.multiplier = multiplier.data();
  e.bias_f32 = bias_f32.data();
  e.y_zp = out_type == QOut::s8 ? -3 : 100;
  e.q_min = out_type == QOut::s8 ? -100 : 3;
  e.q_max = out_type == QOut::s8 ? 127 : 250;

  std::vector<int32_t> offsets(oh * ow * 9);
  TapGeometry g;
  g.in_h = p.h;
  g.in_w = p.w;
  g.out_h = oh;
  g.out_w = ow;
  g.kernel_h = g.kernel_w = 3;
  g.pad_top = static_cast<ptrdiff_t>(p.pad_top);
  g.pad_left = static_cast<ptrdiff_t>(p.pad_left);
  g.pixel_stride = p.channels;
  build_tap_offsets(g, offsets.data());
  const GemmQVariant& reference = gemm_u8s8_s32__scalar_4x4;
  Packed direct(reference.packed_bytes(p.out, 9, p.channels));
  reference.pack(p.out, 9, p.channels, w.data(), 9 * p.channels, 1, direct.data());
  const std::vector<uint8_t> zero(p.channels, static_cast<uint8_t>(zp));
  std::vector<uint8_t> want(y.size());
  ConvQArgs a;
  a.rows = pixels;
  a.n = a.ldc = p.out;
  a.taps = {offsets.data(), oh * ow, 9, p.channels, p.h * p.w * p.channels};
  a.base = x.data();
  a.a_type = type;
  a.a_zp = zp;
  a.zero = zero.data();
  a.packed_b = direct.data();
  a.c = want.data();
  a.epilogue = e;
  reference.conv(a, 0, pixels, 0, p.out);

  const WinogradShape shape{p.h, p.w, oh, ow, static_cast<ptrdiff_t>(p.pad_top), static_cast<ptrdiff_t>(p.pad_left), (oh + 1) / 2, (ow + 1) / 2};
  const size_t tiles = p.batch * shape.tiles_h * shape.tiles_w, in_row = winograd_q_row(p.channels), out_row = winograd_q_row(p.out);
  std::vector<int16_t> u(16 * p.channels * p.out), transformed(16 * tiles * in_row);
  std::vector<int32_t> products(16 * tiles * out_row);
  winograd_weights_q(p.out, p.channels, w.data(), u.data());
  WinogradQInputArgs in;
  in.shape = shape;
  in.x = x.data();
  in.type = type;
  in.zp = zp;
  in.channels = p.channels;
  in.stride = tiles * in_row;
  in.v = transformed.data();
  v.input(in, 0, tiles / 2);
  in.v += tiles / 2 * in_row;
  v.input(in, tiles / 2, tiles);
  for (size_t i = 0; i < 16; ++i) {
    Packed packed(v.packed_bytes(p.out, p.channels));
    v.pack(p.out, p.channels, u.data() + i * p.channels * p.out, packed.data());
    v.multiply(tiles, p.out, p.channels, transformed.data() + i * in.stride, packed.data(), products.data() + i * tiles * out_row);
  }
  WinogradQOutputArgs out;
  out.shape = shape;
  out.products = products.data();
  out.stride = tiles * out_row;
  out.channels = out.ldc = p.out;
  out.bias = bias.data();
  out.c = y.data();
  out.epilogue = e;
  v.output(out, 0, tiles / 2);
  out.products += tiles / 2 * out_row;
  v.output(out, tiles / 2, tiles);
  EXPECT_EQ(std::memcmp(y.data(), want.data(), want.size()), 0);
}

TEST_P(WinogradQ, GivesTheBytesOfTheDirectConvolution) {
  CEC_SKIP_UNLESS_RUNNABLE(GetParam());
  std::vector<uint8_t> values(4093);
  std::vector<int8_t> weights(2039);
  uint32_t state = 9;
  const auto next = [&] { return (state = state * 1664525u + 1013904223u) >> 24; };
  for (uint8_t& x : values) x = static_cast<uint8_t>(next());
  for (int8_t& w : weights) w = static_cast<int8_t>(next());
  const Problem problems[] = {{1, 3, 3, 1, 1, 0, 0, 0, 0}, {2, 5, 7, 16, 16, 1, 1, 1, 1}, {1, 8, 6, 19, 37, 1, 0, 2, 1}, {3, 4, 4, 64, 300, 1, 1, 1, 1}, {1, 6, 5, 1024, 9, 2, 2, 2, 2}};
  for (const Problem& p : problems) {
    for (const QOut out : {QOut::u8, QOut::s8, QOut::s32, QOut::f32}) {
      check(*GetParam(), p, Q8::u8, 113, out, values, weights);
      check(*GetParam(), p, Q8::s8, -9, out, values, weights);
    }
  }
}

// The largest sums: all activations and weights at their ends, over the most channels.
TEST_P(WinogradQ, IsExactAtTheExtremes) {
  CEC_SKIP_UNLESS_RUNNABLE(GetParam());
  const Problem p{1, 6, 6, kWinogradQChannels, 16, 1, 1, 1, 1};
  for (const uint8_t x : {uint8_t{0}, uint8_t{255}}) {
    for (const int32_t zp : {0, 255}) {
      for (const int8_t w : {int8_t{-128}, int8_t{127}}) check(*GetParam(), p, Q8::u8, zp, QOut::s32, {x}, {w});
    }
  }
  // Signs that alternate make the transforms largest.
  check(*GetParam(), p, Q8::u8, 0, QOut::s32, {255, 0, 0, 255, 255}, {127, -128});
  check(*GetParam(), p, Q8::s8, 127, QOut::s32, {128, 127, 128}, {-128, -128, 127});
}

}  // namespace
}  // namespace cec::test
