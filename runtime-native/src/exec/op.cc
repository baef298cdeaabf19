#include "exec/op.h"

#include <algorithm>

namespace cec {

void reject(const std::string& what) { throw Error(codes::kOpInvalid, what); }
void reject_shape(const std::string& what) { throw Error(codes::kShape, what); }

const Attr* Attrs::find(const char* key) const {
  for (const auto& [name, value] : items_) {
    if (name == key) return &value;
  }
  return nullptr;
}

int64_t Attrs::integer(const char* key, int64_t otherwise) const {
  const Attr* attr = find(key);
  if (attr == nullptr) return otherwise;
  if (attr->kind != Attr::kInt) reject(std::string("attribute ") + key + " must be an integer");
  return attr->i;
}

int64_t Attrs::integer(const char* key) const {
  if (!has(key)) reject(std::string("attribute ") + key + " is missing");
  return integer(key, 0);
}

int Attrs::bounded(const char* key, int64_t otherwise, int64_t low, int64_t high) const {
  const int64_t value = integer(key, otherwise);
  if (value < low || value > high) {
    reject(std::string("attribute ") + key + " is " + std::to_string(value) + "; it must be from " + std::to_string(low) + " to " + std::to_string(high));
  }
  return static_cast<int>(value);
}

double Attrs::number(const char* key, double otherwise) const {
  const Attr* attr = find(key);
  if (attr == nullptr) return otherwise;
  if (attr->kind == Attr::kInt) return static_cast<double>(attr->i);
  if (attr->kind != Attr::kFloat) reject(std::string("attribute ") + key + " must be a number");
  return attr->f;
}

double Attrs::number(const char* key) const {
  if (!has(key)) reject(std::string("attribute ") + key + " is missing");
  return number(key, 0);
}

std::vector<int64_t> Attrs::integers(const char* key, std::vector<int64_t> otherwise) const {
  const Attr* attr = find(key);
  if (attr == nullptr) return otherwise;
  if (attr->kind == Attr::kFloats && attr->floats.empty()) return {};
  if (attr->kind != Attr::kInts) reject(std::string("attribute ") + key + " must be a list of integers");
  return attr->ints;
}

std::string Attrs::text(const char* key, const std::string& otherwise) const {
  const Attr* attr = find(key);
  if (attr == nullptr) return otherwise;
  if (attr->kind != Attr::kString) reject(std::string("attribute ") + key + " must be a string");
  return attr->s;
}

std::vector<std::string> Attrs::texts(const char* key) const {
  const Attr* attr = find(key);
  if (attr == nullptr) return {};
  if ((attr->kind == Attr::kInts && attr->ints.empty()) || (attr->kind == Attr::kFloats && attr->floats.empty())) return {};
  if (attr->kind != Attr::kStrings) reject(std::string("attribute ") + key + " must be a list of strings");
  return attr->strings;
}

const Constant& CreateContext::constant(int i, const char* role) const {
  if (!is_constant(i)) reject(std::string("operand ") + std::to_string(i) + " (" + role + ") must be a constant");
  return *operands[static_cast<size_t>(i)].constant;
}

const TensorType& PrepareContext::input(int i) const {
  if (!has(i)) reject("operand " + std::to_string(i) + " is missing");
  return *operands[static_cast<size_t>(i)].type;
}

const void* PrepareContext::value(int i) const {
  if (!known(i)) throw NeedValue{operands[static_cast<size_t>(i)].tensor};
  return operands[static_cast<size_t>(i)].value;
}

std::vector<int64_t> PrepareContext::ints(int i) const {
  const TensorType& type = input(i);
  if ((type.dtype != DType::i64 && type.dtype != DType::i32) || type.shape.rank() > 1) {
    reject("operand " + std::to_string(i) + " must be a list of i64 or i32, it is " + type.to_string());
  }
  const void* data = value(i);
  std::vector<int64_t> values(static_cast<size_t>(type.count()));
  for (size_t k = 0; k < values.size(); ++k) {
    values[k] = type.dtype == DType::i64 ? static_cast<const int64_t*>(data)[k] : static_cast<const int32_t*>(data)[k];
  }
  return values;
}

int64_t PrepareContext::scalar_int(int i) const {
  const std::vector<int64_t> values = ints(i);
  if (values.size() != 1) reject("operand " + std::to_string(i) + " must be one integer, it is " + input(i).to_string());
  return values[0];
}

void PrepareContext::expect(int i, DType type) const {
  if (dtype(i) != type) reject("operand " + std::to_string(i) + " must be " + name_of(type) + ", it is " + input(i).to_string());
}

void PrepareContext::output(int i, DType dtype, const Shape& shape) {
  checked_bytes(dtype, shape);
  if (i < outputs()) results[static_cast<size_t>(i)] = TensorType{dtype, shape};
}

size_t PrepareContext::scratch(size_t bytes) {
  if (bytes > static_cast<size_t>(kMaxTensorBytes)) reject_shape("the op would need more than 1 TiB of scratch memory");
  const size_t at = scratch_bytes;
  scratch_bytes += (bytes + 63) / 64 * 64;
  return at;
}

}  // namespace cec
