// Counts the calls of `new` and keeps the largest size asked for. Apart from the tests, so that no call is inlined and taken for a mismatch of new and free.
#include <atomic>
#include <cstdlib>
#include <new>

namespace cec::test {
extern std::atomic<size_t> allocations, largest_allocation;
std::atomic<size_t> allocations{0}, largest_allocation{0};

static void count(size_t bytes) {
  ++allocations;
  for (size_t seen = largest_allocation; bytes > seen && !largest_allocation.compare_exchange_weak(seen, bytes);) {
  }
}
}  // namespace cec::test

using cec::test::count;

void* operator new(size_t bytes) {
  count(bytes);
  if (void* p = std::malloc(bytes == 0 ? 1 : bytes)) return p;
  throw std::bad_alloc();
}
void* operator new(size_t bytes, const std::nothrow_t&) noexcept {
  count(bytes);
  return std::malloc(bytes == 0 ? 1 : bytes);
}
void operator delete(void* p, const std::nothrow_t&) noexcept { std::free(p); }
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, size_t) noexcept { std::free(p); }
void* operator new(size_t bytes, std::align_val_t alignment) {
  count(bytes);
  const size_t a = static_cast<size_t>(alignment);
  if (void* p = std::aligned_alloc(a, (bytes + a - 1) / a * a)) return p;
  throw std::bad_alloc();
}
void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete(void* p, size_t, std::align_val_t) noexcept { std::free(p); }
