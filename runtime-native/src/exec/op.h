// What an op implements, and what it sees while it is created, prepared and run.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "cec/error.h"
#include "cec/program.h"
#include "cec/tensor.h"
#include "cec/thread_pool.h"
#include "kernels/kernels.h"

namespace cec {

/// Rejects an op: operands or attributes that it cannot take. The caller adds the op's kind and name.
[[noreturn]] void reject(const std::string& what);
/// Rejects shapes.
[[noreturn]] void reject_shape(const std::string& what);

struct Attr {
  enum Kind : uint32_t { kInt = 1, kFloat = 2, kInts = 3, kFloats = 4, kString = 5, kStrings = 6 };
  Kind kind = kInt;
  int64_t i = 0;
  double f = 0;
  std::vector<int64_t> ints;
  std::vector<double> floats;
  std::string s;
  std::vector<std::string> strings;
};

/// Attributes of one op; the getters reject wrong types with the attribute's name.
class Attrs {
 public:
  void add(std::string key, Attr value) { items_.emplace_back(std::move(key), std::move(value)); }
  bool has(const char* key) const { return find(key) != nullptr; }
  int64_t integer(const char* key, int64_t otherwise) const;
  int64_t integer(const char* key) const;  ///< required
  /// An integer within [low, high], for what is held in an int.
  int bounded(const char* key, int64_t otherwise, int64_t low, int64_t high) const;
  bool flag(const char* key, bool otherwise) const { return integer(key, otherwise ? 1 : 0) != 0; }
  double number(const char* key, double otherwise) const;
  double number(const char* key) const;  ///< required
  std::vector<int64_t> integers(const char* key, std::vector<int64_t> otherwise) const;
  std::string text(const char* key, const std::string& otherwise) const;
  std::vector<std::string> texts(const char* key) const;
  const Attr* find(const char* key) const;

 private:
  std::vector<std::pair<std::string, Attr>> items_;
};

struct Constant {
  TensorType type;
  const void* data = nullptr;
  template <typename T>
  const T* as() const {
    return static_cast<const T*>(data);
  }
};

/// While a program is loaded: attributes and constants are checked, weights are packed.
class CreateContext {
 public:
  std::string kind;
  const Attrs* attributes = nullptr;
  const KernelTable* kernel_table = nullptr;
  struct Operand {
    bool present = false;
    DType dtype = DType::none;
    std::vector<int64_t> dims;
    const Constant* constant = nullptr;  // null unless the operand is a constant
  };
  std::vector<Operand> operands;
  std::vector<DType> results;  // declared element types; none where the result is not wanted
  std::vector<bool> absorbed;

  const Attrs& attrs() const { return *attributes; }
  /// Kernels of the program's ISA; packed weights belong to it.
  const KernelTable& kernels() const { return *kernel_table; }
  int inputs() const { return static_cast<int>(operands.size()); }
  int outputs() const { return static_cast<int>(results.size()); }
  bool has(int i) const { return i < inputs() && operands[static_cast<size_t>(i)].present; }
  bool is_constant(int i) const { return has(i) && operands[static_cast<size_t>(i)].constant != nullptr; }
  DType dtype(int i) const { return has(i) ? operands[static_cast<size_t>(i)].dtype : DType::none; }
  /// The constant operand i; rejects the op when it is none.
  const Constant& constant(int i, const char* role) const;
  /// The op has taken its own form of constant operand i: `run` will not ask for it.
  void absorb(int i) { absorbed[static_cast<size_t>(i)] = true; }
};

/// What a plan keeps for one op.
struct OpState {
  virtual ~OpState() = default;
};

/// Thrown (and caught by the planner) when an op's shape depends on a value that is not known yet.
struct NeedValue {
  int32_t tensor;
};

/// While a plan is made for actual shapes.
class PrepareContext {
 public:
  struct Operand {
    int32_t tensor = -1;
    const TensorType* type = nullptr;
    const void* value = nullptr;  // null unless known
  };
  std::vector<Operand> operands;
  std::vector<TensorType> results;
  std::vector<bool> wanted;
  std::unique_ptr<OpState> state;
  size_t scratch_bytes = 0;
  int view_of = -1;                // result 0 is operand view_of under another shape
  std::vector<int> inplace_with;   // result 0 may share memory with any of these operands
  /// {result, operand}: the result may be written over the operand's bytes where the caller keeps both in one place (SessionOptions::updates).
  std::vector<std::pair<int, int>> overwrites;
  int thread_count = 1;

