// Reads and checks program files. See include/cec/program_format.md.
#include "cec/program.h"

#include <algorithm>
#include <cstring>
#include <unordered_set>

#include "exec/aligned.h"
#include "exec/mapped_file.h"
#include "exec/op.h"

namespace cec {
namespace {

constexpr uint32_t kVersion = 1;
constexpr uint32_t kMaxOps = 65536;
constexpr uint32_t kMaxItems = 1 << 20;

[[noreturn]] void damaged(const std::string& what) {
  throw Error(codes::kFormat, "the program file is damaged: " + what + "; build it again with `cec build`");
}

/// Reads little-endian values and checks each against the end of the bytes.
class Bytes {
 public:
  Bytes(const uint8_t* data, size_t size) : data_(data), size_(size) {}
  const uint8_t* take(size_t n, const char* what) {
    if (n > size_ - at_) damaged(std::string("it ends inside ") + what);
    const uint8_t* from = data_ + at_;
    at_ += n;
    return from;
  }
  template <typename T>
  T read(const char* what) {
    T value;
    std::memcpy(&value, take(sizeof(T), what), sizeof(T));
    return value;
  }
  /// A count of items that take at least `least` bytes each: rejected before anything is allocated for it.
  uint32_t count(uint32_t limit, size_t least, const char* what) {
    const uint32_t n = read<uint32_t>(what);
    if (n > limit || n > (size_ - at_) / least) damaged("it announces " + std::to_string(n) + " " + what);
    return n;
  }
  size_t left() const { return size_ - at_; }

 private:
  const uint8_t* data_;
  size_t size_;
  size_t at_ = 0;
};

bool is_element_type(uint8_t type) { return size_of(static_cast<DType>(type)) != 0; }

}  // namespace

class ProgramReader {
 public:
  /// `mapping` owns the bytes where the program may go on reading them; null: what is needed is copied.
  ProgramReader(const uint8_t* bytes, size_t size, const LoadOptions& options, std::shared_ptr<const void> mapping = nullptr)
      : bytes_(bytes), size_(size), program_(new Program()), mapping_(std::move(mapping)) {
    Isa isa = active_isa();
    if (!options.isa.empty()) {
      Isa wanted = isa;
      if (!parse_isa(options.isa.c_str(), &wanted)) {
        throw Error(codes::kArgument, "\"" + options.isa + "\" is no instruction set; use one of " + isa_names());
      }
      const Isa best = best_isa(wanted);
      if (best < isa) isa = best;
    }
    kernels_ = &kernels_for(isa);
  }

  std::shared_ptr<const Program> read() {
    header();
    Bytes tables(bytes_ + kHeaderBytes, tables_size_);
    read_strings(tables);
    read_tensors(tables);
    read_ops(tables);
    read_interface(tables);
    if (tables.left() != 0) damaged("there are bytes after the tables");
    check_order();
    create_ops();
    keep_constants();
    return program_;
  }

 private:
  static constexpr size_t kHeaderBytes = 48;

  struct RawOp {
    Attrs attrs;
  };

  void header() {
    if (bytes_ == nullptr || size_ < kHeaderBytes) damaged("it has " + std::to_string(size_) + " bytes, less than a header");
    Bytes in(bytes_, kHeaderBytes);
    if (std::memcmp(in.take(4, "the header"), "CECB", 4) != 0) throw Error(codes::kFormat, "this is no program file: it does not begin with CECB");
    const uint32_t version = in.read<uint32_t>("the header");
    if (version != kVersion) {
      throw Error(codes::kFormat, "the program file has version " + std::to_string(version) + "; this engine reads version 1. Build it again with `cec build`");
    }
    const uint64_t total = in.read<uint64_t>("the header");
    const uint64_t tables_at = in.read<uint64_t>("the header");
    const uint64_t tables_size = in.read<uint64_t>("the header");
    const uint64_t blobs_at = in.read<uint64_t>("the header");
    const uint64_t blobs_size = in.read<uint64_t>("the header");
    if (total != size_) damaged("it has " + std::to_string(size_) + " bytes, its header says " + std::to_string(total));
    if (tables_at != kHeaderBytes || tables_size > size_ - kHeaderBytes) damaged("its tables lie outside of it");
    if (blobs_at % 64 != 0 || blobs_at < kHeaderBytes + tables_size || blobs_at > size_ || blobs_size != size_ - blobs_at) damaged("its constants lie outside of it");
    tables_size_ = static_cast<size_t>(tables_size);
    blobs_ = bytes_ + blobs_at;
    blobs_size_ = static_cast<size_t>(blobs_size);
  }

