#include "cec/thread_pool.h"

#include <algorithm>
#include <chrono>

#include "cec/error.h"

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#endif

namespace cec {
namespace {

// How long a thread looks at an atomic before it sleeps. Ops of one program publish jobs a few microseconds apart, runs of a busy session a few hundred. A
// thread that wakes may be put on the core of the one that woke it and stay there for milliseconds, so sleeping costs more than its two context switches.
constexpr auto kSpinTime = std::chrono::milliseconds(1);
// Pauses between looks at the clock. There the thread also yields: with more threads than cores, the one that it waits for may need this core.
constexpr int kPauses = 100;

inline void relax() {
#if defined(__x86_64__) || defined(__i386__)
  _mm_pause();
#endif
}

/// Waits for `done`, at most for the spin time; false when that is over.
template <typename Done>
bool spin_until(const Done& done) {
  const auto end = std::chrono::steady_clock::now() + kSpinTime;
  do {
    for (int i = 0; i < kPauses; ++i) {
      if (done()) return true;
      relax();
    }
    std::this_thread::yield();
  } while (std::chrono::steady_clock::now() < end);
  return done();
}

}  // namespace

ThreadPool::ThreadPool(int threads) : threads_(threads) {
  if (threads < 1 || threads > 256) {
    throw Error(codes::kArgument, "threads is " + std::to_string(threads) + "; it must be from 1 to 256");
  }
  errors_.resize(static_cast<size_t>(threads));
  workers_.reserve(static_cast<size_t>(threads - 1));
  try {
    for (int worker = 1; worker < threads; ++worker) workers_.emplace_back([this, worker] { work(worker); });
  } catch (...) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      stop_ = true;
    }
    wake_.notify_all();
    for (std::thread& thread : workers_) thread.join();
    throw Error(codes::kMemory, "the system refuses to start " + std::to_string(threads) + " threads; ask for fewer");
  }
}

ThreadPool::~ThreadPool() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : workers_) thread.join();
}

void ThreadPool::run_range(int worker) noexcept {
  if (worker >= parts_) return;
  const size_t n = count_;
  const size_t parts = static_cast<size_t>(parts_);
  const size_t index = static_cast<size_t>(worker);
  // The first n % parts ranges hold one index more.
  const size_t base = n / parts;
  const size_t extra = n % parts;
  const size_t begin = index * base + std::min(index, extra);
  const size_t end = begin + base + (index < extra ? 1 : 0);
  try {
    (*body_)(begin, end, worker);
  } catch (...) {
    errors_[index] = std::current_exception();
  }
}

void ThreadPool::work(int worker) {
  uint64_t seen = 0;
  for (;;) {
    uint64_t now = epoch_.load(std::memory_order_acquire);
    spin_until([&] { return (now = epoch_.load(std::memory_order_acquire)) != seen || stop_.load(std::memory_order_relaxed); });
    if (now == seen) {
      std::unique_lock<std::mutex> lock(mutex_);
      wake_.wait(lock, [&] { return stop_ || epoch_.load(std::memory_order_acquire) != seen; });
      now = epoch_.load(std::memory_order_acquire);
      if (now == seen) return;  // stopped
    }
    seen = now;
    run_range(worker);
    if (pending_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      std::lock_guard<std::mutex> lock(mutex_);
      done_.notify_one();
    }
  }
}

void ThreadPool::parallel_for(size_t n, FunctionRef<void(size_t, size_t, int)> body) {
  if (n == 0) return;
  if (threads_ == 1 || n == 1) {
    body(0, n, 0);
    return;
  }
  {
    std::lock_guard<std::mutex> lock(mutex_);
    body_ = &body;
    count_ = n;
    parts_ = static_cast<int>(std::min<size_t>(n, static_cast<size_t>(threads_)));
    pending_.store(threads_ - 1, std::memory_order_relaxed);
    epoch_.fetch_add(1, std::memory_order_release);
  }
  wake_.notify_all();
  run_range(0);
  if (!spin_until([&] { return pending_.load(std::memory_order_acquire) == 0; })) {
    std::unique_lock<std::mutex> lock(mutex_);
    done_.wait(lock, [&] { return pending_.load(std::memory_order_acquire) == 0; });
  }
  for (std::exception_ptr& error : errors_) {
    if (error == nullptr) continue;
    const std::exception_ptr first = error;
    for (std::exception_ptr& other : errors_) other = nullptr;
    std::rethrow_exception(first);
  }
}

}  // namespace cec
