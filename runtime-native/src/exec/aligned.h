// Memory for tensors and packed weights: 64-byte aligned, owned by a shared_ptr.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <string>

#include "cec/error.h"

namespace cec {

inline constexpr size_t kAlignment = 64;

/// Uninitialized memory; never null, also for 0 bytes. Throws Error(CEC6006).
inline std::shared_ptr<void> allocate_aligned(size_t bytes) {
  const size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  void* memory = std::aligned_alloc(kAlignment, rounded == 0 ? kAlignment : rounded);
  if (memory == nullptr) throw Error(codes::kMemory, "there is no memory for " + std::to_string(bytes) + " bytes");
  return std::shared_ptr<void>(memory, std::free);
}

}  // namespace cec
