// The reference: one channel at a time, by the matrices of the transforms; and the weights, which are transformed once.
#include <algorithm>
#include <vector>

#include "winograd_f32.h"

namespace cec {
namespace {

// Rows of B^T, G and A^T for the points 0, 1, -1, infinity and 0, 1, -1, 2, -2, infinity.
constexpr double kInput2[4][4] = {{1, 0, -1, 0}, {0, 1, 1, 0}, {0, -1, 1, 0}, {0, 1, 0, -1}};
constexpr double kWeights2[4][3] = {{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}};
constexpr double kOutput2[2][4] = {{1, 1, 1, 0}, {0, 1, -1, -1}};
constexpr double kInput4[6][6] = {{4, 0, -5, 0, 1, 0}, {0, -4, -4, 1, 1, 0}, {0, 4, -4, -1, 1, 0}, {0, -2, -1, 2, 1, 0}, {0, 2, -1, -2, 1, 0}, {0, 4, 0, -5, 0, 1}};
constexpr double kWeights4[6][3] = {{1.0 / 4, 0, 0}, {-1.0 / 6, -1.0 / 6, -1.0 / 6}, {-1.0 / 6, 1.0 / 6, -1.0 / 6}, {1.0 / 24, 1.0 / 12, 1.0 / 6}, {1.0 / 24, -1.0 / 12, 1.0 / 6}, {0, 0, 1}};
constexpr double kOutput4[4][6] = {{1, 1, 1, 1, 1, 0}, {0, 1, -1, 2, -2, 0}, {0, 1, 1, 4, 4, 0}, {0, 1, -1, 8, -8, 1}};

// out = left * in * left^T, left being [kRows][kInner].
template <class T, size_t kRows, size_t kInner>
void both_sides(const double (&left)[kRows][kInner], const T (&in)[kInner][kInner], T (&out)[kRows][kRows]) {
  T half[kRows][kInner];
  for (size_t i = 0; i < kRows; ++i) {
    for (size_t j = 0; j < kInner; ++j) {
      T sum = 0;
      for (size_t k = 0; k < kInner; ++k) sum += static_cast<T>(left[i][k]) * in[k][j];
      half[i][j] = sum;
    }
  }
  for (size_t i = 0; i < kRows; ++i) {
    for (size_t j = 0; j < kRows; ++j) {
      T sum = 0;
      for (size_t k = 0; k < kInner; ++k) sum += half[i][k] * static_cast<T>(left[j][k]);
      out[i][j] = sum;
    }
  }
}

template <size_t kOut, size_t kIn>
void input_tiles(const double (&matrix)[kIn][kIn], const WinogradInputArgs& a, size_t tile0, size_t tile1) {
  const WinogradShape& s = a.shape;
  const size_t per_image = s.tiles_h * s.tiles_w;
  for (size_t t = tile0; t < tile1; ++t) {
    const float* image = a.x + t / per_image * (s.in_h * s.in_w * a.channels);
    const ptrdiff_t top = static_cast<ptrdiff_t>(t % per_image / s.tiles_w * kOut) - s.pad_top;
    const ptrdiff_t left = static_cast<ptrdiff_t>(t % s.tiles_w * kOut) - s.pad_left;
    for (size_t c = 0; c < a.channels; ++c) {
      float d[kIn][kIn], o[kIn][kIn];
      for (size_t i = 0; i < kIn; ++i) {
        for (size_t j = 0; j < kIn; ++j) {
          const ptrdiff_t y = top + static_cast<ptrdiff_t>(i), x = left + static_cast<ptrdiff_t>(j);
          const bool inside = y >= 0 && x >= 0 && y < static_cast<ptrdiff_t>(s.in_h) && x < static_cast<ptrdiff_t>(s.in_w);
          d[i][j] = inside ? image[(static_cast<size_t>(y) * s.in_w + static_cast<size_t>(x)) * a.channels + c] : 0.0f;
        }
      }
      both_sides(matrix, d, o);
      for (size_t i = 0; i < kIn * kIn; ++i) a.v[i * a.stride + (t - tile0) * a.channels + c] = o[i / kIn][i % kIn];
    }
  }
}

template <size_t kOut, size_t kIn>
void output_tiles(const double (&matrix)[kOut][kIn], const WinogradOutputArgs& a, size_t tile0, size_t tile1) {
  const WinogradShape& s = a.shape;
  const EpilogueF32& e = a.epilogue;
  const size_t per_image = s.tiles_h * s.tiles_w;
  for (size_t t = tile0; t < tile1; ++t) {
    const size_t y0 = t % per_image / s.tiles_w * kOut, x0 = t % s.tiles_w * kOut;
    for (size_t c = 0; c < a.channels; ++c) {
      float m[kIn][kIn], o[kOut][kOut];
      for (size_t i = 0; i < kIn * kIn; ++i) m[i / kIn][i % kIn] = a.products[i * a.stride + (t - tile0) * a.channels + c];
      both_sides(matrix, m, o);
      for (size_t y = 0; y < std::min(kOut, s.out_h - y0); ++y) {
        for (size_t x = 0; x < std::min(kOut, s.out_w - x0); ++x) {
          const size_t pixel = t / per_image * (s.out_h * s.out_w) + (y0 + y) * s.out_w + x0 + x;
          float value = o[y][x];
          if (e.bias != nullptr) value += e.bias[c];
          if (e.residual != nullptr) value += e.residual[pixel * e.ld_residual + c];
          value = value < e.lo ? e.lo : value;
          a.c[pixel * a.ldc + c] = value > e.hi ? e.hi : value;
        }
      }
    }
  }
}

void input(WinogradTile tile, const WinogradInputArgs& a, size_t tile0, size_t tile1) {
  if (tile == WinogradTile::f2) input_tiles<2>(kInput2, a, tile0, tile1);
  else input_tiles<4>(kInput4, a, tile0, tile1);
}

void output(WinogradTile tile, const WinogradOutputArgs& a, size_t tile0, size_t tile1) {
  if (tile == WinogradTile::f2) output_tiles<2>(kOutput2, a, tile0, tile1);
  else output_tiles<4>(kOutput4, a, tile0, tile1);
}

// U = G g G^T for some channels at a time, which the compiler makes vectors of.
template <size_t kIn>
void transform_weights(const double (&matrix)[kIn][3], size_t n, size_t channels, const float* w, float* u, size_t begin, size_t end) {
  constexpr size_t kLanes = 8;
  for (size_t o = begin; o < end; ++o) {
    for (size_t c = 0; c < channels; c += kLanes) {
      const size_t lanes = std::min(kLanes, channels - c);
      double g[3][3][kLanes] = {}, half[kIn][3][kLanes], sum[kLanes];
      for (size_t i = 0; i < 9; ++i) {
        for (size_t l = 0; l < lanes; ++l) g[i / 3][i % 3][l] = static_cast<double>(w[(o * 9 + i) * channels + c + l]);
      }
      for (size_t i = 0; i < kIn; ++i) {
        for (size_t j = 0; j < 3; ++j) {
          for (size_t l = 0; l < kLanes; ++l) half[i][j][l] = matrix[i][0] * g[0][j][l] + matrix[i][1] * g[1][j][l] + matrix[i][2] * g[2][j][l];
        }
      }
      for (size_t i = 0; i < kIn; ++i) {
        for (size_t j = 0; j < kIn; ++j) {
          for (size_t l = 0; l < kLanes; ++l) sum[l] = half[i][0][l] * matrix[j][0] + half[i][1][l] * matrix[j][1] + half[i][2][l] * matrix[j][2];
          float* const to = u + ((i * kIn + j) * n + o) * channels + c;
          for (size_t l = 0; l < lanes; ++l) to[l] = static_cast<float>(sum[l]);
        }
      }
    }
  }
}

}  // namespace

void winograd_weights(WinogradTile tile, size_t n, size_t channels, const float* w, float* u, size_t begin, size_t end) {
  if (tile == WinogradTile::f2) transform_weights(kWeights2, n, channels, w, u, begin, end);
  else transform_weights(kWeights4, n, channels, w, u, begin, end);
}

const WinogradF32Variant winograd_f32__scalar = {"winograd_f32__scalar", Isa::scalar, input, output};

}  // namespace cec
