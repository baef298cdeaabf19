// conv_wgrad_f32, batch_norm_f32, training_f32: against loops in double, and every variant's bits against the scalar one's.
#include <cmath>

#include "test_util.h"

namespace cec::test {
namespace {

#define CEC_KERNEL_VARIANT(isa, name) &name,
const ConvWgradF32Variant* const kWgrad[] = {
#include "kernels/conv_wgrad_f32/variants.inc"
};
const BatchNormF32Variant* const kBatchNorm[] = {
#include "kernels/batch_norm_f32/variants.inc"
};
const TrainingF32Variant* const kTraining[] = {
#include "kernels/training_f32/variants.inc"
};
#undef CEC_KERNEL_VARIANT

class ConvWgrad : public testing::TestWithParam<const ConvWgradF32Variant*> {};
INSTANTIATE_TEST_SUITE_P(All, ConvWgrad, testing::ValuesIn(kWgrad), [](const auto& info) { return variant_name(info); });

TEST_P(ConvWgrad, IsTheSumOverRowsAndTheScalarBits) {
  CEC_SKIP_UNLESS_RUNNABLE(GetParam());
  struct Case {
    size_t images, size, channels, outputs, stride = 1, dilation = 1, pad = 1, kernel_w = 3;
  };
  for (const Case& c : {Case{1, 5, 1, 1}, Case{3, 6, 3, 17}, Case{2, 13, 16, 16}, Case{1, 7, 17, 5}, Case{2, 4, 33, 9}, Case{1, 12, 48, 23}, Case{2, 9, 3, 40, 2}, Case{1, 11, 16, 20, 3, 2, 2}, Case{3, 4, 12, 32, 1, 1, 0, 1},
                        Case{2, 3, 2, 16, 1, 1, 4}, Case{2, 8, 20, 16, 2, 1, 0, 2}}) {
    TapGeometry g;
    g.in_h = g.in_w = c.size;
    g.kernel_h = 3;
    g.kernel_w = c.kernel_w;
    g.stride_h = g.stride_w = c.stride;
    g.dilation_h = g.dilation_w = c.dilation;
    g.out_h = (c.size + 2 * c.pad - 2 * c.dilation - 1) / c.stride + 1;
    g.out_w = (c.size + 2 * c.pad - (c.kernel_w - 1) * c.dilation - 1) / c.stride + 1;
    g.pad_top = g.pad_left = static_cast<ptrdiff_t>(c.pad);
    g.pixel_stride = c.channels;
    const size_t pixels = g.out_h * g.out_w, rows = c.images * pixels, taps = 3 * c.kernel_w, image = c.size * c.size * c.channels;
    std::vector<int32_t> offsets(pixels * taps);
    build_tap_offsets(g, offsets.data());
    Random random(static_cast<unsigned>(c.channels));
    Guarded<float> x(c.images * image), dy(rows * c.outputs), dw(c.outputs * taps * c.channels);
    fill_uniform(x, random);
    fill_uniform(dy, random);
    std::vector<float> scalar(dw.size(), 0.5f);
    std::fill(dw.data(), dw.data() + dw.size(), 0.5f);
    ConvWgradF32Args args{g, c.channels, x.data(), dy.data(), c.outputs, dw.data()};
    // In parts of rows and outputs: they do not change the bits.
    const size_t half = rows / 2, some = c.outputs / 3;
    GetParam()->accumulate(args, 0, half, 0, some);
    GetParam()->accumulate(args, half, rows, 0, some);
    GetParam()->accumulate(args, 0, rows, some, c.outputs);
    args.dw = scalar.data();
    kWgrad[0]->accumulate(args, 0, rows, 0, c.outputs);
    for (size_t i = 0; i < dw.size(); ++i) {
      const size_t o = i / (taps * c.channels), t = i / c.channels % taps, ch = i % c.channels;
      double sum = 0.5;
      for (size_t r = 0; r < rows; ++r) {
        const int32_t at = offsets[r % pixels * taps + t];
        if (at >= 0) sum += static_cast<double>(dy[r * c.outputs + o]) * static_cast<double>(x[r / pixels * image + static_cast<size_t>(at) + ch]);
      }
      ASSERT_NEAR(static_cast<double>(dw[i]), sum, 1e-4) << i;
    }
    EXPECT_EQ(std::memcmp(dw.data(), scalar.data(), dw.size() * sizeof(float)), 0) << c.channels;
  }
}

class BatchNorm : public testing::TestWithParam<const BatchNormF32Variant*> {};
INSTANTIATE_TEST_SUITE_P(All, BatchNorm, testing::ValuesIn(kBatchNorm), [](const auto& info) { return variant_name(info); });

TEST_P(BatchNorm, MomentsMapAndGradientsAreThoseOfLoopsAndTheScalarBits) {
  CEC_SKIP_UNLESS_RUNNABLE(GetParam());
  for (const size_t channels : {size_t{1}, size_t{7}, size_t{16}, size_t{33}}) {
    for (const size_t rows : {size_t{1}, size_t{5}, size_t{256}}) {
      for (const bool relu : {false, true}) {
        Random random(static_cast<unsigned>(channels * rows));
        Guarded<float> x(rows * channels), dy(rows * channels), y(rows * channels), dx(rows * channels);
        Guarded<float> factor(channels), bias(channels), mean(channels), inv(channels), a(channels), b(channels), c(channels);
        for (auto* v : {&x, &dy, &factor, &bias, &mean, &inv}) fill_uniform(*v, random);
        const BatchNormF32 bn{channels, factor.data(), bias.data(), mean.data(), inv.data(), relu};
        std::vector<float> sy(y.size()), sx(y.size()), sa(channels), sb(channels), sc(channels);
        const auto same = [](const Guarded<float>& u, const std::vector<float>& v) { return std::memcmp(u.data(), v.data(), v.size() * sizeof(float)) == 0; };
        GetParam()->moments(rows, channels, x.data(), a.data(), b.data(), c.data());
        kBatchNorm[0]->moments(rows, channels, x.data(), sa.data(), sb.data(), sc.data());
        EXPECT_TRUE(same(a, sa) && same(b, sb) && same(c, sc)) << channels;
        for (size_t ch = 0; ch < channels; ++ch) {
          double sum = 0, squares = 0;
          for (size_t r = 0; r < rows; ++r) sum += static_cast<double>(x[r * channels + ch]);
          const double middle = static_cast<double>(a[ch]);
          for (size_t r = 0; r < rows; ++r) squares += std::pow(static_cast<double>(x[r * channels + ch]) - middle, 2);
          ASSERT_NEAR(middle + static_cast<double>(b[ch]), sum / static_cast<double>(rows), 1e-6);
          ASSERT_NEAR(static_cast<double>(c[ch]), squares, 1e-4);
        }
        GetParam()->normalize(bn, rows, x.data(), y.data());
        kBatchNorm[0]->normalize(bn, rows, x.data(), sy.data());
        EXPECT_TRUE(same(y, sy));
        GetParam()->sums(bn, rows, dy.data(), x.data(), a.data(), b.data());
        kBatchNorm[0]->sums(bn, rows, dy.data(), x.data(), sa.data(), sb.data());
        EXPECT_TRUE(same(a, sa) && same(b, sb));
        GetParam()->gradient(bn, rows, dy.data(), x.data(), a.data(), b.data(), dx.data());
        kBatchNorm[0]->gradient(bn, rows, dy.data(), x.data(), sa.data(), sb.data(), sx.data());
        EXPECT_TRUE(same(dx, sx));
        for (size_t i = 0; i < y.size(); ++i) {
          const size_t ch = i % channels;
          const double d = static_cast<double>(x[i]) - static_cast<double>(mean[ch]), v = d * static_cast<double>(factor[ch]) + static_cast<double>(bias[ch]);
          ASSERT_NEAR(static_cast<double>(y[i]), relu && v < 0 ? 0 : v, 1e-5);
          const double g = relu && !(y[i] > 0) ? 0 : static_cast<double>(dy[i]);
          const double want = static_cast<double>(factor[ch]) * (g - static_cast<double>(a[ch]) - d * static_cast<double>(inv[ch]) * static_cast<double>(b[ch]));
          ASSERT_NEAR(static_cast<double>(dx[i]), want, 1e-4 * (1 + std::fabs(want)));
        }
      }
    }
  }
}

class Training : public testing::TestWithParam<const TrainingF32Variant*> {};
INSTANTIATE_TEST_SUITE_P(All, Training, testing::ValuesIn(kTraining), [](const auto& info) { return variant_name(info); });

TEST_P(Training, StepsInPlaceAreThoseOfTheFormulasAndTheScalarBits) {
  CEC_SKIP_UNLESS_RUNNABLE(GetParam());
  for (const size_t n : {size_t{1}, size_t{8}, size_t{15}, size_t{16}, size_t{1000}}) {
    Random random(static_cast<unsigned>(n));
    Guarded<float> p(n), g(n), m(n), v(n);
    fill_uniform(p, random);
    fill_uniform(g, random);
    fill_uniform(m, random);
    fill_uniform(v, random, 0.1f, 1.0f);
    const std::vector<float> p0(p.data(), p.data() + n), m0(m.data(), m.data() + n), v0(v.data(), v.data() + n);
    std::vector<float> sp = p0, sm = m0, sv = v0;
    const SgdF32 sgd{0.1f, 0.5f, 0.9f, 0.01f, true};
    GetParam()->sgd(sgd, n, p.data(), g.data(), m.data(), p.data(), m.data());
    kTraining[0]->sgd(sgd, n, sp.data(), g.data(), sm.data(), sp.data(), sm.data());
    for (size_t i = 0; i < n; ++i) {
      const double full = 0.5 * static_cast<double>(g[i]) + 0.01 * static_cast<double>(p0[i]), next = 0.9 * static_cast<double>(m0[i]) + full;
      ASSERT_NEAR(static_cast<double>(m[i]), next, 1e-6);
      ASSERT_NEAR(static_cast<double>(p[i]), static_cast<double>(p0[i]) - 0.1 * (full + 0.9 * next), 1e-6);
    }
    EXPECT_EQ(std::memcmp(p.data(), sp.data(), n * sizeof(float)), 0);
    std::copy(p0.begin(), p0.end(), p.data());
    std::copy(m0.begin(), m0.end(), m.data());
    sp = p0;
    sm = m0;
    const AdamF32 adam{0.1f, 1.0f, 0.9f, 0.99f, 1e-3f, 0.1f, 0.271f, 0.172f, true};
    GetParam()->adam(adam, n, p.data(), g.data(), m.data(), v.data(), p.data(), m.data(), v.data());
    kTraining[0]->adam(adam, n, sp.data(), g.data(), sm.data(), sv.data(), sp.data(), sm.data(), sv.data());
    for (size_t i = 0; i < n; ++i) {
      const double first = 0.9 * static_cast<double>(m0[i]) + 0.1 * static_cast<double>(g[i]), second = 0.99 * static_cast<double>(v0[i]) + 0.01 * std::pow(static_cast<double>(g[i]), 2);
      const double step = 0.1 / 0.271 * first / (std::sqrt(second) / 0.172 + 1e-3);
      ASSERT_NEAR(static_cast<double>(p[i]), static_cast<double>(p0[i]) * (1 - 0.1 * 0.1) - step, 1e-5);
    }
    EXPECT_EQ(std::memcmp(p.data(), sp.data(), n * sizeof(float)), 0);
    EXPECT_EQ(std::memcmp(v.data(), sv.data(), n * sizeof(float)), 0);
    std::vector<float> dx(n), sdx(n);
    GetParam()->relu_backward(n, g.data(), p.data(), dx.data());
    for (size_t i = 0; i < n; ++i) ASSERT_EQ(dx[i], p[i] > 0 ? g[i] : 0.0f);
  }
}

TEST_P(Training, FakeQuantizationRoundsHalvesToEvenAndGivesTheScalarBits) {
  CEC_SKIP_UNLESS_RUNNABLE(GetParam());
  for (const FakeQuantizeF32 q : {FakeQuantizeF32{0.25f, 0.0f, -7.0f, 7.0f}, FakeQuantizeF32{0.01f, 3.0f, 0.0f, 15.0f}, FakeQuantizeF32{0.01f, 0.0f, -2147483520.0f, 2147483520.0f}}) {
    for (const size_t n : {size_t{0}, size_t{1}, size_t{8}, size_t{15}, size_t{16}, size_t{17}, size_t{1000}}) {
      Random random(static_cast<unsigned>(n));
      Guarded<float> x(n), dy(n);
      fill_uniform(x, random, -3.0f, 3.0f);
      fill_uniform(dy, random);
      // Halves between two integers, and values far outside.
      if (n > 4) x[1] = 2.5f * q.scale, x[2] = 3.5f * q.scale, x[3] = 1e6f, x[4] = -1e6f;
      std::vector<float> y(n), want(n), dx(n), want_dx(n), sums(kFakeQuantizeSums, 0.5f), want_sums(kFakeQuantizeSums, 0.5f);
      GetParam()->fake_quantize(q, n, x.data(), y.data());
      kTraining[0]->fake_quantize(q, n, x.data(), want.data());
      GetParam()->fake_quantize_backward(q, n, dy.data(), x.data(), dx.data(), sums.data());
      kTraining[0]->fake_quantize_backward(q, n, dy.data(), x.data(), want_dx.data(), want_sums.data());
      EXPECT_EQ(std::memcmp(y.data(), want.data(), n * sizeof(float)), 0);
      EXPECT_EQ(std::memcmp(dx.data(), want_dx.data(), n * sizeof(float)), 0);
      EXPECT_EQ(std::memcmp(sums.data(), want_sums.data(), sums.size() * sizeof(float)), 0);
      std::vector<double> slopes(kFakeQuantizeSums, 0.5);
      for (size_t i = 0; i < n; ++i) {
        const float near = std::nearbyint(x[i] / q.scale);
        const float stored = std::min(q.q_max, std::max(q.q_min, near + q.zero_point));
        EXPECT_EQ(y[i], (stored - q.zero_point) * q.scale);
        const bool inside = near >= q.q_min - q.zero_point && near <= q.q_max - q.zero_point;
        EXPECT_EQ(dx[i], inside ? dy[i] : 0.0f);
        slopes[i % kFakeQuantizeSums] += static_cast<double>(dy[i]) * static_cast<double>(inside ? near - x[i] / q.scale : stored - q.zero_point);
      }
      for (size_t i = 0; i < slopes.size(); ++i) EXPECT_NEAR(static_cast<double>(sums[i]), slopes[i], 1e-3);
    }
  }
}

}  // namespace
}  // namespace cec::test
