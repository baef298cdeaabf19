// The reference: the same steps as every other variant, one lane in plain C++.
#include <math.h>

#include <cmath>
#include <cstdint>
#include <cstring>

#include "rows_f32.h"

namespace cec {
namespace {

#include "../vec_f32_scalar.inl"
#include "../math_f32.inl"

// Squares of f32 are exact in double, so that a sum of them is rounded once with or without FMA.
struct Sum {
  double lanes[16] = {};
  void add(size_t v, float x) { lanes[v] += static_cast<double>(x); }
  void add_square(size_t v, float x) { lanes[v] += static_cast<double>(x) * static_cast<double>(x); }
  double total() const;
};

#include "functions.inl"

inline double Sum::total() const {
  double copy[16];
  std::memcpy(copy, lanes, sizeof(copy));
  return fold(copy);
}

}  // namespace

const RowsF32Variant rows_f32__scalar = {"rows_f32__scalar", Isa::scalar, softmax<Vec>, log_softmax<Vec>, layer_norm<Vec>};

}  // namespace cec