  int inputs() const { return static_cast<int>(operands.size()); }
  int outputs() const { return static_cast<int>(results.size()); }
  bool has(int i) const { return i < inputs() && operands[static_cast<size_t>(i)].tensor >= 0; }
  bool wants(int i) const { return i < outputs() && wanted[static_cast<size_t>(i)]; }
  /// Type of operand i; rejects the op when it is absent.
  const TensorType& input(int i) const;
  const Shape& shape(int i) const { return input(i).shape; }
  DType dtype(int i) const { return input(i).dtype; }
  bool known(int i) const { return has(i) && (operands[static_cast<size_t>(i)].value != nullptr || input(i).count() == 0); }
  /// Bytes of operand i; when they are not known yet, planning starts again with them computed first.
  const void* value(int i) const;
  /// Operand i (i32 or i64, rank 0 or 1) as integers; the same.
  std::vector<int64_t> ints(int i) const;
  int64_t scalar_int(int i) const;
  void expect(int i, DType type) const;
  void output(int i, DType dtype, const Shape& shape);
  /// Scratch memory for `run`, 64-byte aligned. Total of all calls; each call gives the offset of its part.
  size_t scratch(size_t bytes);
  int threads() const { return thread_count; }
};

class RunContext {
 public:
  const void* const* in = nullptr;
  const TensorType* const* in_types = nullptr;
  void* const* out = nullptr;
  const TensorType* const* out_types = nullptr;
  int in_count = 0;
  int out_count = 0;
  const OpState* op_state = nullptr;
  char* scratch_base = nullptr;
  ThreadPool* thread_pool = nullptr;

  bool has(int i) const { return i < in_count && in_types[i] != nullptr; }
  bool wants(int i) const { return i < out_count && out_types[i] != nullptr; }
  const TensorType& input(int i) const { return *in_types[i]; }
  const TensorType& output(int i) const { return *out_types[i]; }
  template <typename T>
  const T* src(int i) const {
    return static_cast<const T*>(in[i]);
  }
  template <typename T>
  T* dst(int i) const {
    return static_cast<T*>(out[i]);
  }
  template <typename T>
  const T& state() const {
    return static_cast<const T&>(*op_state);
  }
  template <typename T>
  T* scratch(size_t offset) const {
    return reinterpret_cast<T*>(scratch_base + offset);
  }
  ThreadPool& pool() const { return *thread_pool; }
};

/// One op of one program: immutable, shared by sessions. Constructed from a CreateContext.
class Op {
 public:
  virtual ~Op() = default;
  virtual void prepare(PrepareContext& ctx) const = 0;
  virtual void run(RunContext& ctx) const = 0;
  /// Bytes of packed weights.
  virtual size_t packed_bytes() const { return 0; }
  /// False where the result depends on the shapes of the operands only: it is known when a plan is made, whatever the operands hold.
  virtual bool reads_operands() const { return true; }
};

struct OpKind {
  const char* kind;
  int min_inputs, max_inputs;  // max -1: any number
  int min_outputs, max_outputs;
  std::shared_ptr<const Op> (*create)(CreateContext& ctx);
  /// An operand below min_inputs that may be absent all the same (a bias before a required scale); -1: none.
  int optional = -1;
};

template <typename T>
std::shared_ptr<const Op> create_op(CreateContext& ctx) {
  return std::make_shared<const T>(ctx);
}

/// The kinds of one file under ops/.
struct OpList {
  const OpKind* begin;
  size_t size;
};

/// The op kind of that name; null where there is none.
const OpKind* find_op(const std::string& kind);
/// All kinds, sorted by name.
std::vector<const OpKind*> all_ops();

/// Indices [0, n) split over the pool in blocks of at least `grain` indices; serial when there is too little work.
template <typename F>
void parallel(ThreadPool& pool, size_t n, size_t grain, F&& body) {
  if (n == 0) return;
  const size_t blocks = (n + grain - 1) / grain;
  if (blocks <= 1 || pool.size() == 1) {
    body(size_t{0}, n, 0);
    return;
  }
  // A few more blocks than threads would not help a static partition: ranges are contiguous runs of blocks.
  auto ranges = [&](size_t begin, size_t end, int worker) { body(begin * grain, end * grain < n ? end * grain : n, worker); };
  pool.parallel_for(blocks, ranges);
}

}  // namespace cec
