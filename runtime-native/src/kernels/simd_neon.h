// The one place that includes AArch64 intrinsics, for files of one ISA only. The rules of simd.h hold.
#pragma once

#include <arm_neon.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace cec {
namespace {

constexpr size_t round_up(size_t value, size_t step) { return (value + step - 1) / step * step; }
constexpr size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

}  // namespace
}  // namespace cec
