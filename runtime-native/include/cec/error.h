// Coded errors. Every fault that a caller can cause is thrown as cec::Error with a code of the CEC6xxx range;
// the addon turns it into a JavaScript exception with the same code.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace cec {

/// The codes, in one place. Their long explanations stand in compiler/core/diagnostics/codes/6xxx.ts.
namespace codes {
inline constexpr const char* kFormat = "CEC6001";       ///< program bytes are damaged, truncated or hostile
inline constexpr const char* kUnknownOp = "CEC6002";    ///< the engine has no op of that kind
inline constexpr const char* kOpInvalid = "CEC6003";    ///< operands or attributes that an op cannot take
inline constexpr const char* kShape = "CEC6004";        ///< shapes that do not fit together or overflow
inline constexpr const char* kFeed = "CEC6005";         ///< a feed is missing, of the wrong type or shape
inline constexpr const char* kMemory = "CEC6006";       ///< memory that could not be had
inline constexpr const char* kArgument = "CEC6007";     ///< a wrong argument of the API (threads, names, options)
inline constexpr const char* kRuntimeData = "CEC6008";  ///< data met while running: an index out of range, ...
inline constexpr const char* kCancelled = "CEC6013";     ///< a run that its caller has cancelled
inline constexpr const char* kInternal = "CEC6090";     ///< our bug
}  // namespace codes

class Error : public std::runtime_error {
 public:
  Error(std::string error_code, const std::string& message) : std::runtime_error(message), code(std::move(error_code)) {}
  std::string code;
};

}  // namespace cec
