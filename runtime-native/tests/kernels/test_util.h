// What the kernel tests share: buffers that end at an unmapped page, seeded data, lists of variants, shapes.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "kernels/kernels.h"

namespace cec::test {

/// n elements whose last byte is followed by a page that may not be touched: reading or writing beyond the end is a crash.
template <class T>
class Guarded {
 public:
  explicit Guarded(size_t n) : size_(n) {
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    const size_t bytes = n * sizeof(T);
    mapped_ = (bytes + page - 1) / page * page + page;
    base_ = static_cast<uint8_t*>(mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (base_ == MAP_FAILED) std::abort();
    if (mprotect(base_ + mapped_ - page, page, PROT_NONE) != 0) std::abort();
    data_ = reinterpret_cast<T*>(base_ + mapped_ - page - bytes);
  }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;
  ~Guarded() { munmap(base_, mapped_); }
  T* data() { return data_; }
  const T* data() const { return data_; }
  size_t size() const { return size_; }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }

 private:
  size_t size_, mapped_;
  uint8_t* base_;
  T* data_;
};

/// Packed weights: 64-byte aligned, ending at an unmapped page (all sizes are multiples of 64).
using Packed = Guarded<uint8_t>;

using Random = std::mt19937;

template <class Buffer>
void fill_uniform(Buffer& buffer, Random& random, float lo = -1.0f, float hi = 1.0f) {
  std::uniform_real_distribution<float> d(lo, hi);
  for (size_t i = 0; i < buffer.size(); ++i) buffer[i] = d(random);
}

template <class Buffer>
void fill_bytes(Buffer& buffer, Random& random) {
  for (size_t i = 0; i < buffer.size(); ++i) buffer[i] = static_cast<std::decay_t<decltype(buffer[i])>>(random());
}

/// Can a variant of this level run in this program: on the machine, or by emulation.
inline bool runnable(Isa isa) {
#ifdef CEC_EMULATE_AVX512
  if (isa_includes(isa, Isa::avx512)) return isa_supported(Isa::avx2);
#endif
  return isa_supported(isa);
}

#define CEC_SKIP_UNLESS_RUNNABLE(variant) \
  if (!::cec::test::runnable((variant)->isa)) GTEST_SKIP() << "this machine has no " << isa_name((variant)->isa)

template <class Info>
std::string variant_name(const Info& info) {
  return info.param->name;
}

}  // namespace cec::test