  void read_strings(Bytes& in) {
    const uint32_t n = in.count(kMaxItems, 4, "strings");
    strings_.reserve(n);
    for (uint32_t i = 0; i < n; ++i) {
      const uint32_t length = in.read<uint32_t>("a string");
      const uint8_t* from = in.take(length, "a string");
      strings_.emplace_back(reinterpret_cast<const char*>(from), length);
    }
  }

  const std::string& string(uint32_t index) const {
    if (index >= strings_.size()) damaged("it names string " + std::to_string(index) + " of " + std::to_string(strings_.size()));
    return strings_[index];
  }

  void read_tensors(Bytes& in) {
    const uint32_t n = in.count(kMaxItems, 8, "tensors");
    program_->tensors_.resize(n);
    constants_.resize(n);
    for (uint32_t i = 0; i < n; ++i) {
      ProgramTensor& tensor = program_->tensors_[i];
      tensor.name = string(in.read<uint32_t>("a tensor"));
      if (!program_->names_.emplace(tensor.name, static_cast<int32_t>(i)).second) damaged("two tensors are called \"" + tensor.name + "\"");
      const uint8_t dtype = in.read<uint8_t>("a tensor");
      const uint8_t rank = in.read<uint8_t>("a tensor");
      const uint8_t constant = in.read<uint8_t>("a tensor");
      const uint8_t zero = in.read<uint8_t>("a tensor");
      if (!is_element_type(dtype)) damaged("tensor \"" + tensor.name + "\" has the unknown element type " + std::to_string(dtype));
      if (rank > kMaxRank || constant > 1 || zero != 0) damaged("tensor \"" + tensor.name + "\" has wrong flags");
      tensor.dtype = static_cast<DType>(dtype);
      tensor.is_constant = constant == 1;
      for (int d = 0; d < rank; ++d) {
        const int64_t dim = in.read<int64_t>("a tensor's dimensions");
        if (dim < (tensor.is_constant ? 0 : -1) || dim > kMaxTensorBytes) damaged("tensor \"" + tensor.name + "\" has the dimension " + std::to_string(dim));
        tensor.dims.push_back(dim);
      }
      if (!tensor.is_constant) continue;
      const uint64_t offset = in.read<uint64_t>("a constant");
      const uint64_t bytes = in.read<uint64_t>("a constant");
      if (offset % 64 != 0 || offset > blobs_size_ || bytes > blobs_size_ - offset) damaged("the bytes of constant \"" + tensor.name + "\" lie outside of it");
      const Shape shape(tensor.dims);
      size_t want = 0;
      try {
        want = checked_bytes(tensor.dtype, shape);
      } catch (const Error& error) {
        damaged("constant \"" + tensor.name + "\": " + error.what());
      }
      if (want != bytes) {
        damaged("constant \"" + tensor.name + "\" " + TensorType{tensor.dtype, shape}.to_string() + " takes " + std::to_string(want) + " bytes, it has " + std::to_string(bytes));
      }
      tensor.bytes = want;
      tensor.data = blobs_ + offset;
      if (tensor.dtype == DType::boolean) {
        for (size_t k = 0; k < want; ++k) {
          if (blobs_[offset + k] > 1) damaged("constant \"" + tensor.name + "\" holds a bool that is neither 0 nor 1");
        }
      }
      constants_[i] = Constant{TensorType{tensor.dtype, shape}, tensor.data};
    }
  }

