#include <cmath>

#include "test_util.h"

namespace cec::test {
namespace {

#define CEC_KERNEL_VARIANT(isa, name) &name,
const GemmF32Variant* const kVariants[] = {
#include "kernels/gemm_f32/variants.inc"
};
#undef CEC_KERNEL_VARIANT

class GemmF32 : public testing::TestWithParam<const GemmF32Variant*> {};
INSTANTIATE_TEST_SUITE_P(All, GemmF32, testing::ValuesIn(kVariants), [](const auto& info) { return variant_name(info); });

struct Case {
  size_t m, n, k;
  bool bias, residual, clamp;
};

// Against sums in double; the bound is that of k roundings of f32.
void check(const GemmF32Variant& v, const Case& c) {
  SCOPED_TRACE(testing::Message() << "m=" << c.m << " n=" << c.n << " k=" << c.k << " bias=" << c.bias << " residual=" << c.residual);
  Random random(static_cast<unsigned>(c.m * 7919 + c.n * 104729 + c.k));
  Guarded<float> a(c.m * c.k), w(c.n * c.k), bias(c.n), residual(c.m * c.n), out(c.m * c.n);
  fill_uniform(a, random);
  fill_uniform(w, random);
  fill_uniform(bias, random);
  fill_uniform(residual, random);
  for (size_t i = 0; i < out.size(); ++i) out[i] = 1e30f;
  Packed packed(v.packed_bytes(c.n, c.k));
  ASSERT_EQ(packed.size() % 64, 0u);
  v.pack(c.n, c.k, w.data(), c.k, 1, packed.data());
  GemmF32Args g;
  g.m = c.m;
  g.n = c.n;
  g.k = c.k;
  g.a = a.data();
  g.lda = c.k;
  g.packed_b = packed.data();
  g.c = out.data();
  g.ldc = c.n;
  if (c.bias) g.epilogue.bias = bias.data();
  if (c.residual) {
    g.epilogue.residual = residual.data();
    g.epilogue.ld_residual = c.n;
  }
  if (c.clamp) {
    g.epilogue.lo = -0.5f;
    g.epilogue.hi = 0.75f;
  }
  v.gemm(g, 0, c.m, 0, c.n);
  for (size_t i = 0; i < c.m; ++i) {
    for (size_t j = 0; j < c.n; ++j) {
      double sum = 0, magnitude = 0;
      for (size_t p = 0; p < c.k; ++p) {
        const double term = static_cast<double>(a[i * c.k + p]) * static_cast<double>(w[j * c.k + p]);
        sum += term;
        magnitude += std::fabs(term);
      }
      if (c.bias) sum += static_cast<double>(bias[j]);
      if (c.residual) sum += static_cast<double>(residual[i * c.n + j]);
      if (c.clamp) sum = std::min(0.75, std::max(-0.5, sum));
      const double bound = 6e-8 * (static_cast<double>(c.k) * magnitude + 4);
      ASSERT_NEAR(static_cast<double>(out[i * c.n + j]), sum, bound) << "row " << i << " column " << j;
    }
  }
}

TEST_P(GemmF32, GivesTheProductForSizesAroundTheTile) {
  CEC_SKIP_UNLESS_RUNNABLE(GetParam());
  const GemmF32Variant& v = *GetParam();
  const size_t ms[] = {0, 1, 2, 3, v.m_step - 1, v.m_step, v.m_step + 1, 2 * v.m_step + 1, 31};
  const size_t ns[] = {0, 1, v.n_step / 2 - 1, v.n_step / 2, v.n_step / 2 + 1, v.n_step - 1, v.n_step, v.n_step + 1, 4 * v.n_step + 3, 37};
  for (const size_t m : ms) {
    for (const size_t n : ns) {
      for (const size_t k : {0, 1, 3, 17, 64}) {
        check(v, {m, n, k, (m + n) % 2 == 0, (n + k) % 3 == 0, k % 2 == 1});
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST_P(GemmF32, GivesTheProductForDeepAndWideProblems) {
  CEC_SKIP_UNLESS_RUNNABLE(GetParam());
  check(*GetParam(), {1, 1000, 1280, true, false, false});
  check(*GetParam(), {2, 257, 333, true, true, true});
  check(*GetParam(), {97, 24, 1153, true, true, true});
  check(*GetParam(), {1000, 19, 47, false, false, true});
  // More than 192 rows deeper than 1,536: blocks of k, chains rest in C. The last panel is masked.
  check(*GetParam(), {211, 37, 2100, true, true, true});
}

TEST_P(GemmF32, TakesAnyRangeOfRowsAndPanelsAndGivesTheSameBits) {
  CEC_SKIP_UNLESS_RUNNABLE(GetParam());
  const GemmF32Variant& v = *GetParam();
  const size_t m = 29, n = 4 * v.n_step + 5, k = 101;
  Random random(3);
  std::vector<float> a(m * k), w(n * k), whole(m * n), parts(m * n, 9.0f);
  fill_uniform(a, random);
  fill_uniform(w, random);
  Packed packed(v.packed_bytes(n, k));
  v.pack(n, k, w.data(), k, 1, packed.data());
  GemmF32Args g;
  g.m = m;
  g.n = n;
  g.k = k;
  g.a = a.data();
  g.lda = k;
  g.packed_b = packed.data();
  g.ldc = n;
  g.c = whole.data();
  v.gemm(g, 0, m, 0, n);
  g.c = parts.data();
  for (size_t m0 = 0, step = 1; m0 < m; m0 += step, step = step % 4 + 1) {
    const size_t m1 = std::min(m, m0 + step);
    v.gemm(g, m0, m1, 0, v.n_step);
    v.gemm(g, m0, m1, v.n_step, n);
  }
  EXPECT_EQ(std::memcmp(whole.data(), parts.data(), whole.size() * sizeof(float)), 0);
}

TEST_P(GemmF32, PacksAMatrixThatStandsRowByRow) {
  CEC_SKIP_UNLESS_RUNNABLE(GetParam());
  const GemmF32Variant& v = *GetParam();
  const size_t n = v.n_step + 3, k = 9;
  Random random(5);
  std::vector<float> w(n * k), transposed(n * k);
  fill_uniform(w, random);
  for (size_t j = 0; j < n; ++j) {
    for (size_t p = 0; p < k; ++p) transposed[p * n + j] = w[j * k + p];
  }
  Packed one(v.packed_bytes(n, k)), two(v.packed_bytes(n, k));
  v.pack(n, k, w.data(), k, 1, one.data());
  v.pack(n, k, transposed.data(), 1, n, two.data());
  EXPECT_EQ(std::memcmp(one.data(), two.data(), one.size()), 0);
}

TEST_P(GemmF32, LetsNanThroughTheClampAndMayWriteOverTheResidual) {
  CEC_SKIP_UNLESS_RUNNABLE(GetParam());
  const GemmF32Variant& v = *GetParam();
  const size_t m = v.m_step + 1, n = v.n_step + 1, k = 2;
  std::vector<float> a(m * k, 1.0f), w(n * k, 1.0f), c(m * n, -5.0f);
  a[0] = std::nanf("");
  Packed packed(v.packed_bytes(n, k));
  v.pack(n, k, w.data(), k, 1, packed.data());
  GemmF32Args g;
  g.m = m;
  g.n = n;
  g.k = k;
  g.a = a.data();
  g.lda = k;
  g.packed_b = packed.data();
  g.c = c.data();
  g.ldc = n;
  g.epilogue.residual = c.data();
  g.epilogue.ld_residual = n;
  g.epilogue.lo = 0;
  v.gemm(g, 0, m, 0, n);
  for (size_t j = 0; j < n; ++j) EXPECT_TRUE(std::isnan(c[j]));
  for (size_t i = n; i < c.size(); ++i) EXPECT_EQ(c[i], 0.0f);  // relu(2 - 5)
}

TEST_P(GemmF32, GivesTheSameBitsInBlocksOfKWhereTheResidualIsTheResult) {
  CEC_SKIP_UNLESS_RUNNABLE(GetParam());
  const GemmF32Variant& v = *GetParam();
  const size_t m = 200, n = v.n_step + 3, k = 1700;
  Random random(17);
  std::vector<float> a(m * k), w(n * k), residual(m * n), whole, parts;
  fill_uniform(a, random);
  fill_uniform(w, random);
  fill_uniform(residual, random);
  whole = parts = residual;
  Packed packed(v.packed_bytes(n, k));
  v.pack(n, k, w.data(), k, 1, packed.data());
  GemmF32Args g;
  g.m = m;
  g.n = n;
  g.k = k;
  g.a = a.data();
  g.lda = k;
  g.packed_b = packed.data();
  g.ldc = g.epilogue.ld_residual = n;
  g.epilogue.lo = 0;
  g.c = whole.data();
  g.epilogue.residual = whole.data();
  v.gemm(g, 0, m, 0, n);
  g.c = parts.data();
  g.epilogue.residual = parts.data();
  for (size_t m0 = 0; m0 < m; m0 += 40) v.gemm(g, m0, m0 + 40, 0, n);  // few rows at a time: no blocks
  EXPECT_EQ(std::memcmp(whole.data(), parts.data(), whole.size() * sizeof(float)), 0);
}

struct Image {
  size_t batch, h, w, channels, out, kernel, stride, dilation, pad, groups;
};

void check_conv(const GemmF32Variant& v, const Image& s) {
  SCOPED_TRACE(testing::Message() << s.h << "x" << s.w << "x" << s.channels << " -> " << s.out << " kernel " << s.kernel << " stride "
                                  << s.stride << " dilation " << s.dilation << " pad " << s.pad << " groups " << s.groups);
  const size_t reach = s.dilation * (s.kernel - 1) + 1;
  const size_t oh = (s.h + 2 * s.pad - reach) / s.stride + 1, ow = (s.w + 2 * s.pad - reach) / s.stride + 1;
  const size_t ic = s.channels / s.groups, oc = s.out / s.groups, taps = s.kernel * s.kernel, rows = s.batch * oh * ow;
  Random random(11);
  Guarded<float> x(s.batch * s.h * s.w * s.channels), w(s.out * taps * ic), bias(s.out), out(rows * s.out), zero(ic);
  fill_uniform(x, random);
  fill_uniform(w, random);
  fill_uniform(bias, random);
  std::vector<int32_t> offsets(oh * ow * taps);
  TapGeometry geometry;
  geometry.in_h = s.h;
  geometry.in_w = s.w;
  geometry.out_h = oh;
  geometry.out_w = ow;
  geometry.kernel_h = geometry.kernel_w = s.kernel;
  geometry.stride_h = geometry.stride_w = s.stride;
  geometry.dilation_h = geometry.dilation_w = s.dilation;
  geometry.pad_top = geometry.pad_left = static_cast<ptrdiff_t>(s.pad);
  geometry.pixel_stride = s.channels;
  build_tap_offsets(geometry, offsets.data());
  for (size_t g = 0; g < s.groups; ++g) {
    Packed packed(v.packed_bytes(oc, taps * ic));
    v.pack(oc, taps * ic, w.data() + g * oc * taps * ic, taps * ic, 1, packed.data());
    ConvF32Args a;
    a.rows = rows;
    a.n = oc;
    a.taps = {offsets.data(), oh * ow, taps, ic, s.h * s.w * s.channels};
    a.base = x.data() + g * ic;
    a.zero = zero.data();
    a.packed_b = packed.data();
    a.c = out.data() + g * oc;
    a.ldc = s.out;
    a.epilogue.bias = bias.data() + g * oc;
    a.epilogue.lo = 0;
    v.conv(a, 0, rows / 2, 0, oc);
    v.conv(a, rows / 2, rows, 0, oc);
  }
  for (size_t b = 0; b < s.batch; ++b) {
    for (size_t oy = 0; oy < oh; ++oy) {
      for (size_t ox = 0; ox < ow; ++ox) {
        for (size_t o = 0; o < s.out; ++o) {
          double sum = static_cast<double>(bias[o]);
          for (size_t ky = 0; ky < s.kernel; ++ky) {
            for (size_t kx = 0; kx < s.kernel; ++kx) {
              const ptrdiff_t y = static_cast<ptrdiff_t>(oy * s.stride + ky * s.dilation) - static_cast<ptrdiff_t>(s.pad);
              const ptrdiff_t xx = static_cast<ptrdiff_t>(ox * s.stride + kx * s.dilation) - static_cast<ptrdiff_t>(s.pad);
              if (y < 0 || xx < 0 || y >= static_cast<ptrdiff_t>(s.h) || xx >= static_cast<ptrdiff_t>(s.w)) continue;
              for (size_t c = 0; c < ic; ++c) {
                const size_t from = ((b * s.h + static_cast<size_t>(y)) * s.w + static_cast<size_t>(xx)) * s.channels + o / oc * ic + c;
                sum += static_cast<double>(x[from]) * static_cast<double>(w[(o * taps + ky * s.kernel + kx) * ic + c]);
              }
            }
          }
          sum = std::max(0.0, sum);
          ASSERT_NEAR(static_cast<double>(out[((b * oh + oy) * ow + ox) * s.out + o]), sum, 1e-4 + 4e-8 * static_cast<double>(taps * ic)) << b << "," << oy << "," << ox << "," << o;
        }
      }
    }
  }
}

TEST_P(GemmF32, ConvolvesWithStridePaddingDilationGroupsAndBatch) {
  CEC_SKIP_UNLESS_RUNNABLE(GetParam());
  const GemmF32Variant& v = *GetParam();
  check_conv(v, {1, 5, 5, 3, 16, 3, 1, 1, 1, 1});
  check_conv(v, {3, 7, 6, 16, 24, 3, 2, 1, 1, 1});
  check_conv(v, {2, 9, 9, 8, 33, 3, 1, 2, 2, 1});
  check_conv(v, {2, 6, 5, 12, 20, 5, 1, 1, 2, 4});
  check_conv(v, {5, 4, 4, 17, 40, 1, 2, 1, 0, 1});
  check_conv(v, {1, 1, 1, 5, 7, 3, 1, 1, 1, 1});
  check_conv(v, {1, 12, 11, 3, 9, 7, 2, 1, 3, 1});
  // Deep, with more than 192 rows in either half: blocks of taps, and blocks of one tap's channels.
  check_conv(v, {2, 15, 15, 180, 5, 3, 1, 1, 1, 1});
  check_conv(v, {2, 14, 14, 1100, 3, 2, 1, 1, 0, 1});
}

}  // namespace
}  // namespace cec::test
