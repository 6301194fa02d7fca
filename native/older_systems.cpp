// Lets a binary that was built on a new Linux load on one with glibc 2.28 and the libstdc++ of GCC 8.
//
// Newer headers and libraries make ordinary code ask for symbols (or for versions of them) that such a system does not
// have, and the loader then refuses the whole add-on. Each is defined here instead, hidden in this binary; nothing
// calls this file by name. scripts/check_glibc.mjs tells when another one is needed. libm's are math/libm.h's.
#include <condition_variable>
#include <mutex>
#include <new>

#if defined(__GLIBC__) && defined(__GLIBCXX__)

#include <pthread.h>

#if defined(__x86_64__)
#define TURNWISE_PTHREAD_VERSION "GLIBC_2.2.5"
#elif defined(__aarch64__)
#define TURNWISE_PTHREAD_VERSION "GLIBC_2.17"
#endif

extern "C" {

// glibc 2.32. std::shared_ptr skips atomic counting where this is true; false is always right.
extern char __libc_single_threaded;
char __libc_single_threaded = 0;

#if defined(TURNWISE_PTHREAD_VERSION)
// glibc 2.34 moved this function from libpthread to libc, and with that gave it a new version.
int turnwiseMutexTryLock(pthread_mutex_t* mutex) noexcept;
__asm__(".symver turnwiseMutexTryLock, pthread_mutex_trylock@" TURNWISE_PTHREAD_VERSION);
int pthread_mutex_trylock(pthread_mutex_t* mutex) noexcept {
  return turnwiseMutexTryLock(mutex);
}
#endif

}  // extern "C"

namespace std {

#if _GLIBCXX_RELEASE >= 12
// GCC 12 made it noexcept, under a new version.
void condition_variable::wait(unique_lock<mutex>& lock) noexcept {
  pthread_cond_wait(native_handle(), lock.mutex()->native_handle());
}
#endif

#if _GLIBCXX_RELEASE >= 11
// GCC 11: what a container does with a length above its maximum.
void __throw_bad_array_new_length() {
  throw bad_array_new_length();
}
#endif

}  // namespace std

#endif