  std::vector<int32_t> read_ids(Bytes& in, size_t n, const char* what) {
    std::vector<int32_t> ids(n);
    for (int32_t& id : ids) {
      id = in.read<int32_t>(what);
      if (id < -1 || id >= static_cast<int32_t>(program_->tensors_.size())) damaged("an op names tensor " + std::to_string(id) + " of " + std::to_string(program_->tensors_.size()));
    }
    return ids;
  }

  Attr read_attr(Bytes& in) {
    Attr attr;
    const uint32_t kind = in.read<uint32_t>("an attribute");
    attr.kind = static_cast<Attr::Kind>(kind);
    switch (kind) {
      case Attr::kInt: attr.i = in.read<int64_t>("an attribute"); break;
      case Attr::kFloat: attr.f = in.read<double>("an attribute"); break;
      case Attr::kInts: {
        attr.ints.resize(in.count(kMaxItems, 8, "attribute values"));
        for (int64_t& v : attr.ints) v = in.read<int64_t>("an attribute");
        break;
      }
      case Attr::kFloats: {
        attr.floats.resize(in.count(kMaxItems, 8, "attribute values"));
        for (double& v : attr.floats) v = in.read<double>("an attribute");
        break;
      }
      case Attr::kString: attr.s = string(in.read<uint32_t>("an attribute")); break;
      case Attr::kStrings: {
        attr.strings.resize(in.count(kMaxItems, 4, "attribute values"));
        for (std::string& v : attr.strings) v = string(in.read<uint32_t>("an attribute"));
        break;
      }
      default: damaged("an attribute has the unknown type " + std::to_string(kind));
    }
    return attr;
  }

  void read_ops(Bytes& in) {
    const uint32_t n = in.count(kMaxOps, 16, "ops");
    program_->nodes_.resize(n);
    raw_.resize(n);
    for (uint32_t i = 0; i < n; ++i) {
      ProgramNode& node = program_->nodes_[i];
      node.kind = string(in.read<uint32_t>("an op"));
      node.name = string(in.read<uint32_t>("an op"));
      const uint16_t inputs = in.read<uint16_t>("an op");
      const uint16_t outputs = in.read<uint16_t>("an op");
      const uint16_t attrs = in.read<uint16_t>("an op");
      if (in.read<uint16_t>("an op") != 0) damaged("op \"" + node.name + "\" has wrong flags");
      node.inputs = read_ids(in, inputs, "an op's operands");
      node.outputs = read_ids(in, outputs, "an op's results");
      for (uint16_t a = 0; a < attrs; ++a) {
        const std::string& key = string(in.read<uint32_t>("an attribute"));
        if (raw_[i].attrs.has(key.c_str())) damaged("op \"" + node.name + "\" has attribute " + key + " twice");
        raw_[i].attrs.add(key, read_attr(in));
      }
    }
  }

  void read_interface(Bytes& in) {
    const int32_t tensors = static_cast<int32_t>(program_->tensors_.size());
    const uint32_t inputs = in.count(kMaxItems, 4, "inputs");
    for (uint32_t i = 0; i < inputs; ++i) {
      const int32_t id = in.read<int32_t>("an input");
      if (id < 0 || id >= tensors) damaged("an input names no tensor");
      program_->inputs_.push_back(id);
    }
    const uint32_t outputs = in.count(kMaxItems, 8, "outputs");
    std::unordered_set<std::string> names;
    for (uint32_t i = 0; i < outputs; ++i) {
      const int32_t id = in.read<int32_t>("an output");
      const std::string& name = string(in.read<uint32_t>("an output"));
      if (id < 0 || id >= tensors) damaged("an output names no tensor");
      if (!names.insert(name).second) damaged("two outputs are called \"" + name + "\"");
      program_->outputs_.push_back({name, id});
    }
  }

