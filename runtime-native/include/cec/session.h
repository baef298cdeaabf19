// A session: one program, one thread pool, plans for the input shapes met so far.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cec/program.h"
#include "cec/tensor.h"

namespace cec {

class Observer;

struct SessionOptions {
  /// Threads that one run uses, counting the caller's. 1..256.
  int threads = 1;
  /// Names of intermediate tensors that every run returns after the program's outputs.
  std::vector<std::string> keep;
  /// Collect nanoseconds per op.
  bool profile = false;
  /// Pairs {input, output}: the output is the input's next value, and the caller gives one place for both. It is written there by its op where no op reads the input
  /// after that, else copied there when all ops have run. A run that fails leaves some updated and others not.
  std::vector<std::pair<std::string, std::string>> updates;
};

/// A tensor that the caller owns. `data` may be null when it has no elements. No alignment is asked for.
struct TensorView {
  DType dtype = DType::none;
  Shape shape;
  const void* data = nullptr;
};

/// Where results go: called once per output before any op runs, with the output's index and type; returns memory for
/// its bytes (not null unless there are none). That memory must live until the run is over.
using OutputAllocator = std::function<void*(size_t index, const TensorType& type)>;

struct OwnedTensor {
  TensorType type;
  std::shared_ptr<void> data;
};

struct OpProfile {
  std::string kind;
  std::string name;
  uint64_t nanoseconds = 0;
  uint64_t calls = 0;
};

/// Where a session keeps what its ops compute, at given input shapes: the plan that runs.
struct MemoryPlan {
  struct Buffer {
    std::string name;                ///< the tensor that comes first in it, or the op whose scratch it is
    std::vector<std::string> shares; ///< further tensors in the same bytes: in place, or another shape of them
    bool scratch = false;
    size_t offset = 0, bytes = 0;
    int32_t first = 0, last = 0;     ///< steps (indices of `steps`) from which and up to which the bytes are needed
  };
  std::vector<std::string> steps;    ///< names of the program's ops in the order that they run
  std::vector<Buffer> buffers;
  size_t arena_bytes = 0;
  size_t live_bytes = 0;             ///< largest sum of the bytes needed at one step: no arena can be smaller
  int32_t live_step = 0;             ///< that step
  size_t total_bytes = 0;            ///< without sharing
  size_t weight_bytes = 0;
  size_t output_bytes = 0;           ///< results, which are written to the caller's memory
};

class Session {
 public:
  /// Throws Error(CEC6007) for a wrong thread count or an unknown name in `keep`.
  Session(std::shared_ptr<const Program> program, SessionOptions options);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  const Program& program() const;
  /// The program's outputs, then the kept tensors.
  size_t output_count() const;
  const std::string& output_name(size_t index) const;

  /// Runs the program. `feeds` follow the order of program().inputs(). Calls from several threads take turns.
  /// The observer, if any, sees each tensor it watches as soon as it exists.
  /// `cancel`, if any, is looked at before each op: where it is not zero, the run ends with CEC6013.
  /// Throws Error: CEC6005 for feeds, CEC6004 and CEC6003 from ops, CEC6006, CEC6008, CEC6013.
  void run(const std::vector<TensorView>& feeds, const OutputAllocator& outputs, Observer* observer = nullptr, const std::atomic<int32_t>* cancel = nullptr);
  /// The same with results in fresh memory.
  std::vector<OwnedTensor> run(const std::vector<TensorView>& feeds, Observer* observer = nullptr);

  /// Time per op since the session began; empty without SessionOptions::profile.
  std::vector<OpProfile> profile() const;
  /// The plan for inputs of these shapes (contents are taken to be zero). Throws as run.
  MemoryPlan memory_plan(const std::vector<Shape>& inputs);
  /// Bytes of the arena that the latest plan uses.
  size_t arena_bytes() const;
  /// Bytes held for the arena: enough for the largest plan that has run. It grows and never shrinks.
  size_t arena_capacity() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cec
