// Writes program files (include/cec/program_format.md) for the tests, apart from ts/serialize.ts.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "cec/error.h"
#include "cec/program.h"
#include "cec/session.h"

namespace cec::test {

using Bytes = std::vector<uint8_t>;
using AttrValue = std::variant<int64_t, double, std::vector<int64_t>, std::string>;
using AttrList = std::vector<std::pair<std::string, AttrValue>>;

class ProgramBuilder {
 public:
  /// A tensor without bytes: an input or a result.
  int32_t tensor(const std::string& name, DType type, std::vector<int64_t> dims) {
    tensors_.push_back({name, type, std::move(dims), false, {}});
    return static_cast<int32_t>(tensors_.size() - 1);
  }
  int32_t input(const std::string& name, DType type, std::vector<int64_t> dims) {
    inputs_.push_back(tensor(name, type, std::move(dims)));
    return inputs_.back();
  }
  template <typename T>
  int32_t constant(const std::string& name, DType type, std::vector<int64_t> dims, const std::vector<T>& values) {
    Bytes data(values.size() * sizeof(T));
    if (!data.empty()) std::memcpy(data.data(), values.data(), data.size());
    tensors_.push_back({name, type, std::move(dims), true, std::move(data)});
    return static_cast<int32_t>(tensors_.size() - 1);
  }
  /// An op with one result of rank `rank`; gives the result.
  int32_t op(const std::string& kind, std::vector<int32_t> operands, DType type, size_t rank, AttrList attrs = {}) {
    const int32_t result = tensor("t" + std::to_string(tensors_.size()), type, std::vector<int64_t>(rank, -1));
    ops_.push_back({kind, "op" + std::to_string(ops_.size()), std::move(operands), {result}, std::move(attrs)});
    return result;
  }
  void raw_op(const std::string& kind, std::vector<int32_t> operands, std::vector<int32_t> results) {
    ops_.push_back({kind, "op" + std::to_string(ops_.size()), std::move(operands), std::move(results), {}});
  }
  void output(const std::string& name, int32_t tensor) { outputs_.emplace_back(name, tensor); }
  const std::string& name(int32_t tensor) const { return tensors_[static_cast<size_t>(tensor)].name; }

  Bytes write() const {
    std::map<std::string, uint32_t> ids;
    std::vector<std::string> strings;
    const auto id = [&](const std::string& s) {
      const auto [at, added] = ids.emplace(s, static_cast<uint32_t>(strings.size()));
      if (added) strings.push_back(s);
      return at->second;
    };
    Bytes body, blobs;
    put<uint32_t>(body, static_cast<uint32_t>(tensors_.size()));
    for (const TensorRow& t : tensors_) {
      put<uint32_t>(body, id(t.name));
      put<uint8_t>(body, static_cast<uint8_t>(t.type));
      put<uint8_t>(body, static_cast<uint8_t>(t.dims.size()));
      put<uint8_t>(body, t.constant ? 1 : 0);
      put<uint8_t>(body, 0);
      for (const int64_t d : t.dims) put<int64_t>(body, d);
      if (!t.constant) continue;
      blobs.resize((blobs.size() + 63) / 64 * 64);
      put<uint64_t>(body, blobs.size());
      put<uint64_t>(body, t.data.size());
      blobs.insert(blobs.end(), t.data.begin(), t.data.end());
    }
    put<uint32_t>(body, static_cast<uint32_t>(ops_.size()));
    for (const OpRow& op : ops_) {
      put<uint32_t>(body, id(op.kind));
      put<uint32_t>(body, id(op.name));
      put<uint16_t>(body, static_cast<uint16_t>(op.operands.size()));
      put<uint16_t>(body, static_cast<uint16_t>(op.results.size()));
      put<uint16_t>(body, static_cast<uint16_t>(op.attrs.size()));
      put<uint16_t>(body, 0);
      for (const int32_t t : op.operands) put<int32_t>(body, t);
      for (const int32_t t : op.results) put<int32_t>(body, t);
      for (const auto& [key, value] : op.attrs) {
        put<uint32_t>(body, id(key));
        if (const int64_t* i = std::get_if<int64_t>(&value)) {
          put<uint32_t>(body, 1);
          put<int64_t>(body, *i);
        } else if (const double* f = std::get_if<double>(&value)) {
          put<uint32_t>(body, 2);
          put<double>(body, *f);
        } else if (const auto* list = std::get_if<std::vector<int64_t>>(&value)) {
          put<uint32_t>(body, 3);
          put<uint32_t>(body, static_cast<uint32_t>(list->size()));
          for (const int64_t v : *list) put<int64_t>(body, v);
        } else {
          put<uint32_t>(body, 5);
          put<uint32_t>(body, id(std::get<std::string>(value)));
        }
      }
    }
    put<uint32_t>(body, static_cast<uint32_t>(inputs_.size()));
    for (const int32_t t : inputs_) put<int32_t>(body, t);
    put<uint32_t>(body, static_cast<uint32_t>(outputs_.size()));
    for (const auto& [name, t] : outputs_) {
      put<int32_t>(body, t);
      put<uint32_t>(body, id(name));
    }
    Bytes tables;
    put<uint32_t>(tables, static_cast<uint32_t>(strings.size()));
    for (const std::string& s : strings) {
      put<uint32_t>(tables, static_cast<uint32_t>(s.size()));
      tables.insert(tables.end(), s.begin(), s.end());
    }
    tables.insert(tables.end(), body.begin(), body.end());
    const size_t blobs_at = (48 + tables.size() + 63) / 64 * 64;
    Bytes file{'C', 'E', 'C', 'B'};
    put<uint32_t>(file, 1);
    for (const size_t v : {blobs_at + blobs.size(), size_t{48}, tables.size(), blobs_at, blobs.size()}) put<uint64_t>(file, v);
    file.insert(file.end(), tables.begin(), tables.end());
    file.resize(blobs_at);
    file.insert(file.end(), blobs.begin(), blobs.end());
    return file;
  }
  std::shared_ptr<const Program> load(const LoadOptions& options = {}) const {
    const Bytes bytes = write();
    return Program::load(bytes.data(), bytes.size(), options);
  }