  /// Each tensor has exactly one source, which comes before its uses.
  void check_order() {
    enum : uint8_t { kNone, kGiven };
    std::vector<uint8_t> state(program_->tensors_.size(), kNone);
    program_->producers_.assign(program_->tensors_.size(), -1);
    auto give = [&](int32_t id) {
      if (state[static_cast<size_t>(id)] == kGiven) damaged("tensor \"" + program_->tensors_[static_cast<size_t>(id)].name + "\" has two sources");
      state[static_cast<size_t>(id)] = kGiven;
    };
    for (size_t i = 0; i < program_->tensors_.size(); ++i) {
      if (program_->tensors_[i].is_constant) give(static_cast<int32_t>(i));
    }
    for (int32_t id : program_->inputs_) give(id);
    for (size_t n = 0; n < program_->nodes_.size(); ++n) {
      const ProgramNode& node = program_->nodes_[n];
      for (int32_t id : node.inputs) {
        if (id >= 0 && state[static_cast<size_t>(id)] != kGiven) {
          damaged("op \"" + node.name + "\" (" + node.kind + ") reads \"" + program_->tensors_[static_cast<size_t>(id)].name + "\" before it exists");
        }
      }
      for (int32_t id : node.outputs) {
        if (id < 0) continue;
        give(id);
        program_->producers_[static_cast<size_t>(id)] = static_cast<int32_t>(n);
      }
    }
    for (const Program::Output& output : program_->outputs_) {
      if (state[static_cast<size_t>(output.tensor)] != kGiven) damaged("output \"" + output.name + "\" has no source");
    }
  }

  void create_ops() {
    const size_t tensors = program_->tensors_.size();
    needed_.assign(tensors, false);
    for (const Program::Output& output : program_->outputs_) needed_[static_cast<size_t>(output.tensor)] = true;
    for (size_t n = 0; n < program_->nodes_.size(); ++n) {
      ProgramNode& node = program_->nodes_[n];
      const std::string where = "op \"" + node.name + "\" (" + node.kind + ")";
      const OpKind* kind = find_op(node.kind);
      if (kind == nullptr) throw Error(codes::kUnknownOp, where + ": the native engine has no op of this kind; run the model with --engine ort");
      const int inputs = static_cast<int>(node.inputs.size());
      const int outputs = static_cast<int>(node.outputs.size());
      if (inputs < kind->min_inputs || (kind->max_inputs >= 0 && inputs > kind->max_inputs)) {
        throw Error(codes::kOpInvalid, where + " has " + std::to_string(inputs) + " operands; it takes " + std::to_string(kind->min_inputs) +
                                           (kind->max_inputs < 0 ? " or more" : " to " + std::to_string(kind->max_inputs)));
      }
      if (outputs < kind->min_outputs || (kind->max_outputs >= 0 && outputs > kind->max_outputs)) {
        throw Error(codes::kOpInvalid, where + " has " + std::to_string(outputs) + " results; it gives " + std::to_string(kind->min_outputs) +
                                           (kind->max_outputs < 0 ? " or more" : " to " + std::to_string(kind->max_outputs)));
      }
      if (std::all_of(node.outputs.begin(), node.outputs.end(), [](int32_t id) { return id < 0; })) throw Error(codes::kOpInvalid, where + ": nobody wants its results");
      CreateContext ctx;
      ctx.kind = node.kind;
      ctx.attributes = &raw_[n].attrs;
      ctx.kernel_table = kernels_;
      for (int i = 0; i < inputs; ++i) {
        CreateContext::Operand operand;
        const int32_t id = node.inputs[static_cast<size_t>(i)];
        if (id < 0 && i < kind->min_inputs && i != kind->optional) throw Error(codes::kOpInvalid, where + ": operand " + std::to_string(i) + " is missing");
        if (id >= 0) {
          const ProgramTensor& tensor = program_->tensors_[static_cast<size_t>(id)];
          operand.present = true;
          operand.dtype = tensor.dtype;
          operand.dims = tensor.dims;
          if (tensor.is_constant) operand.constant = &constants_[static_cast<size_t>(id)];
        }
        ctx.operands.push_back(std::move(operand));
      }
      for (int32_t id : node.outputs) ctx.results.push_back(id < 0 ? DType::none : program_->tensors_[static_cast<size_t>(id)].dtype);
      ctx.absorbed.assign(static_cast<size_t>(inputs), false);
      try {
        node.op = kind->create(ctx);
      } catch (const Error& error) {
        throw Error(error.code, where + ": " + error.what());
      }
      program_->constant_bytes_ += node.op->packed_bytes();
      for (int i = 0; i < inputs; ++i) {
        const int32_t id = node.inputs[static_cast<size_t>(i)];
        if (id < 0) continue;
        if (!ctx.absorbed[static_cast<size_t>(i)]) {
          needed_[static_cast<size_t>(id)] = true;
        } else if (mapping_ != nullptr) {
          // Packed now: a file's pages must not add up beside the packed weights.
          const ProgramTensor& tensor = program_->tensors_[static_cast<size_t>(id)];
          if (tensor.is_constant) release_pages(tensor.data, tensor.bytes);
        }
      }
    }
  }

