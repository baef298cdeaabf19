// The op lists of the files in this folder; registry.cc joins them into the one table.
#pragma once

#include "exec/op.h"

namespace cec {

OpList cpu_conv_ops();
OpList cpu_quant_ops();
OpList elementwise_ops();
OpList movement_ops();
OpList index_ops();
OpList reduce_ops();
OpList normalize_ops();
OpList matmul_ops();
OpList window_ops();
OpList quantize_ops();
OpList cast_ops();
OpList resize_ops();
OpList recurrent_ops();
OpList conv_variable_ops();
OpList train_conv_ops();
OpList train_norm_ops();
OpList train_update_ops();

}  // namespace cec
