#include "exec/mapped_file.h"

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <limits>

#include "cec/error.h"

#ifdef _WIN32
#define NOMINMAX
#include <windows.h>
#else
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

namespace cec {
namespace {

[[noreturn]] void cannot(const std::string& what, const std::string& path, const std::string& why) {
  throw Error(codes::kArgument, "cannot " + what + " \"" + path + "\": " + why);
}

}  // namespace

#ifdef _WIN32

MappedFile map_file(const std::string& path) {
  const auto reason = [] { return "Windows error " + std::to_string(GetLastError()); };
  const HANDLE file = CreateFileA(path.c_str(), GENERIC_READ, FILE_SHARE_READ, nullptr, OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, nullptr);
  if (file == INVALID_HANDLE_VALUE) cannot("open", path, reason());
  const std::shared_ptr<void> close_file(file, CloseHandle);
  LARGE_INTEGER size;
  if (GetFileSizeEx(file, &size) == 0) cannot("read", path, reason());
  if (size.QuadPart == 0) return {};
  const HANDLE mapping = CreateFileMappingA(file, nullptr, PAGE_READONLY, 0, 0, nullptr);
  if (mapping == nullptr) throw Error(codes::kMemory, "cannot map \"" + path + "\": " + reason());
  const std::shared_ptr<void> close_mapping(mapping, CloseHandle);
  const void* bytes = MapViewOfFile(mapping, FILE_MAP_READ, 0, 0, 0);
  if (bytes == nullptr) throw Error(codes::kMemory, "cannot map \"" + path + "\": " + reason());
  return {std::shared_ptr<const void>(bytes, [](const void* p) { UnmapViewOfFile(p); }), static_cast<size_t>(size.QuadPart)};
}

// The working set is trimmed by the system.
void release_pages(const void*, size_t) {}

#else

MappedFile map_file(const std::string& path) {
  // Without O_NONBLOCK, opening a FIFO waits for a writer.
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) cannot("open", path, std::strerror(errno));
  const std::shared_ptr<const int> close_file(&file, [](const int* f) { close(*f); });
  struct stat status;
  if (fstat(file, &status) != 0) cannot("read", path, std::strerror(errno));
  if (!S_ISREG(status.st_mode)) cannot("read", path, S_ISDIR(status.st_mode) ? "it is a folder" : "it is no regular file");
  if (status.st_size == 0) return {};
  if (static_cast<uint64_t>(status.st_size) > std::numeric_limits<size_t>::max()) cannot("read", path, "it is too large");
  const size_t size = static_cast<size_t>(status.st_size);
  void* const bytes = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file, 0);
  if (bytes == MAP_FAILED) throw Error(codes::kMemory, "cannot map \"" + path + "\": " + std::strerror(errno));
  return {std::shared_ptr<const void>(bytes, [size](const void* p) { munmap(const_cast<void*>(p), size); }), size};
}

void release_pages(const void* bytes, size_t size) {
  const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(bytes) + page - 1) / page * page;
  const uintptr_t end = (reinterpret_cast<uintptr_t>(bytes) + size) / page * page;
  // Only a hint: where it fails the pages stay.
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

#endif

}  // namespace cec
