// The emulation of test/cuda/emulation against planted bugs: each is caught, and its correct twin passes under every
// schedule. Every scenario runs in a process of its own, since most bugs end theirs.
//
//   g++ -std=c++17 -O1 -g -I test/cuda/emulation test/cuda/emulation_test.cpp -o emulation_test -pthread
//
// and the same with -fsanitize=address and -fsanitize=thread.
#include <chrono>

#include "emulation_test/harness.h"
#include "emulation_test/kernels.h"
#include "emulation_test/runtime.h"
#include "emulation_test/transfers.h"

static void barriers() {
  passes("a barrier before a cross-warp read", crossWarpRead<false>);
  isCaught("no barrier before a cross-warp read", crossWarpRead<true>, kTsan ? "data race" : "",
           kTsan ? Caught::always : Caught::sometimes);
  passes("one barrier for all", divergentBarrier<false>);
  isCaught("a divergent barrier", divergentBarrier<true>, "divergent barrier");
  passes("a shuffle of all lanes", divergentShuffle<false>);
  isCaught("a divergent shuffle", divergentShuffle<true>, "threads wait at a shuffle");
  passes("votes of half warps", ownMask<false>);
  isCaught("a lane that is not in its own mask", ownMask<true>, "is not in its own mask");
  passes("a peer's shared memory", exitedPeer<false>);
  if (!kTsan)
    isCaught("the shared memory of a peer that has exited", exitedPeer<true>,
             kAsan ? "heap-use-after-free" : "a peer that has exited", Caught::sometimes);
  passes("blocks that keep apart", racingBlocks<false>);
  if (kTsan) isCaught("two blocks that write the same place", racingBlocks<true>, "data race");
}

static void memoryAccesses() {
  passes("shared memory that was written", unwritten<false>);
  isCaught("shared memory that nobody has written", unwritten<true>, "isRamp");
  passes("a copy of vectors", overrun<Overrun::none>);
  if (kAsan) {
    isCaught("a vector read beyond the end", overrun<Overrun::read>, "heap-buffer-overflow");
    isCaught("a vector written beyond the end", overrun<Overrun::write>, "heap-buffer-overflow");
  }
  if (!kTsan)
    isCaught("a write beyond shared memory", overrun<Overrun::shared>,
             kAsan ? "heap-buffer-overflow" : "beyond its block's shared memory");
  passes("host code that downloads", hostDereference<false>);
  if (kPlain) isCaught("host code that dereferences", hostDereference<true>, "host code touched device memory");
  passes("a kernel with device pointers", hostPointerArgument<false>);
  isCaught("a kernel with a host pointer", hostPointerArgument<true>, "neither device memory nor pinned memory");
  passes("calls that fit on the stack", deepStack<false>);
  if (kPlain) isCaught("calls that do not fit on the stack", deepStack<true>, "stack is full");
  passes("host code that waits", hostReadsEarly<false>);
  isCaught("host code that reads too early", hostReadsEarly<true>, "host[3] == 3");
  passes("a stream that waits for another", streamWait<false>);
  isCaught("a stream that does not wait for another", streamWait<true>, "isRamp");
}

static void transfers() {
  passes("bulk loads", bulkLoads<LoadBug::none>);
  isCaught("a bulk load read too early", bulkLoads<LoadBug::notWaited>, kTsan ? "data race" : "isRamp");
  isCaught("a bulk load that nobody waits for", bulkLoads<LoadBug::neverWaited>, kTsan ? "" : "nobody waited");
  isCaught("fewer bytes expected than come", bulkLoads<LoadBug::tooFewExpected>, "bytes are expected");
  isCaught("more bytes expected than come", bulkLoads<LoadBug::tooManyExpected>, "bytes in flight");
  isCaught("a misaligned bulk load", bulkLoads<LoadBug::misaligned>, "misaligned");
  isCaught("a wait with the wrong phase", bulkLoads<LoadBug::wrongPhase>, "wrong phase");
  isCaught("a second wait for the first phase", bulkLoads<LoadBug::secondPhase>, "wrong phase");
  isCaught("a barrier used before it is initialised", bulkLoads<LoadBug::notShared>, "",
           kTsan ? Caught::always : Caught::sometimes);
  isCaught("a tile refilled while it is read", bulkLoads<LoadBug::refilledEarly>, kTsan ? "data race" : "isRamp",
           kTsan ? Caught::always : Caught::sometimes);
  passes("a tile read before its next load", staleReads<false>);
  isCaught("a tile read after its next load was started", staleReads<true>, "isRamp");
  isCaught("bulk loads on a device that has none", bulkLoadsOnOldDevice, "has no bulk copies");
  passes("bulk stores", bulkStores<StoreBug::none>);
  isCaught("a bulk store's source overwritten", bulkStores<StoreBug::overwritten>, "isRamp");
  isCaught("a bulk store that nobody waits for", bulkStores<StoreBug::neverWaited>, "never waited");
  isCaught("a misaligned bulk store", bulkStores<StoreBug::misaligned>, "misaligned");
}

static void runtimeCalls() {
  passes("memory and copies", memoryRules);
  passes("staged copies", stagedCopies);
  passes("refused launches", refusedLaunches);
  passes("an older device", otherDevices);
  passes("no device", noDevice);
  passes("an old driver", oldDriver);
  passes("planned failures", plannedFailures);
  passes("graphs", graphs<false>);
  isCaught("a graph without an edge", graphs<true>, "isRamp", Caught::sometimes);
  passes("rules of captures", captureRules);
  passes("host functions", hostFunctions);
  passes("host threads", hostThreads);
  passes("conversions", conversions);
  passes("shuffles", shuffles);
}

int main() {
  const auto start = std::chrono::steady_clock::now();
  barriers();
  memoryAccesses();
  transfers();
  runtimeCalls();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::printf("%d failed, %.1f s\n", failures, seconds);
  return failures == 0 ? 0 : 1;
}
