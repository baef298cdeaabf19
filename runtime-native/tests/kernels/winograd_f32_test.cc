#include "kernels/winograd_f32/winograd_f32.h"

#include <cmath>
#include <vector>

#include "test_util.h"

namespace cec::test {
namespace {

class WinogradF32 : public testing::TestWithParam<const WinogradF32Variant*> {};

#define CEC_KERNEL_VARIANT(isa, name) &name,
const WinogradF32Variant* const kVariants[] = {
#include "kernels/winograd_f32/variants.inc"
};
#undef CEC_KERNEL_VARIANT
INSTANTIATE_TEST_SUITE_P(All, WinogradF32, testing::ValuesIn(kVariants), [](const auto& info) { return variant_name(info); });

struct Problem {
  size_t batch, h, w, channels, out, pad_top, pad_left, pad_bottom, pad_right;
  bool bias, residual, relu;
};

// Against the direct form in f64; the products are done here, in f64, so that only the transforms round.
void check(const WinogradF32Variant& v, WinogradTile tile, const Problem& p, double tolerance) {
  SCOPED_TRACE(testing::Message() << p.h << "x" << p.w << "x" << p.channels << " -> " << p.out << " pads " << p.pad_top << "," << p.pad_left << "," << p.pad_bottom << "," << p.pad_right
                                  << " outputs a tile " << winograd_outputs(tile));
  const size_t oh = p.h + p.pad_top + p.pad_bottom - 2, ow = p.w + p.pad_left + p.pad_right - 2, m = winograd_outputs(tile), matrices = winograd_matrices(tile);
  WinogradShape shape{p.h, p.w, oh, ow, static_cast<ptrdiff_t>(p.pad_top), static_cast<ptrdiff_t>(p.pad_left), (oh + m - 1) / m, (ow + m - 1) / m};
  const size_t tiles = p.batch * shape.tiles_h * shape.tiles_w;
  Random random(23);
  Guarded<float> x(p.batch * p.h * p.w * p.channels), zero(p.channels), transformed(matrices * tiles * p.channels), products(matrices * tiles * p.out), bias(p.out),
      residual(p.batch * oh * ow * p.out), y(p.batch * oh * ow * p.out);
  std::vector<float> w(p.out * 9 * p.channels), u(matrices * p.channels * p.out);
  fill_uniform(x, random);
  fill_uniform(w, random);
  fill_uniform(bias, random);
  fill_uniform(residual, random);
  winograd_weights(tile, p.out, p.channels, w.data(), u.data(), 0, p.out / 2);
  winograd_weights(tile, p.out, p.channels, w.data(), u.data(), p.out / 2, p.out);

  WinogradInputArgs in;
  in.shape = shape;
  in.x = x.data();
  in.channels = p.channels;
  in.zero = zero.data();
  in.stride = tiles * p.channels;
  in.v = transformed.data();
  // Two parts, as two workers would do them.
  const size_t half = tiles / 2;
  v.input(tile, in, 0, half);
  in.v += half * p.channels;
  v.input(tile, in, half, tiles);
  for (size_t i = 0; i < matrices; ++i) {
    for (size_t t = 0; t < tiles; ++t) {
      for (size_t o = 0; o < p.out; ++o) {
        double sum = 0;
        for (size_t c = 0; c < p.channels; ++c) {
          sum += static_cast<double>(transformed[(i * tiles + t) * p.channels + c]) * static_cast<double>(u[(i * p.out + o) * p.channels + c]);
        }
        products[(i * tiles + t) * p.out + o] = static_cast<float>(sum);
      }
    }
  }
  WinogradOutputArgs out;
  out.shape = shape;
  out.products = products.data();
  out.stride = tiles * p.out;
  out.channels = p.out;
  out.c = y.data();
  out.ldc = out.epilogue.ld_residual = p.out;
  if (p.bias) out.epilogue.bias = bias.data();
  if (p.residual) out.epilogue.residual = residual.data();
  if (p.relu) out.epilogue.lo = 0;
  v.output(tile, out, 0, half);
  out.products += half * p.out;
  v.output(tile, out, half, tiles);

  double largest = 0, worst = 0;
  for (size_t b = 0; b < p.batch; ++b) {
    for (size_t oy = 0; oy < oh; ++oy) {
      for (size_t ox = 0; ox < ow; ++ox) {
        for (size_t o = 0; o < p.out; ++o) {
          const size_t at = ((b * oh + oy) * ow + ox) * p.out + o;
          double sum = 0;
          for (size_t k = 0; k < 9; ++k) {
            const ptrdiff_t iy = static_cast<ptrdiff_t>(oy + k / 3) - static_cast<ptrdiff_t>(p.pad_top), ix = static_cast<ptrdiff_t>(ox + k % 3) - static_cast<ptrdiff_t>(p.pad_left);
            if (iy < 0 || ix < 0 || iy >= static_cast<ptrdiff_t>(p.h) || ix >= static_cast<ptrdiff_t>(p.w)) continue;
            for (size_t c = 0; c < p.channels; ++c) {
              sum += static_cast<double>(x[((b * p.h + static_cast<size_t>(iy)) * p.w + static_cast<size_t>(ix)) * p.channels + c]) *
                     static_cast<double>(w[(o * 9 + k) * p.channels + c]);
            }
          }
          if (p.bias) sum += static_cast<double>(bias[o]);
          if (p.residual) sum += static_cast<double>(residual[at]);
          if (p.relu) sum = std::max(0.0, sum);
          largest = std::max(largest, std::fabs(sum));
          worst = std::max(worst, std::fabs(sum - static_cast<double>(y[at])));
        }
      }
    }
  }
  EXPECT_LE(worst, tolerance * largest);
}

TEST_P(WinogradF32, GivesTheConvolutionForPartialTilesPaddingAndEpilogues) {
  CEC_SKIP_UNLESS_RUNNABLE(GetParam());
  const double tolerance[] = {2e-6, 2e-5};
  size_t i = 0;
  for (const WinogradTile tile : {WinogradTile::f2, WinogradTile::f4}) {
    const double t = tolerance[i++];
    check(*GetParam(), tile, {1, 3, 3, 1, 1, 0, 0, 0, 0, false, false, false}, t);
    check(*GetParam(), tile, {2, 5, 7, 8, 16, 1, 1, 1, 1, true, false, true}, t);
    check(*GetParam(), tile, {1, 8, 8, 17, 5, 1, 1, 1, 1, true, true, true}, t);
    check(*GetParam(), tile, {3, 6, 9, 16, 33, 0, 2, 1, 0, false, true, false}, t);
    check(*GetParam(), tile, {1, 7, 7, 24, 24, 2, 2, 2, 2, true, true, false}, t);
    check(*GetParam(), tile, {1, 8, 8, 512, 16, 1, 1, 1, 1, true, false, false}, t);
  }
}

TEST_P(WinogradF32, MayWriteOverTheResidual) {
  CEC_SKIP_UNLESS_RUNNABLE(GetParam());
  // All products are zero, so the result is bias + residual, clamped.
  for (const WinogradTile tile : {WinogradTile::f2, WinogradTile::f4}) {
    const size_t tiles_h = (5 + winograd_outputs(tile) - 1) / winograd_outputs(tile), tiles = tiles_h * tiles_h, n = 9;
    const std::vector<float> products(winograd_matrices(tile) * tiles * n, 0.0f), bias(n, 2.0f);
    std::vector<float> y(25 * n);
    for (size_t i = 0; i < y.size(); ++i) y[i] = static_cast<float>(i) - 100.0f;
    WinogradOutputArgs out;
    out.shape = {5, 5, 5, 5, 1, 1, tiles_h, tiles_h};
    out.products = products.data();
    out.stride = tiles * n;
    out.channels = n;
    out.c = y.data();
    out.ldc = out.epilogue.ld_residual = n;
    out.epilogue.bias = bias.data();
    out.epilogue.residual = y.data();
    out.epilogue.lo = 0;
    GetParam()->output(tile, out, 0, tiles);
    for (size_t i = 0; i < y.size(); ++i) EXPECT_EQ(y[i], std::max(0.0f, static_cast<float>(i) - 98.0f)) << i;
  }
}

}  // namespace
}  // namespace cec::test
