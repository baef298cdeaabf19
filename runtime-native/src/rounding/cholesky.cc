#include "rounding/cholesky.h"

#include <algorithm>
#include <cmath>

#include "exec/op.h"

namespace cec {
namespace {

/// Rows that are finished together, and columns of the tile that takes what earlier rows contribute: a tile stays in the second-level cache.
constexpr size_t kRows = 32;
constexpr size_t kColumns = 256;

void subtract(double* row, const double* from, double factor, size_t n) {
  for (size_t j = 0; j < n; ++j) row[j] -= factor * from[j];
}

}  // namespace

bool cholesky(double* a, size_t n, ThreadPool& pool) {
  for (size_t i0 = 0; i0 < n; i0 += kRows) {
    const size_t i1 = std::min(n, i0 + kRows);
    parallel(pool, (n - i0 + kColumns - 1) / kColumns, 1, [&](size_t begin, size_t end, int) {
      for (size_t t = begin; t < end; ++t) {
        const size_t j0 = i0 + t * kColumns;
        const size_t j1 = std::min(n, j0 + kColumns);
        for (size_t k = 0; k < i0; ++k) {
          for (size_t i = i0; i < std::min(i1, j1); ++i) {
            const size_t from = std::max(i, j0);
            subtract(a + i * n + from, a + k * n + from, a[k * n + i], j1 - from);
          }
        }
      }
    });
    for (size_t i = i0; i < i1; ++i) {
      for (size_t k = i0; k < i; ++k) subtract(a + i * n + i, a + k * n + i, a[k * n + i], n - i);
      const double pivot = a[i * n + i];
      if (!(pivot > 0) || !std::isfinite(pivot)) return false;
      const double root = std::sqrt(pivot);
      for (size_t j = i; j < n; ++j) a[i * n + j] /= root;
    }
  }
  return true;
}

}  // namespace cec
