#include "mutate.h"

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "cec/tensor.h"
#include "exec/op.h"

namespace {

constexpr size_t kHeader = 48;

/// Where something stands in the tables that may be changed without anything else moving.
struct Field {
  enum Kind { kDim, kDType, kTensorId, kInt, kFloat, kStringId } kind;
  size_t at;
};

class File {
 public:
  File(uint8_t* bytes, size_t size) : bytes_(bytes), size_(size) {}

  /// Walks the tables; false where they are not what the format says.
  bool parse() {
    if (size_ < kHeader) return false;
    const uint64_t tables = read<uint64_t>(24);
    if (tables > size_ - kHeader) return false;
    end_ = kHeader + static_cast<size_t>(tables);
    at_ = kHeader;
    strings_ = take<uint32_t>();
    for (uint32_t i = 0; i < strings_ && ok_; ++i) {
      string_at.push_back(at_);
      skip(take<uint32_t>());
    }
    const uint32_t tensors = take<uint32_t>();
    for (uint32_t i = 0; i < tensors && ok_; ++i) {
      skip(4);
      field(Field::kDType, 1);
      const uint8_t rank = take<uint8_t>(), constant = take<uint8_t>();
      skip(1);
      for (int d = 0; d < rank; ++d) field(Field::kDim, 8);
      if (constant != 0) skip(16);
    }
    const uint32_t ops = take<uint32_t>();
    for (uint32_t i = 0; i < ops && ok_; ++i) {
      field(Field::kStringId, 4);
      skip(4);
      const uint16_t in = take<uint16_t>(), out = take<uint16_t>(), attrs = take<uint16_t>();
      skip(2);
      for (int k = 0; k < in + out; ++k) field(Field::kTensorId, 4);
      for (int k = 0; k < attrs && ok_; ++k) attribute();
    }
    for (uint32_t n = take<uint32_t>(); n > 0 && ok_; --n) field(Field::kTensorId, 4);
    return ok_;
  }

  std::vector<Field> fields;
  std::vector<size_t> string_at;

 private:
  template <typename T>
  T read(size_t at) const {
    T v;
    std::memcpy(&v, bytes_ + at, sizeof v);
    return v;
  }
  void skip(size_t n) {
    if (!ok_ || n > end_ - at_) ok_ = false;
    else at_ += n;
  }
  template <typename T>
  T take() {
    const size_t at = at_;
    skip(sizeof(T));
    return ok_ ? read<T>(at) : T{0};
  }
  void field(Field::Kind kind, size_t bytes) {
    const size_t at = at_;
    skip(bytes);
    if (ok_) fields.push_back({kind, at});
  }
  void attribute() {
    skip(4);
    const uint32_t kind = take<uint32_t>();
    switch (kind) {
      case 1: field(Field::kInt, 8); break;
      case 2: field(Field::kFloat, 8); break;
      case 3:
      case 4:
        for (uint32_t n = take<uint32_t>(); n > 0 && ok_; --n) field(kind == 3 ? Field::kInt : Field::kFloat, 8);
        break;
      case 5: field(Field::kStringId, 4); break;
      case 6:
        for (uint32_t n = take<uint32_t>(); n > 0 && ok_; --n) field(Field::kStringId, 4);
        break;
      default: ok_ = false;
    }
  }

