// What a model library needs from a C++ runtime beyond zig's: a throw that says what was thrown and
// then traps.
// Objects are compiled with exceptions ignored: a throw can never be caught, so it must be loud.
#include <tvm/ffi/error.h>

#include <cstdlib>
#include <cstring>
#include <exception>
#include <typeinfo>

#include <cxxabi.h>
#include <unistd.h>

// Marks of the two kinds of type_info that have base classes (Itanium C++ ABI, section 2.9.5).
extern "C" const void* const _ZTVN10__cxxabiv120__si_class_type_infoE[];
extern "C" const void* const _ZTVN10__cxxabiv121__vmi_class_type_infoE[];

namespace {

struct TypeInfoLayout {
  const void* const* table;
  const char* name;
};
struct OneBaseLayout : TypeInfoLayout {
  const std::type_info* base;
};
struct BaseLayout {
  const std::type_info* type;
  long flags;
};
struct ManyBasesLayout : TypeInfoLayout {
  unsigned flags;
  unsigned count;
  BaseLayout bases[1];
};

constexpr long kVirtualBase = 1;
constexpr int kOffsetShift = 8;

// Finds the `wanted` part of a thrown object; null when it has none (or behind a virtual base).
const void* FindPart(const void* object, const std::type_info* type, const std::type_info& wanted) {
  if (*type == wanted) return object;
  auto* layout = reinterpret_cast<const TypeInfoLayout*>(type);
  // A type_info points two words into its table: past the offset and the table's own type.
  if (layout->table == _ZTVN10__cxxabiv120__si_class_type_infoE + 2) {
    return FindPart(object, static_cast<const OneBaseLayout*>(layout)->base, wanted);
  }
  if (layout->table != _ZTVN10__cxxabiv121__vmi_class_type_infoE + 2) return nullptr;
  auto* many = static_cast<const ManyBasesLayout*>(layout);
  for (unsigned i = 0; i < many->count; ++i) {
    const BaseLayout& base = many->bases[i];
    if (base.flags & kVirtualBase) continue;
    const void* part = static_cast<const char*>(object) + (base.flags >> kOffsetShift);
    if (const void* found = FindPart(part, base.type, wanted)) return found;
  }
  return nullptr;
}

// Straight to the file descriptor: no stream may be trusted once something was thrown.
void Print(const char* text, size_t size) {
  while (size > 0) {
    ssize_t moved = write(STDERR_FILENO, text, size);
    if (moved <= 0) return;
    text += moved;
    size -= static_cast<size_t>(moved);
  }
}

void Print(const char* text) { Print(text, std::strlen(text)); }

[[noreturn]] void Trap() {
  // web-llm shows a line only when it is complete.
  Print("\n");
  __builtin_trap();
}

void PrintTypeName(const std::type_info* type) {
  int status = 0;
  char* name = abi::__cxa_demangle(type->name(), nullptr, nullptr, &status);
  Print(name != nullptr ? name : type->name());
}

void PrintThrown(const void* object, const std::type_info* type) {
  Print("webslm: uncaught C++ exception ");
  PrintTypeName(type);
  if (const void* error = FindPart(object, type, typeid(tvm::ffi::Error))) {
    auto* known = static_cast<const tvm::ffi::Error*>(error);
    auto* cell = static_cast<const tvm::ffi::ErrorObj*>(known->get());
    Print(": ");
    Print(cell->kind.data, cell->kind.size);
    Print(": ");
    Print(cell->message.data, cell->message.size);
    Print("\n");
    // Its last line end is Trap's.
    Print(cell->backtrace.data, cell->backtrace.size == 0 ? 0 : cell->backtrace.size - 1);
  } else if (const void* plain = FindPart(object, type, typeid(std::exception))) {
    Print(": ");
    Print(static_cast<const std::exception*>(plain)->what());
  }
}

}  // namespace

extern "C" {

void* __cxa_allocate_exception(size_t size) noexcept { return std::malloc(size); }

void __cxa_free_exception(void* object) noexcept { std::free(object); }

void __cxa_throw(void* object, std::type_info* type, void* (*)(void*)) {
  // Describing the error may fail in turn (memory gone, object broken): then the trap alone tells.
  static bool throwing = false;
  if (!throwing) {
    throwing = true;
    PrintThrown(object, type);
  }
  Trap();
}

// The page drops the whole instance: destructors of thread-local objects never run.
int __cxa_thread_atexit(void (*)(void*), void*, void*) noexcept { return 0; }

void abort() {
  Print("webslm: the C++ runtime called abort()");
  Trap();
}

}  // extern "C"
