// The WASI calls between zig's libc and web-llm's page, where the two do not fit by themselves.
// A definition named __imported_wasi_snapshot_preview1_X takes the place of libc's import of X.
#include <cstddef>
#include <cstdint>
#include <cstring>

#define WEBSLM_IMPORT(module, name) __attribute__((import_module(module), import_name(name)))
#define WEBSLM_WASI(name) WEBSLM_IMPORT("wasi_snapshot_preview1", #name)

extern "C" {

WEBSLM_IMPORT("env", "emscripten_notify_memory_growth")
void webslm_page_notify_memory_growth(int32_t memory);

}  // extern "C"

namespace {

// web-llm answers WASI calls through views of linear memory that go dead when it grows: what it then
// writes is lost, so libc believes that nothing was printed and tries again for ever. Emscripten's
// allocator tells the page of each growth; zig's does not, so we tell before every call.
void RefreshViews() {
  static size_t known_pages = 0;
  const size_t pages = __builtin_wasm_memory_size(0);
  if (pages == known_pages) return;
  known_pages = pages;
  webslm_page_notify_memory_growth(0);
}

}  // namespace

// Defines libc's import `name` as a call of the page's function of that name with fresh views.
#define WEBSLM_FORWARD(name, parameters, arguments)                        \
  extern "C" WEBSLM_WASI(name) int32_t webslm_page_##name parameters;      \
  extern "C" int32_t __imported_wasi_snapshot_preview1_##name parameters { \
    RefreshViews();                                                        \
    return webslm_page_##name arguments;                                   \
  }

WEBSLM_FORWARD(clock_time_get, (int32_t clock, int64_t precision, int32_t time),
               (clock, precision, time))
WEBSLM_FORWARD(environ_get, (int32_t pointers, int32_t text), (pointers, text))
WEBSLM_FORWARD(environ_sizes_get, (int32_t count, int32_t size), (count, size))
WEBSLM_FORWARD(fd_read, (int32_t file, int32_t parts, int32_t count, int32_t moved),
               (file, parts, count, moved))
WEBSLM_FORWARD(fd_seek, (int32_t file, int64_t offset, int32_t whence, int32_t position),
               (file, offset, whence, position))
WEBSLM_FORWARD(fd_write, (int32_t file, int32_t parts, int32_t count, int32_t moved),
               (file, parts, count, moved))

// web-llm has no fd_fdstat_get. libc asks it whether a file is a terminal, which makes standard
// output flush at line ends; no other file exists.
extern "C" int32_t __imported_wasi_snapshot_preview1_fd_fdstat_get(int32_t file, int32_t result) {
  constexpr int32_t kBadDescriptor = 8;
  constexpr uint8_t kCharacterDevice = 2;
  constexpr size_t kStatBytes = 24;
  if (file < 0 || file > 2) return kBadDescriptor;
  auto* stat = reinterpret_cast<uint8_t*>(result);
  std::memset(stat, 0, kStatBytes);
  stat[0] = kCharacterDevice;
  return 0;
}
