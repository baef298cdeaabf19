#include "cec/tensor.h"

#include "cec/error.h"

namespace cec {
namespace {

struct TypeRow {
  DType type;
  size_t size;
  const char* name;
};
constexpr TypeRow kTypes[] = {
    {DType::f32, 4, "f32"}, {DType::u8, 1, "u8"},   {DType::i8, 1, "i8"},       {DType::u16, 2, "u16"}, {DType::i16, 2, "i16"},
    {DType::i32, 4, "i32"}, {DType::i64, 8, "i64"}, {DType::boolean, 1, "bool"}, {DType::f16, 2, "f16"}, {DType::f64, 8, "f64"},
    {DType::u32, 4, "u32"}, {DType::u64, 8, "u64"}, {DType::bf16, 2, "bf16"},
};

const TypeRow* row_of(DType type) {
  for (const TypeRow& row : kTypes) {
    if (row.type == type) return &row;
  }
  return nullptr;
}

}  // namespace

size_t size_of(DType type) {
  const TypeRow* row = row_of(type);
  return row == nullptr ? 0 : row->size;
}

const char* name_of(DType type) {
  const TypeRow* row = row_of(type);
  return row == nullptr ? "none" : row->name;
}

DType dtype_from_name(const std::string& name) {
  for (const TypeRow& row : kTypes) {
    if (name == row.name) return row.type;
  }
  return DType::none;
}

Shape::Shape(std::initializer_list<int64_t> dims) {
  for (int64_t dim : dims) push_back(dim);
}

Shape::Shape(const std::vector<int64_t>& dims) {
  for (int64_t dim : dims) push_back(dim);
}

void Shape::push_back(int64_t dim) {
  if (rank_ == kMaxRank) throw Error(codes::kShape, "a tensor would have more than " + std::to_string(kMaxRank) + " dimensions");
  dims_[static_cast<size_t>(rank_++)] = dim;
}

bool Shape::operator==(const Shape& other) const {
  if (rank_ != other.rank_) return false;
  for (int i = 0; i < rank_; ++i) {
    if ((*this)[i] != other[i]) return false;
  }
  return true;
}

int64_t Shape::count(int from, int to) const {
  int64_t n = 1;
  for (int i = from; i < to; ++i) n *= (*this)[i];
  return n;
}

std::string Shape::to_string() const {
  std::string text = "[";
  for (int i = 0; i < rank_; ++i) text += (i == 0 ? "" : ", ") + std::to_string((*this)[i]);
  return text + "]";
}

std::string TensorType::to_string() const { return name_of(dtype) + shape.to_string(); }

size_t checked_bytes(DType type, const Shape& shape) {
  int64_t bytes = static_cast<int64_t>(size_of(type));
  bool empty = false;
  for (int64_t dim : shape) {
    if (dim < 0) throw Error(codes::kShape, "the shape " + shape.to_string() + " has a negative dimension");
    if (dim == 0) {
      empty = true;
      continue;
    }
    if (dim > kMaxTensorBytes / bytes) throw Error(codes::kShape, std::string("a tensor ") + name_of(type) + shape.to_string() + " would be larger than 1 TiB");
    bytes *= dim;
  }
  return empty ? 0 : static_cast<size_t>(bytes);
}

}  // namespace cec
