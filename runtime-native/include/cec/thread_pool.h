// A fixed set of worker threads that run one static partition at a time.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace cec {

/// A reference to a callable, two pointers wide; never owns. The callable must outlive the call it is passed to.
template <typename Signature>
class FunctionRef;

template <typename R, typename... Args>
class FunctionRef<R(Args...)> {
 public:
  template <typename F, typename = std::enable_if_t<!std::is_same_v<std::decay_t<F>, FunctionRef>>>
  FunctionRef(F&& f)  // NOLINT(google-explicit-constructor): meant to convert from any lambda
      : object_(const_cast<void*>(static_cast<const void*>(std::addressof(f)))),
        call_([](void* object, Args... args) -> R {
          return (*static_cast<std::remove_reference_t<F>*>(object))(std::forward<Args>(args)...);
        }) {}
  R operator()(Args... args) const { return call_(object_, std::forward<Args>(args)...); }

 private:
  void* object_;
  R (*call_)(void*, Args...);
};

/// Runs `body(begin, end, worker)` over [0, n) in at most size() contiguous ranges.
///
/// The partition is static: it depends on n and size() only, and each index is visited exactly once, so work whose
/// value does not depend on where a range begins has the same result for any number of threads. The calling thread
/// takes part as worker 0. One parallel_for at a time per pool: a pool belongs to one running session. Nested calls
/// are not allowed. If bodies throw, the exception of the lowest worker is thrown again after all have ended.
class ThreadPool {
 public:
  /// @param threads 1..256, counting the calling thread; throws Error(CEC6007) outside of it.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return threads_; }
  void parallel_for(size_t n, FunctionRef<void(size_t begin, size_t end, int worker)> body);

 private:
  using Body = FunctionRef<void(size_t, size_t, int)>;
  void work(int worker);
  void run_range(int worker) noexcept;

  const int threads_;
  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable done_;
  // A job is published by raising epoch_ after its fields are written, and is done when pending_ falls to 0.
  std::atomic<uint64_t> epoch_{0};
  std::atomic<int> pending_{0};
  std::atomic<bool> stop_{false};
  const Body* body_ = nullptr;
  size_t count_ = 0;
  int parts_ = 0;
  std::vector<std::exception_ptr> errors_;
};

}  // namespace cec