  uint8_t* bytes_;
  size_t size_;
  size_t end_ = 0, at_ = 0;
  uint32_t strings_ = 0;
  bool ok_ = true;
};

template <typename T>
void put(uint8_t* at, T v) {
  std::memcpy(at, &v, sizeof v);
}

constexpr int64_t kInts[] = {0, 1, 2, 3, 4, 5, 7, 8, 16, 31, 64, 100, 255, 256, -1, -2, -3, -128, 32767, 65536, INT64_C(1) << 31, (INT64_C(1) << 31) - 1, -(INT64_C(1) << 31), INT64_C(1) << 40, INT64_MAX, INT64_MIN};
constexpr double kFloats[] = {0, 1, -1, 0.5, 1e-30, 1e30, 1e300, -1e300, 1e-310, HUGE_VAL, -HUGE_VAL, NAN};
const char* const kWords[] = {"relu", "clip", "none", "same", "SAME_UPPER", "SAME_LOWER", "VALID", "linear", "nearest", "cubic", "reflect", "edge", "wrap", "add", "mul", "max", "u8", "i8", "f32",
                              "direct", "auto", "winograd_f2", "winograd_f4", "half_pixel", "align_corners", "asymmetric", "bidirectional", "reverse", "tanh", "CRD", "group", "axis", "pads",
                              "strides", "dilations", "kernel_shape", "keepdims", "ceil_mode", "activation", "algorithm", "mode", "to", "", "\xff"};
constexpr uint8_t kTypes[] = {0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 16, 17, 255};

template <typename T, size_t N>
const T& any(const T (&list)[N], std::mt19937& random) {
  return list[random() % N];
}

void change(const Field& field, uint8_t* bytes, size_t strings, std::mt19937& random) {
  uint8_t* at = bytes + field.at;
  switch (field.kind) {
    case Field::kDim: put<int64_t>(at, random() % 4 == 0 ? any(kInts, random) : static_cast<int64_t>(random() % 8) - 1); break;
    case Field::kDType: put<uint8_t>(at, any(kTypes, random)); break;
    case Field::kTensorId: put<int32_t>(at, static_cast<int32_t>(random() % 12) - 1); break;
    case Field::kInt: put<int64_t>(at, any(kInts, random)); break;
    case Field::kFloat: put<double>(at, any(kFloats, random)); break;
    case Field::kStringId: put<uint32_t>(at, random() % static_cast<uint32_t>(strings + 1)); break;
  }
}

/// Another string in place of one: kinds of ops, and words that attributes use.
size_t change_string(size_t at, uint8_t* bytes, size_t size, size_t room, std::mt19937& random) {
  static const std::vector<const cec::OpKind*> kinds = cec::all_ops();
  const std::string word = random() % 2 == 0 ? kinds[random() % kinds.size()]->kind : any(kWords, random);
  uint32_t old = 0;
  uint64_t tables = 0, blobs_at = 0, blobs = 0;
  std::memcpy(&old, bytes + at, 4);
  std::memcpy(&tables, bytes + 24, 8);
  std::memcpy(&blobs_at, bytes + 32, 8);
  std::memcpy(&blobs, bytes + 40, 8);
  if (blobs_at > size || blobs != size - blobs_at || tables > size - kHeader) return size;
  std::vector<uint8_t> out(bytes, bytes + at);
  out.resize(at + 4);
  put<uint32_t>(out.data() + at, static_cast<uint32_t>(word.size()));
  out.insert(out.end(), word.begin(), word.end());
  out.insert(out.end(), bytes + at + 4 + old, bytes + kHeader + tables);
  const size_t new_tables = out.size() - kHeader;
  out.resize((out.size() + 63) / 64 * 64);
  const size_t new_blobs_at = out.size();
  out.insert(out.end(), bytes + blobs_at, bytes + size);
  if (out.size() > room) return size;
  put<uint64_t>(out.data() + 8, out.size());
  put<uint64_t>(out.data() + 24, new_tables);
  put<uint64_t>(out.data() + 32, new_blobs_at);
  std::memcpy(bytes, out.data(), out.size());
  return out.size();
}

/// A constant's bytes: whole words, as shapes, axes and indices are constants too.
void change_blob(uint8_t* bytes, size_t size, std::mt19937& random) {
  uint64_t blobs_at = 0;
  std::memcpy(&blobs_at, bytes + 32, 8);
  if (blobs_at >= size) return;
  const size_t at = static_cast<size_t>(blobs_at) + random() % (size - static_cast<size_t>(blobs_at));
  if (random() % 2 == 0 && at / 8 * 8 + 8 <= size) put<int64_t>(bytes + at / 8 * 8, any(kInts, random));
  else if (random() % 2 == 0 && at / 4 * 4 + 4 <= size) put<float>(bytes + at / 4 * 4, static_cast<float>(any(kFloats, random)));
  else bytes[at] = static_cast<uint8_t>(random());
}

}  // namespace

size_t cec_mutate(uint8_t* bytes, size_t size, size_t room, uint32_t seed) {
  std::mt19937 random(seed);
  if (size == 0) return size;
  for (unsigned count = 1 + random() % 3; count > 0; --count) {
    File file(bytes, size);
    const bool whole = file.parse();
    const unsigned move = random() % 16;
    if (move == 0 || !whole || file.fields.empty()) bytes[random() % size] = static_cast<uint8_t>(random());
    else if (move < 4) change_blob(bytes, size, random);
    else if (move < 7 && !file.string_at.empty()) size = change_string(file.string_at[random() % file.string_at.size()], bytes, size, room, random);
    else change(file.fields[random() % file.fields.size()], bytes, file.string_at.size(), random);
  }
  return size;
}
