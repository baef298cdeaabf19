// The one place that includes intrinsics, for files of one ISA only. With CEC_EMULATE_AVX512 (a test target, see
// cmake/kernels.cmake) the AVX-512 names come from SIMDe, so that those files run on machines without AVX-512.
#pragma once

#ifdef CEC_EMULATE_AVX512
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx2.h>
#include <simde/x86/avx512.h>
#include <simde/x86/fma.h>
#else
#include <immintrin.h>
#endif

#include <cstddef>
#include <cstdint>
#include <cstring>

// Helpers of ISA files live in unnamed namespaces and use no templates of the standard library: an inline function that is
// emitted there with AVX code could be the copy that the linker keeps for all other files.
namespace cec {
namespace {

constexpr size_t round_up(size_t value, size_t step) { return (value + step - 1) / step * step; }
constexpr size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

}  // namespace
}  // namespace cec
