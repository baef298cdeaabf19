// Cholesky factorization in f64.
#pragma once

#include <cstddef>

#include "cec/thread_pool.h"

namespace cec {

/// Replaces the upper triangle of the symmetric a [n][n] by U with U^T U = a; below the diagonal nothing is read or written.
/// @return false where a is not positive definite (a is of no use then)
bool cholesky(double* a, size_t n, ThreadPool& pool);

}  // namespace cec
