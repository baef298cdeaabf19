// Element types, shapes and tensor types of the engine.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

namespace cec {

/// Element types; the numbers are those of ONNX TensorProto.DataType. bool is one byte, 0 or 1; f16 and bf16 are raw bits.
enum class DType : uint8_t {
  none = 0, f32 = 1, u8 = 2, i8 = 3, u16 = 4, i16 = 5, i32 = 6, i64 = 7, boolean = 9, f16 = 10, f64 = 11, u32 = 12, u64 = 13, bf16 = 16,
};

/// Bytes of one element; 0 for a number that is no element type of the engine.
size_t size_of(DType type);
/// "f32", "u8", "bool", ...; "none" for what is no element type.
const char* name_of(DType type);
/// The type of that name; DType::none where there is none.
DType dtype_from_name(const std::string& name);

inline constexpr int kMaxRank = 8;
/// Largest byte size of one tensor: bounds every size computation far below overflow.
inline constexpr int64_t kMaxTensorBytes = int64_t{1} << 40;

/// Dimensions of a tensor, all >= 0.
class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<int64_t> dims);
  explicit Shape(const std::vector<int64_t>& dims);

  int rank() const { return rank_; }
  int64_t operator[](int axis) const { return dims_[static_cast<size_t>(axis)]; }
  int64_t& operator[](int axis) { return dims_[static_cast<size_t>(axis)]; }
  void push_back(int64_t dim);
  const int64_t* begin() const { return dims_.data(); }
  const int64_t* end() const { return dims_.data() + rank_; }
  bool operator==(const Shape& other) const;
  bool operator!=(const Shape& other) const { return !(*this == other); }
  /// Product of the dimensions in [from, to); 1 for none. Only call on shapes that `checked_bytes` accepted.
  int64_t count(int from, int to) const;
  int64_t count() const { return count(0, rank_); }
  std::string to_string() const;

 private:
  std::array<int64_t, kMaxRank> dims_{};
  int rank_ = 0;
};

struct TensorType {
  DType dtype = DType::none;
  Shape shape;
  int64_t count() const { return shape.count(); }
  size_t bytes() const { return static_cast<size_t>(shape.count()) * size_of(dtype); }
  std::string to_string() const;
};

/// Bytes of a tensor; throws Error(CEC6004) for a negative dimension or a size above kMaxTensorBytes.
/// The product of the non-zero dimensions is what is bounded, so that partial products stay in range for zero-size tensors too.
size_t checked_bytes(DType type, const Shape& shape);

}  // namespace cec
