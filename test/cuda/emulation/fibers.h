// Stacks of their own for the threads of a kernel, and the change from one to the next.
//
// The sanitizers are told of every change. Under TSan each CUDA thread is a TSan thread and a change orders nothing:
// only what the kernel itself synchronises is ordered, so that a missing barrier is a race report with both lines.
#pragma once
#include <sys/mman.h>
#include <unistd.h>

#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#if defined(__SANITIZE_THREAD__)
#define TURNWISE_EMULATION_TSAN 1
#include <sanitizer/tsan_interface.h>
extern "C" {
void AnnotateIgnoreReadsBegin(const char*, int);
void AnnotateIgnoreReadsEnd(const char*, int);
void AnnotateIgnoreWritesBegin(const char*, int);
void AnnotateIgnoreWritesEnd(const char*, int);
}
#else
#define TURNWISE_EMULATION_TSAN 0
#endif

#if defined(__SANITIZE_ADDRESS__)
#define TURNWISE_EMULATION_ASAN 1
#include <sanitizer/common_interface_defs.h>
#else
#define TURNWISE_EMULATION_ASAN 0
#endif

// TURNWISE_EMULATION_UCONTEXT takes the portable switch where there is a faster one.
#if !defined(__x86_64__) && !defined(TURNWISE_EMULATION_UCONTEXT)
#define TURNWISE_EMULATION_UCONTEXT
#endif
#if defined(TURNWISE_EMULATION_UCONTEXT)
#include <ucontext.h>
#endif

