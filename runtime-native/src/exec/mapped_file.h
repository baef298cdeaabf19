// A file mapped into memory, read-only.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

namespace cec {

struct MappedFile {
  std::shared_ptr<const void> bytes;  // unmapped when the last owner lets go; null for an empty file
  size_t size = 0;
};

/// Throws Error(CEC6007) for what is no readable regular file, CEC6006 where it cannot be mapped.
MappedFile map_file(const std::string& path);

/// Lets go of the whole pages of a mapped range that is not needed soon; they stay readable, from the file.
void release_pages(const void* bytes, size_t size);

}  // namespace cec
