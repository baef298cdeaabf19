// The one table of op kinds.
#include <algorithm>
#include <cstring>

#include "exec/ops/lists.h"

namespace cec {

std::vector<const OpKind*> all_ops() {
  std::vector<const OpKind*> kinds;
  for (const OpList& list : {cpu_conv_ops(), cpu_quant_ops(), elementwise_ops(), movement_ops(), index_ops(), reduce_ops(), normalize_ops(), matmul_ops(),
                             window_ops(), quantize_ops(), cast_ops(), resize_ops(), recurrent_ops(), conv_variable_ops(), train_conv_ops(), train_norm_ops(), train_update_ops()}) {
    for (size_t i = 0; i < list.size; ++i) kinds.push_back(&list.begin[i]);
  }
  std::sort(kinds.begin(), kinds.end(), [](const OpKind* a, const OpKind* b) { return std::strcmp(a->kind, b->kind) < 0; });
  return kinds;
}

const OpKind* find_op(const std::string& kind) {
  static const std::vector<const OpKind*> kinds = all_ops();
  const auto at = std::lower_bound(kinds.begin(), kinds.end(), kind, [](const OpKind* a, const std::string& name) { return a->kind < name; });
  return at != kinds.end() && (*at)->kind == kind ? *at : nullptr;
}

}  // namespace cec