 private:
  template <typename T>
  static void put(Bytes& to, T v) {
    uint8_t raw[sizeof v];
    std::memcpy(raw, &v, sizeof v);
    to.insert(to.end(), raw, raw + sizeof v);
  }
  struct TensorRow {
    std::string name;
    DType type;
    std::vector<int64_t> dims;
    bool constant;
    Bytes data;
  };
  struct OpRow {
    std::string kind, name;
    std::vector<int32_t> operands, results;
    AttrList attrs;
  };
  std::vector<TensorRow> tensors_;
  std::vector<OpRow> ops_;
  std::vector<int32_t> inputs_;
  std::vector<std::pair<std::string, int32_t>> outputs_;
};

template <typename T>
std::vector<T> random_values(size_t n, unsigned seed, int low, int high) {
  std::mt19937 random(seed);
  std::vector<T> values(n);
  for (T& v : values) {
    if constexpr (std::is_floating_point_v<T>) v = static_cast<T>(low + (high - low) * (static_cast<double>(random()) / 4294967296.0));
    else v = static_cast<T>(low + static_cast<int>(random() % static_cast<unsigned>(high - low + 1)));
  }
  return values;
}

inline TensorView view(DType type, Shape shape, const void* data) { return TensorView{type, shape, data}; }

inline Bytes bytes_of(const OwnedTensor& t) {
  const auto* data = static_cast<const uint8_t*>(t.data.get());
  return Bytes(data, data + t.type.bytes());
}
inline std::vector<Bytes> all_bytes(const std::vector<OwnedTensor>& tensors) {
  std::vector<Bytes> rows;
  for (const OwnedTensor& t : tensors) rows.push_back(bytes_of(t));
  return rows;
}
template <typename T>
std::vector<T> values_of(const OwnedTensor& t) {
  const T* data = static_cast<const T*>(t.data.get());
  return std::vector<T>(data, data + t.type.count());
}

/// The code of the Error that body throws; "" when it throws none.
template <typename F>
std::string code_of(F&& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.code;
  }
  return "";
}

/// A small network over x f32[N,9,7,3]: convolutions in f32 and 8 bits, depthwise and plain, a residual, pools, softmax. Outputs "y" and "q".
inline ProgramBuilder small_network() {
  ProgramBuilder b;
  const int32_t x = b.input("x", DType::f32, {-1, 9, 7, 3});
  const AttrList same{{"pads", std::vector<int64_t>{1, 1, 1, 1}}, {"activation", std::string("relu")}};
  const int32_t w1 = b.constant("w1", DType::f32, {16, 3, 3, 3}, random_values<float>(16 * 27, 1, -1, 1));
  const int32_t b1 = b.constant("b1", DType::f32, {16}, random_values<float>(16, 2, -1, 1));
  const int32_t c1 = b.op("cpu.conv", {x, w1, b1}, DType::f32, 4, same);
  const int32_t w2 = b.constant("w2", DType::f32, {16, 3, 3, 16}, random_values<float>(16 * 144, 3, -1, 1));
  const int32_t c2 = b.op("cpu.conv", {c1, w2, -1, c1}, DType::f32, 4, same);
  AttrList depthwise = same;
  depthwise.emplace_back("group", int64_t{16});
  const int32_t w3 = b.constant("w3", DType::f32, {16, 3, 3, 1}, random_values<float>(144, 4, -1, 1));
  const int32_t c3 = b.op("cpu.conv", {c2, w3}, DType::f32, 4, depthwise);
  const int32_t pooled = b.op("cpu.global_average_pool", {c3}, DType::f32, 4);
  const int32_t flat = b.op("flatten", {pooled}, DType::f32, 2, {{"axis", int64_t{1}}});
  const int32_t y = b.op("softmax", {flat}, DType::f32, 2);
  const int32_t scale = b.constant("scale", DType::f32, {}, std::vector<float>{0.25f});
  const int32_t zero = b.constant("zero", DType::u8, {}, std::vector<uint8_t>{7});
  const int32_t q1 = b.op("quantize_linear", {c3, scale, zero}, DType::u8, 4);
  const int32_t w4 = b.constant("w4", DType::i8, {24, 3, 3, 16}, random_values<int8_t>(24 * 144, 5, -128, 127));
  const int32_t b4 = b.constant("b4", DType::i32, {24}, random_values<int32_t>(24, 6, -9999, 9999));
  const int32_t s4 = b.constant("s4", DType::f32, {24}, random_values<float>(24, 7, 1, 3));
  const int32_t q2 = b.op("cpu.qconv", {q1, w4, b4, s4}, DType::u8, 4,
                          {{"pads", std::vector<int64_t>{1, 1, 1, 1}}, {"strides", std::vector<int64_t>{2, 2}}, {"x_scale", 0.25}, {"x_zp", int64_t{7}}, {"y_scale", 900.0}, {"y_zp", int64_t{128}}});
  const int32_t q3 = b.op("cpu.max_pool", {q2}, DType::u8, 4, {{"kernel_shape", std::vector<int64_t>{2, 2}}});
  b.output("y", y);
  b.output("q", q3);
  return b;
}
constexpr size_t kSample = 9 * 7 * 3;

}  // namespace cec::test