namespace turnwise::emulation {

/// Tests and people look for this prefix.
[[noreturn]] __attribute__((format(printf, 1, 2))) inline void fail(const char* format, ...) {
  va_list values;
  va_start(values, format);
  std::fputs("emulated CUDA: ", stderr);
  std::vfprintf(stderr, format, values);
  std::fputc('\n', stderr);
  va_end(values);
  std::fflush(stderr);
  std::abort();
}

/// While one lives, TSan does not look at the accesses of its thread: the emulation's own state is no part of a kernel.
class Quiet {
 public:
#if TURNWISE_EMULATION_TSAN
  Quiet() {
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
  }
  ~Quiet() {
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
  }
#else
  Quiet() {}
  ~Quiet() {}
#endif
  Quiet(const Quiet&) = delete;
  Quiet& operator=(const Quiet&) = delete;
};

/// Within a Quiet scope: a copy that the kernel asked for, which TSan shall see.
inline void copyLoudly(void* to, const void* from, size_t bytes) {
#if TURNWISE_EMULATION_TSAN
  AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
  AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
#endif
  std::memcpy(to, from, bytes);
#if TURNWISE_EMULATION_TSAN
  AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
  AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
#endif
}

/// What a thread did before releasing a tag is ordered before what another does after acquiring it.
inline void release([[maybe_unused]] char* tag) {
#if TURNWISE_EMULATION_TSAN
  __tsan_release(tag);
#endif
}
inline void acquire([[maybe_unused]] char* tag) {
#if TURNWISE_EMULATION_TSAN
  __tsan_acquire(tag);
#endif
}

constexpr size_t kPage = 4096;
constexpr size_t kGuardBytes = 64 << 10;  // more than a frame, which could otherwise lie beyond the guard
constexpr size_t kStackBytes = kGuardBytes + (128 << 10);
constexpr size_t kMaxFibers = 8 * 1024;
/// Under TSan two clusters that run one after the other have different threads, so that they can race.
constexpr size_t kFiberSets = TURNWISE_EMULATION_TSAN ? 2 : 1;

/// A place to continue. Without a stack of its own it is the host thread that runs the kernel.
struct Fiber {
  unsigned char* stack = nullptr;
  void* stackPointer = nullptr;  // while it does not run
  const void* stackBottom = nullptr;
  size_t stackBytes = 0;
  void* fakeStack = nullptr;  // ASan's
  void* identity = nullptr;   // TSan's
#if defined(TURNWISE_EMULATION_UCONTEXT)
  ucontext_t context;
#endif
};

#if !defined(TURNWISE_EMULATION_UCONTEXT)
/// Pushes what a function call must preserve, keeps the stack pointer in *from, and returns on the stack `to`.
/// noipa: the compiler must not conclude from the body that other registers survive.
__attribute__((naked, noipa)) inline void switchStacks(void** /*from*/, void* /*to*/) {
  __asm__ volatile(
      "push %rbp\n\tpush %rbx\n\tpush %r12\n\tpush %r13\n\tpush %r14\n\tpush %r15\n\t"
      "mov %rsp, (%rdi)\n\tmov %rsi, %rsp\n\t"
      "pop %r15\n\tpop %r14\n\tpop %r13\n\tpop %r12\n\tpop %rbx\n\tpop %rbp\n\tret");
}
#endif

/// Who gave way to the fiber that runs now.
inline Fiber* previousFiber = nullptr;

/// To be called first on a fiber that continues.
inline void arrived([[maybe_unused]] Fiber& self) {
#if TURNWISE_EMULATION_ASAN
  __sanitizer_finish_switch_fiber(self.fakeStack, &previousFiber->stackBottom, &previousFiber->stackBytes);
#endif
}

/// Gives way; returns when somebody switches back.
__attribute__((no_sanitize("thread"))) inline void switchFibers(Fiber& from, Fiber& to) {
  previousFiber = &from;
#if TURNWISE_EMULATION_TSAN
  __tsan_switch_to_fiber(to.identity, __tsan_switch_to_fiber_no_sync);
#endif
#if TURNWISE_EMULATION_ASAN
  __sanitizer_start_switch_fiber(&from.fakeStack, to.stackBottom, to.stackBytes);
#endif
#if !defined(TURNWISE_EMULATION_UCONTEXT)
  switchStacks(&from.stackPointer, to.stackPointer);
#else
  swapcontext(&from.context, &to.context);
#endif
  arrived(from);
}

/// All stacks, one behind the other, each above a guard that nobody may touch. They are used again.
class Stacks {
 public:
  Stacks() {
    memory_ = static_cast<unsigned char*>(mmap(nullptr, kFiberSets * kMaxFibers * kStackBytes, PROT_READ | PROT_WRITE,
                                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    if (memory_ == MAP_FAILED) fail("no address space for stacks");
  }

  unsigned char* at(size_t index) {
    for (; !TURNWISE_EMULATION_TSAN && guarded_ <= index; ++guarded_)
      mprotect(memory_ + guarded_ * kStackBytes, kGuardBytes, PROT_NONE);
    return memory_ + index * kStackBytes;
  }

  /// Whether a thread that used up its stack touched this address.
  bool isGuard(const void* address) const {
    const auto offset = static_cast<size_t>(static_cast<const unsigned char*>(address) - memory_);
    return offset < guarded_ * kStackBytes && offset % kStackBytes < kGuardBytes;
  }

 private:
  unsigned char* memory_;
  size_t guarded_ = 0;
};

/// Lets the fiber start with main(), which must not return.
inline void prepareFiber(Fiber& fiber, unsigned char* stack, void (*main)()) {
  fiber.stack = stack;
  fiber.stackBottom = stack;
  fiber.stackBytes = kStackBytes;
#if TURNWISE_EMULATION_TSAN
  fiber.identity = __tsan_create_fiber(0);
#endif
#if !defined(TURNWISE_EMULATION_UCONTEXT)
  void** top = reinterpret_cast<void**>(stack + kStackBytes) - 8;
  *--top = nullptr;  // main() finds the stack as after a call: 8 below a multiple of 16
  *--top = reinterpret_cast<void*>(main);
  for (int saved = 0; saved < 6; ++saved) *--top = nullptr;
  fiber.stackPointer = top;
#else
  getcontext(&fiber.context);
  fiber.context.uc_stack.ss_sp = stack;
  fiber.context.uc_stack.ss_size = kStackBytes;
  fiber.context.uc_link = nullptr;
  makecontext(&fiber.context, main, 0);
#endif
}

}  // namespace turnwise::emulation
