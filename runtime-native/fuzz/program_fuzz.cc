// Fuzz target: bytes as a program file, loaded and, where they are one, planned and run at two sets of shapes. Only cec::Error may come out.
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <random>
#include <vector>

#include "cec/error.h"
#include "cec/program.h"
#include "cec/session.h"

#ifdef CEC_LIBFUZZER
#include "mutate.h"
extern "C" size_t LLVMFuzzerMutate(uint8_t* bytes, size_t size, size_t room);
#endif

// The machine that the fuzzer plays: one that refuses large pieces of memory, which must end as an Error. While a file is loaded such a wish is a fault, as
// nothing in a small file is a reason for it.
namespace {
constexpr size_t kLargestPiece = size_t{1} << 28, kLargestPieceOfReader = size_t{1} << 26;
std::atomic<bool> loading{false};

void* take(size_t bytes) {
  if (loading && bytes > kLargestPieceOfReader) {
    std::fprintf(stderr, "the reader asks for %zu bytes\n", bytes);
    std::abort();
  }
  void* p = bytes > kLargestPiece ? nullptr : std::malloc(bytes == 0 ? 1 : bytes);
  if (p == nullptr) throw std::bad_alloc();
  return p;
}
}  // namespace
void* operator new(size_t bytes) { return take(bytes); }
void* operator new[](size_t bytes) { return take(bytes); }
void* operator new(size_t bytes, const std::nothrow_t&) noexcept { return bytes > kLargestPiece ? nullptr : std::malloc(bytes == 0 ? 1 : bytes); }
void* operator new[](size_t bytes, const std::nothrow_t& tag) noexcept { return operator new(bytes, tag); }
void operator delete(void* p) noexcept { std::free(p); }
void operator delete[](void* p) noexcept { std::free(p); }
void operator delete(void* p, size_t) noexcept { std::free(p); }
void operator delete[](void* p, size_t) noexcept { std::free(p); }
void operator delete(void* p, const std::nothrow_t&) noexcept { std::free(p); }
void operator delete[](void* p, const std::nothrow_t&) noexcept { std::free(p); }
extern "C" const char* __asan_default_options() { return "allocator_may_return_null=1:max_allocation_size_mb=256:alloc_dealloc_mismatch=0"; }

namespace {

// A valid file may ask for much: what is tested is the reader, the planner and the ops, not the machine.
constexpr size_t kMaxBytes = size_t{1} << 16;

/// Contents of a feed: zeros, small numbers (so that indices and shapes are often good ones), or any bits.
std::vector<uint8_t> contents(cec::DType type, size_t bytes, std::mt19937& random) {
  std::vector<uint8_t> data(bytes);
  const unsigned how = random() % 3;
  if (how == 1) {
    const size_t step = cec::size_of(type);
    for (size_t i = 0; i < bytes; i += step) {
      const int v = type == cec::DType::boolean ? static_cast<int>(random() % 2) : static_cast<int>(random() % 7) - (random() % 4 == 0 ? 3 : 0);
      if (type == cec::DType::f32) {
        const float f = static_cast<float>(v) * 0.75f;
        std::memcpy(&data[i], &f, 4);
      } else {
        const int64_t wide = v;
        std::memcpy(&data[i], &wide, step);
      }
    }
  } else if (how == 2) {
    for (uint8_t& b : data) b = static_cast<uint8_t>(random());
  }
  return data;
}

void run_once(cec::Session& session, int64_t dynamic, std::mt19937& random) {
  const cec::Program& program = session.program();
  std::vector<cec::Shape> shapes;
  std::vector<std::vector<uint8_t>> data;
  std::vector<cec::TensorView> feeds;
  size_t total = 0;
  for (const int32_t id : program.inputs()) {
    const cec::ProgramTensor& t = program.tensors()[static_cast<size_t>(id)];
    cec::Shape shape;
    for (const int64_t d : t.dims) shape.push_back(d < 0 ? dynamic : d);
    const size_t wanted = cec::checked_bytes(t.dtype, shape);
    if (wanted > kMaxBytes) return;
    total += wanted;
    if (total > 4 * kMaxBytes) return;
    shapes.push_back(shape);
    data.push_back(contents(t.dtype, wanted, random));
    feeds.push_back({t.dtype, shape, data.back().data()});
  }
  const cec::MemoryPlan plan = session.memory_plan(shapes);
  if (plan.arena_bytes + plan.output_bytes > kMaxBytes) return;
  // Results in memory of exactly their size.
  std::vector<std::unique_ptr<uint8_t[]>> results(session.output_count());
  session.run(feeds, [&](size_t i, const cec::TensorType& type) -> void* {
    if (type.bytes() > kMaxBytes) throw cec::Error(cec::codes::kMemory, "more than the fuzzer gives");
    results[i].reset(new uint8_t[type.bytes()]);
    return results[i].get();
  });
}

void run(const uint8_t* bytes, size_t size) {
  // An exact copy on the heap: a read past the end is one past an allocation.
  const std::unique_ptr<uint8_t[]> copy(new uint8_t[size]);
  if (size != 0) std::memcpy(copy.get(), bytes, size);
  struct Loading {
    Loading() { loading = true; }
    ~Loading() { loading = false; }
  };
  std::shared_ptr<const cec::Program> program;
  {
    const Loading now;
    program = cec::Program::load(copy.get(), size);
  }
  uint32_t seed = 0;
  for (size_t i = 0; i < size; ++i) seed = seed * 31 + bytes[i];
  std::mt19937 random(seed);
  cec::SessionOptions options;
  options.threads = 1 + static_cast<int>(random() % 2);
  cec::Session session(program, options);
  for (const int64_t dynamic : {2, 3}) {
    try {
      run_once(session, dynamic, random);
    } catch (const cec::Error&) {  // the session must go on after it
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  try {
    run(bytes, size);
  } catch (const cec::Error&) {
  }
  return 0;
}

#ifdef CEC_LIBFUZZER
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* bytes, size_t size, size_t room, unsigned seed) {
  return seed % 8 == 0 ? LLVMFuzzerMutate(bytes, size, room) : cec_mutate(bytes, size, room, seed);
}
#endif
