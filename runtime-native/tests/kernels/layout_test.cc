#include "test_util.h"

namespace cec::test {
namespace {

#define CEC_KERNEL_VARIANT(isa, name) &name,
const LayoutVariant* const kVariants[] = {
#include "kernels/layout/variants.inc"
};
#undef CEC_KERNEL_VARIANT

class Layout : public testing::TestWithParam<const LayoutVariant*> {};
INSTANTIATE_TEST_SUITE_P(All, Layout, testing::ValuesIn(kVariants), [](const auto& info) { return variant_name(info); });

template <class T>
void check(const LayoutVariant& v) {
  for (const size_t rows : {0, 1, 3, 8, 15, 16, 17, 24, 67}) {
    for (const size_t cols : {0, 1, 7, 8, 9, 16, 31, 49}) {
      for (const size_t apart : {0, 3}) {
        const size_t ldx = cols + 2, ldy = rows + apart;
        Random random(1);
        Guarded<T> x(rows == 0 ? 0 : (rows - 1) * ldx + cols), y(cols == 0 ? 0 : (cols - 1) * ldy + rows);
        for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<T>(random());
        v.transpose(sizeof(T), rows, cols, x.data(), ldx, y.data(), ldy);
        for (size_t i = 0; i < rows; ++i) {
          for (size_t j = 0; j < cols; ++j) ASSERT_EQ(y[j * ldy + i], x[i * ldx + j]) << rows << " x " << cols;
        }
        for (size_t j = 0; j + 1 < cols; ++j) {
          for (size_t i = rows; i < ldy; ++i) ASSERT_EQ(y[j * ldy + i], T{0}) << "wrote between rows";
        }
      }
    }
  }
}

TEST_P(Layout, TransposesElementsOfEverySize) {
  CEC_SKIP_UNLESS_RUNNABLE(GetParam());
  check<uint8_t>(*GetParam());
  check<uint16_t>(*GetParam());
  check<uint32_t>(*GetParam());
  check<uint64_t>(*GetParam());
}

}  // namespace
}  // namespace cec::test
