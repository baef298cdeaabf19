#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "cec/rounding.h"
#include "exec/aligned.h"
#include "exec/op.h"
#include "kernels/kernels.h"

namespace cec {
namespace {

/// Rows summed in f32.
constexpr size_t kRun = 256;
/// Below it a matrix product costs more to set up than it saves.
constexpr size_t kLeastGemm = 16;

/// Element (k, r) of the transposed columns of one group.
void gather(const Columns& c, size_t group, size_t first, size_t count, float* to) {
  const size_t inputs = c.channels / c.groups;
  if (c.matrix) {
    for (size_t k = 0; k < inputs; ++k) {
      for (size_t r = 0; r < count; ++r) to[k * kRun + r] = c.x[static_cast<size_t>(c.rows[first + r]) * c.channels + group * inputs + k];
    }
    return;
  }
  const size_t pixels = c.out_h * c.out_w;
  const size_t area = c.height * c.width;
  for (size_t r = 0; r < count; ++r) {
    const size_t row = static_cast<size_t>(c.rows[first + r]);
    const size_t pixel = row % pixels;
    const float* image = c.x + (row / pixels * c.channels + group * inputs) * area;
    const ptrdiff_t top = static_cast<ptrdiff_t>(pixel / c.out_w * c.stride_h) - c.pad_top;
    const ptrdiff_t left = static_cast<ptrdiff_t>(pixel % c.out_w * c.stride_w) - c.pad_left;
    for (size_t i = 0; i < c.kernel_h; ++i) {
      const ptrdiff_t y = top + static_cast<ptrdiff_t>(i * c.dilation_h);
      for (size_t j = 0; j < c.kernel_w; ++j) {
        const ptrdiff_t x = left + static_cast<ptrdiff_t>(j * c.dilation_w);
        const bool inside = y >= 0 && x >= 0 && y < static_cast<ptrdiff_t>(c.height) && x < static_cast<ptrdiff_t>(c.width);
        float* out = to + (i * c.kernel_w + j) * kRun + r;
        const float* in = inside ? image + y * static_cast<ptrdiff_t>(c.width) + x : nullptr;
        for (size_t k = 0; k < inputs; ++k) out[k * c.kernel_h * c.kernel_w * kRun] = inside ? in[k * area] : 0.0f;
      }
    }
  }
}

/// Sums in eight lanes, which compilers turn into vectors.
float dot(const float* a, const float* b) {
  float lanes[8] = {};
  for (size_t r = 0; r < kRun; r += 8) {
    for (size_t l = 0; l < 8; ++l) lanes[l] += a[r + l] * b[r + l];
  }
  return ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
}

size_t add_sums(const float* columns, size_t depth, size_t count, double* sums) {
  size_t bad = 0;
  for (size_t k = 0; k < depth; ++k) {
    double sum = 0;
    for (size_t r = 0; r < count; ++r) {
      const float v = columns[k * kRun + r];
      if (!std::isfinite(v)) ++bad;
      sum += v;
    }
    sums[k] += sum;
  }
  return bad;
}

void add_products(const float* columns, size_t depth, double* moments) {
  for (size_t i = 0; i < depth; ++i) {
    for (size_t j = i; j < depth; ++j) moments[i * depth + j] += dot(columns + i * kRun, columns + j * kRun);
  }
}

}  // namespace

size_t add_moments(const Columns& c, double* moments, double* sums, ThreadPool& pool) {
  const size_t depth = c.depth();
  if (depth < kLeastGemm) {
    std::vector<size_t> bad(static_cast<size_t>(pool.size()), 0);
    parallel(pool, c.groups, 1, [&](size_t begin, size_t end, int worker) {
      std::vector<float> columns(depth * kRun);
      for (size_t g = begin; g < end; ++g) {
        for (size_t first = 0; first < c.row_count; first += kRun) {
          const size_t count = std::min(kRun, c.row_count - first);
          if (count < kRun) std::fill(columns.begin(), columns.end(), 0.0f);
          gather(c, g, first, count, columns.data());
          bad[static_cast<size_t>(worker)] += add_sums(columns.data(), depth, count, sums + g * depth);
          add_products(columns.data(), depth, moments + g * depth * depth);
        }
      }
    });
    size_t all = 0;
    for (const size_t b : bad) all += b;
    return all;
  }
  const GemmF32Variant& gemm = *kernels().gemm_f32;
  const size_t chunk = gemm.m_step * 4;
  const size_t chunks = (depth + chunk - 1) / chunk;
  const std::shared_ptr<void> columns = allocate_aligned(depth * kRun * sizeof(float));
  const std::shared_ptr<void> packed = allocate_aligned(gemm.packed_bytes(depth, kRun));
  const std::shared_ptr<void> products = allocate_aligned(chunk * depth * sizeof(float) * static_cast<size_t>(pool.size()));
  auto* x = static_cast<float*>(columns.get());
  size_t bad = 0;
  for (size_t g = 0; g < c.groups; ++g) {
    double* to = moments + g * depth * depth;
    for (size_t first = 0; first < c.row_count; first += kRun) {
      const size_t count = std::min(kRun, c.row_count - first);
      if (count < kRun) std::fill(x, x + depth * kRun, 0.0f);
      gather(c, g, first, count, x);
      bad += add_sums(x, depth, count, sums + g * depth);
      gemm.pack(depth, kRun, x, kRun, 1, packed.get());
      parallel(pool, chunks, 1, [&](size_t begin, size_t end, int worker) {
        float* tile = static_cast<float*>(products.get()) + static_cast<size_t>(worker) * chunk * depth;
        for (size_t i = begin; i < end; ++i) {
          // From both ends inwards: rows of the triangle differ in length, and threads take contiguous runs of i.
          const size_t m0 = (i % 2 == 0 ? i / 2 : chunks - 1 - i / 2) * chunk;
          const size_t rows = std::min(chunk, depth - m0);
          const size_t n0 = m0 / gemm.n_step * gemm.n_step;
          GemmF32Args args;
          args.m = rows, args.n = depth, args.k = kRun;
          args.a = x + m0 * kRun, args.lda = kRun;
          args.packed_b = packed.get();
          args.c = tile, args.ldc = depth;
          gemm.gemm(args, 0, rows, n0, depth);
          for (size_t r = 0; r < rows; ++r) {
            for (size_t j = m0 + r; j < depth; ++j) to[(m0 + r) * depth + j] += tile[r * depth + j];
          }
        }
      });
    }
  }
  return bad;
}

}  // namespace cec
