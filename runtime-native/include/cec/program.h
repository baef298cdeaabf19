// An immutable program: checked ops with prepacked weights. Shared by any number of sessions and threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "cec/tensor.h"

namespace cec {

class Op;

/// One operand or result of a program, as declared in its file.
struct ProgramTensor {
  std::string name;
  DType dtype = DType::none;
  /// -1 where the size is only known when it runs.
  std::vector<int64_t> dims;
  bool is_constant = false;
  /// Bytes of a constant; null for other tensors and for constants that are held only in packed form.
  const void* data = nullptr;
  size_t bytes = 0;
};

struct ProgramNode {
  std::string kind;
  std::string name;
  std::vector<int32_t> inputs;   ///< tensor ids; -1 for an absent operand
  std::vector<int32_t> outputs;  ///< tensor ids; -1 for a result that nobody wants
  std::shared_ptr<const Op> op;
};

struct LoadOptions {
  /// "" for the best that CPU and CEC_MAX_ISA allow, else the name of an ISA (see cpu_features.h) as upper bound.
  std::string isa;
};

class Program {
 public:
  /// Reads a `.cecb` file (format: program_format.md). The bytes may be freed afterwards: what is needed is copied or packed.
  /// Throws Error: CEC6001 for damaged bytes, CEC6002, CEC6003 for ops, CEC6004 for sizes, CEC6006 for memory.
  static std::shared_ptr<const Program> load(const void* bytes, size_t size, const LoadOptions& options = {});
  /// The same from a file, mapped into memory: constants that stay as they are in the file are read from there, so several processes share them. The file must
  /// not be changed while the program lives (replace it by renaming another over it). Throws as load, and CEC6007 for what is no readable file.
  static std::shared_ptr<const Program> map(const std::string& path, const LoadOptions& options = {});
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  const std::vector<ProgramTensor>& tensors() const { return tensors_; }
  const std::vector<ProgramNode>& nodes() const { return nodes_; }
  /// Tensor ids of the inputs, in order.
  const std::vector<int32_t>& inputs() const { return inputs_; }
  struct Output {
    std::string name;
    int32_t tensor;
  };
  const std::vector<Output>& outputs() const { return outputs_; }
  /// Tensor id of a name; -1 where there is none.
  int32_t find_tensor(const std::string& name) const;
  /// Index of the node that gives a tensor; -1 for inputs and constants.
  int32_t producer(int32_t tensor) const { return producers_[static_cast<size_t>(tensor)]; }
  /// Bytes held for constants in raw and in packed form.
  size_t constant_bytes() const { return constant_bytes_; }

 private:
  Program();
  friend class ProgramReader;

  std::vector<ProgramTensor> tensors_;
  std::vector<ProgramNode> nodes_;
  std::vector<int32_t> inputs_;
  std::vector<Output> outputs_;
  std::vector<int32_t> producers_;
  std::unordered_map<std::string, int32_t> names_;
  std::vector<std::shared_ptr<const void>> storage_;
  size_t constant_bytes_ = 0;
};

}  // namespace cec
