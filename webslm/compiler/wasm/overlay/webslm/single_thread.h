// Force-included before every unit: stand-ins for the locks that libc++ lacks without threads.
// A WebAssembly instance without shared memory has one thread, so a lock is never contended.
#ifndef WEBSLM_OVERLAY_SINGLE_THREAD_H_
#define WEBSLM_OVERLAY_SINGLE_THREAD_H_

#ifdef __cplusplus
#include <mutex>

#if _LIBCPP_HAS_THREADS
#error "libc++ has threads here: these stand-ins would collide with the real ones"
#endif

namespace std {

class mutex {
 public:
  constexpr mutex() noexcept = default;
  mutex(const mutex&) = delete;
  mutex& operator=(const mutex&) = delete;
  void lock() noexcept {}
  bool try_lock() noexcept { return true; }
  void unlock() noexcept {}
};

class recursive_mutex : public mutex {};

template <typename... Mutexes>
class scoped_lock {
 public:
  explicit scoped_lock(Mutexes&...) noexcept {}
  scoped_lock(const scoped_lock&) = delete;
  scoped_lock& operator=(const scoped_lock&) = delete;
  // A destructor of its own keeps "unused variable" warnings away.
  ~scoped_lock() noexcept {}
};

}  // namespace std
#endif  // __cplusplus

#endif  // WEBSLM_OVERLAY_SINGLE_THREAD_H_
