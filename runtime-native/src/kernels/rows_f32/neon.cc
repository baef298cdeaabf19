// AArch64 Advanced SIMD, 8 lanes in two registers; sums in double.
#include <math.h>

#include "../simd_neon.h"
#include "rows_f32.h"

namespace cec {
namespace {

#include "../vec_f32_neon.inl"
#include "../math_f32.inl"

// Squares of f32 are exact in double, so that a sum of them is rounded once with or without FMA.
struct Sum {
  float64x2_t lanes[8] = {};
  void add(size_t v, Vec::Reg x) {
    float64x2_t* to = lanes + 4 * v;
    to[0] = vaddq_f64(to[0], vcvt_f64_f32(vget_low_f32(x.a)));
    to[1] = vaddq_f64(to[1], vcvt_high_f64_f32(x.a));
    to[2] = vaddq_f64(to[2], vcvt_f64_f32(vget_low_f32(x.b)));
    to[3] = vaddq_f64(to[3], vcvt_high_f64_f32(x.b));
  }
  void add_square(size_t v, Vec::Reg x) {
    float64x2_t* to = lanes + 4 * v;
    const float64x2_t parts[4] = {vcvt_f64_f32(vget_low_f32(x.a)), vcvt_high_f64_f32(x.a), vcvt_f64_f32(vget_low_f32(x.b)), vcvt_high_f64_f32(x.b)};
    for (int i = 0; i < 4; ++i) to[i] = vfmaq_f64(to[i], parts[i], parts[i]);
  }
  double total() const;
};

#include "functions.inl"

inline double Sum::total() const {
  double all[16];
  for (int i = 0; i < 8; ++i) vst1q_f64(all + 2 * i, lanes[i]);
  return fold(all);
}

}  // namespace

const RowsF32Variant rows_f32__neon_x8 = {"rows_f32__neon_x8", Isa::neon, softmax<Vec>, log_softmax<Vec>, layer_norm<Vec>};

}  // namespace cec