  /// Copies the constants that ops still read in raw form; equal ranges of the file are copied once.
  void keep_constants() {
    std::unordered_map<const void*, std::pair<std::shared_ptr<void>, size_t>> copies;
    for (size_t i = 0; i < program_->tensors_.size(); ++i) {
      ProgramTensor& tensor = program_->tensors_[i];
      if (!tensor.is_constant) continue;
      const void* source = tensor.data;
      tensor.data = nullptr;
      if (!needed_[i] || tensor.bytes == 0) continue;
      if (mapping_ != nullptr) {
        tensor.data = source;
        program_->constant_bytes_ += tensor.bytes;
        if (program_->storage_.empty()) program_->storage_.push_back(mapping_);
        continue;
      }
      auto& [copy, bytes] = copies[source];
      if (copy == nullptr || bytes < tensor.bytes) {
        copy = allocate_aligned(tensor.bytes);
        bytes = tensor.bytes;
        std::memcpy(copy.get(), source, tensor.bytes);
        program_->constant_bytes_ += tensor.bytes;
        program_->storage_.push_back(copy);
      }
      tensor.data = copy.get();
    }
  }

  const uint8_t* bytes_;
  size_t size_;
  std::shared_ptr<Program> program_;
  std::shared_ptr<const void> mapping_;
  const KernelTable* kernels_ = nullptr;
  size_t tables_size_ = 0;
  const uint8_t* blobs_ = nullptr;
  size_t blobs_size_ = 0;
  std::vector<std::string> strings_;
  std::vector<Constant> constants_;
  std::vector<RawOp> raw_;
  std::vector<bool> needed_;
};

Program::Program() = default;
Program::~Program() = default;

std::shared_ptr<const Program> Program::map(const std::string& path, const LoadOptions& options) {
  const MappedFile file = map_file(path);
  try {
    return ProgramReader(static_cast<const uint8_t*>(file.bytes.get()), file.size, options, file.bytes).read();
  } catch (const Error& error) {
    throw Error(error.code, path + ": " + error.what());
  } catch (const std::bad_alloc&) {
    throw Error(codes::kMemory, "there is no memory to load " + path);
  } catch (const std::length_error&) {
    throw Error(codes::kMemory, "there is no memory to load " + path);
  }
}

std::shared_ptr<const Program> Program::load(const void* bytes, size_t size, const LoadOptions& options) {
  try {
    // Constants are read as typed arrays while ops are created, so the file must stand at an aligned address.
    std::shared_ptr<void> aligned;
    if (reinterpret_cast<uintptr_t>(bytes) % 8 != 0 && bytes != nullptr) {
      aligned = allocate_aligned(size);
      std::memcpy(aligned.get(), bytes, size);
      bytes = aligned.get();
    }
    return ProgramReader(static_cast<const uint8_t*>(bytes), size, options).read();
  } catch (const std::bad_alloc&) {
    throw Error(codes::kMemory, "there is no memory to load the program");
  } catch (const std::length_error&) {
    throw Error(codes::kMemory, "there is no memory to load the program");
  }
}

int32_t Program::find_tensor(const std::string& name) const {
  const auto found = names_.find(name);
  return found == names_.end() ? -1 : found->second;
}

}  // namespace cec
