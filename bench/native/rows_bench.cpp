// The row kernels beside the memory floor, in one run.
//
//   SOURCES="bench/native/rows_bench.cpp $(ls native/cpu/*.cpp native/cpu/{credit,loss,rows}/*.cpp)"
//   g++ -std=c++17 -O3 -ffp-contract=off -fno-math-errno -pthread $SOURCES -o build/rows_bench
//   build/rows_bench [rows] [columns] [repeats]
//
// Floor: the fastest loop that reads the same bytes (for forward), or reads and writes them in place (for forward and
// gradient), on the same threads in the same pieces of work, minimum over prefetch hints and distances; measured in
// turn with the kernels. Each result is one line for people and one JSON line. A kernel faster than its floor means
// that the floor is wrong: exit 1.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "../../native/cpu/cpu_features.h"
#include "../../native/cpu/rows/forward_pass.h"
#include "../../native/cpu/rows/gradient_pass.h"
#include "../../native/cpu/rows/parallel_rows.h"
#include "../../native/cpu/simd/half.h"

using namespace turnwise;

namespace {

// ---------------------------------------------------------------------------------------------------- floor

/// 64 bytes as the compiler's generic vector: one AVX-512 register, two of AVX2, four of SSE.
using Line = uint64_t __attribute__((vector_size(64), aligned(1), may_alias));

#if defined(__x86_64__)
#define WIDEST __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define WIDEST
#endif

#define FLOOR_LOOPS(name, hint)                                                                                        \
  WIDEST uint64_t read##name(unsigned char* p, size_t bytes, size_t distance) {                                        \
    Line a{}, b{}, c{}, d{};                                                                                           \
    for (size_t i = 0; i + 256 <= bytes; i += 256) {                                                                   \
      if (hint >= 0) {                                                                                                 \
        __builtin_prefetch(p + i + distance, 0, hint < 0 ? 0 : hint);                                                  \
        __builtin_prefetch(p + i + 64 + distance, 0, hint < 0 ? 0 : hint);                                             \
        __builtin_prefetch(p + i + 128 + distance, 0, hint < 0 ? 0 : hint);                                            \
        __builtin_prefetch(p + i + 192 + distance, 0, hint < 0 ? 0 : hint);                                            \
      }                                                                                                                \
      a |= *reinterpret_cast<const Line*>(p + i);                                                                      \
      b |= *reinterpret_cast<const Line*>(p + i + 64);                                                                 \
      c |= *reinterpret_cast<const Line*>(p + i + 128);                                                                \
      d |= *reinterpret_cast<const Line*>(p + i + 192);                                                                \
    }                                                                                                                  \
    a |= b | c | d;                                                                                                    \
    return a[0] | a[1] | a[2] | a[3] | a[4] | a[5] | a[6] | a[7];                                                      \
  }                                                                                                                    \
  WIDEST uint64_t write##name(unsigned char* p, size_t bytes, size_t distance) {                                       \
    const Line flip = Line{} + 0x0000000100000001ull;                                                                  \
    for (size_t i = 0; i + 256 <= bytes; i += 256) {                                                                   \
      for (size_t j = 0; j < 256; j += 64) {                                                                           \
        if (hint >= 0) __builtin_prefetch(p + i + j + distance, 0, hint < 0 ? 0 : hint);                               \
        *reinterpret_cast<Line*>(p + i + j) ^= flip;                                                                   \
      }                                                                                                                \
    }                                                                                                                  \
    return 0;                                                                                                          \
  }
FLOOR_LOOPS(Plain, -1)
FLOOR_LOOPS(L1, 3)
FLOOR_LOOPS(L2, 2)
FLOOR_LOOPS(Nta, 0)

struct FloorLoop {
  const char* name;
  uint64_t (*loop)(unsigned char*, size_t, size_t);
  size_t distance;
};

std::vector<FloorLoop> floorLoops(bool writes) {
  std::vector<FloorLoop> loops{{"none", writes ? writePlain : readPlain, 0}};
  for (size_t distance : {1024, 2048, 4096, 8192}) {
    loops.push_back({"L1", writes ? writeL1 : readL1, distance});
    loops.push_back({"L2", writes ? writeL2 : readL2, distance});
    loops.push_back({"nta", writes ? writeNta : readNta, distance});
  }
  return loops;
}

// ---------------------------------------------------------------------------------------------------- data

struct Batch {
  Batch(size_t rows, size_t columns, DType type)
      : count(rows), width(columns), dtype(type), bytes(rows * columns * sizeOf(type)) {
    logits = allocate(bytes);
    original = allocate(bytes);
    std::mt19937_64 random(1);
    std::normal_distribution<float> normal(0, 2.5f);
    std::vector<float> values(1 << 20);
    for (float& value : values) value = normal(random);
    for (size_t n = 0; n < rows; ++n) {
      const size_t offset = random() & (values.size() - 1);
      const size_t target = random() % columns;
      for (size_t v = 0; v < columns; ++v) {
        const float top = v == target && n % 2 ? 15.0f : 0.0f;  // every second row is peaked, as a trained policy's are
        cpu::storeElement(original + n * columns * sizeOf(type), type, v,
                          values[(offset + 7 * v) & (values.size() - 1)] + top);
      }
      targets.push_back(static_cast<int32_t>(target));
    }
    restore();
    logProbs.resize(rows);
    logSumExp.resize(rows);
    entropy.resize(rows);
    coefficients.assign(rows, 0.37);
    entropyCoefficients.assign(rows, -0.01);
  }
  ~Batch() {
    std::free(logits);
    std::free(original);
  }
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;

  static unsigned char* allocate(size_t size) {
    constexpr size_t kHugePage = size_t{2} << 20;
    auto* p = static_cast<unsigned char*>(std::aligned_alloc(kHugePage, (size + kHugePage) / kHugePage * kHugePage));
#if defined(__linux__)
    madvise(p, size, MADV_HUGEPAGE);
#endif
    return p;
  }
  void restore() {
    std::memcpy(logits, original, bytes);
  }

  GatherLogProbs gather(bool withEntropy) {
    GatherLogProbs args;
    args.logits = {logits, dtype, count, width};
    args.targets = {targets.data(), count};
    args.temperature = 0.9;
    args.logProbs = {logProbs.data(), count};
    args.logSumExp = {logSumExp.data(), count};
    if (withEntropy) args.entropy = {entropy.data(), count};
    return args;
  }
  LogitsGradient gradient(bool withEntropy) {
    LogitsGradient args;
    args.logits = {logits, dtype, count, width};
    args.targets = {targets.data(), count};
    args.logProbs = {logProbs.data(), count};
    args.logSumExp = {logSumExp.data(), count};
    args.coefficients = {coefficients.data(), count};
    if (withEntropy) {
      args.entropy = {entropy.data(), count};
      args.entropyCoefficients = {entropyCoefficients.data(), count};
    }
    args.temperature = 0.9;
    args.gradScale = 1;
    args.gradient = {logits, dtype, count, width};
    return args;
  }

  size_t count, width;
  DType dtype;
  size_t bytes;
  unsigned char *logits, *original;
  std::vector<int32_t> targets;
  std::vector<float> logProbs, entropy;
  std::vector<double> logSumExp, coefficients, entropyCoefficients;
};

// ---------------------------------------------------------------------------------------------------- measuring

struct Timing {
  std::string name;
  std::function<void()> work;
  bool writes;
  std::vector<double> seconds;

  void run(Batch& batch) {
    if (writes) batch.restore();
    const auto begin = std::chrono::steady_clock::now();
    work();
    seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  double fastest() const { return *std::min_element(seconds.begin(), seconds.end()); }
  double median() const {
    std::vector<double> sorted = seconds;
    std::sort(sorted.begin(), sorted.end());
    return sorted[sorted.size() / 2];
  }
};

volatile uint64_t sink;

Timing floorTiming(Batch& batch, const FloorLoop& loop, bool writes) {
  const Context context;
  return {std::string(loop.name) + (loop.distance ? "+" + std::to_string(loop.distance) : ""),
          [&batch, loop, context] {
            const ConstRows rows{batch.logits, batch.dtype, batch.count, batch.width};
            const size_t rowBytes = batch.width * sizeOf(batch.dtype);
            cpu::forEachRow(cpu::ThreadPool::instance(), context, rows,
                            [&](size_t n) { sink = loop.loop(batch.logits + n * rowBytes, rowBytes, loop.distance); });
          },
          writes,
          {}};
}

/// The fastest floor loops, so that only they are measured beside the kernels.
std::vector<Timing> bestFloors(Batch& batch, bool writes) {
  std::vector<Timing> floors;
  for (const FloorLoop& loop : floorLoops(writes)) floors.push_back(floorTiming(batch, loop, writes));
  for (int i = 0; i < 3; ++i) {
    for (Timing& floor : floors) floor.run(batch);
  }
  std::sort(floors.begin(), floors.end(), [](const Timing& a, const Timing& b) { return a.fastest() < b.fastest(); });
  floors.resize(3);
  return floors;
}

std::vector<Timing> kernelTimings(Batch& batch) {
  std::vector<Timing> timings;
  for (const char* target : cpu::simdTargets()) {
    if (!std::strcmp(target, "baseline")) continue;
    const auto add = [&](const char* name, bool entropy, bool gradient) {
      timings.push_back({std::string(target) + " " + name,
                         [&batch, target, entropy, gradient] {
                           cpu::setSimdTarget(target);
                           const Context context;
                           const GatherLogProbs gather = batch.gather(entropy);
                           const LogitsGradient args = batch.gradient(entropy);
                           cpu::ForwardPass forward(gather, cpu::rowKernels());
                           cpu::GradientPass backward(args, cpu::rowKernels());
                           cpu::forEachRow(cpu::ThreadPool::instance(), context, gather.logits, [&](size_t n) {
                             forward.row(n);
                             if (gradient) backward.row(n, true);
                           });
                         },
                         gradient,
                         {}});
    };
    add("forward", false, false);
    add("forward+entropy", true, false);
    add("forward+gradient", false, true);
    add("forward+gradient, entropy bonus", true, true);
  }
  return timings;
}

bool measure(Batch& batch, const char* dtype, size_t threads, int repeats) {
  cpu::ThreadPool::instance().setThreads(threads);
  std::vector<Timing> floors = bestFloors(batch, false), writeFloors = bestFloors(batch, true);
  std::vector<Timing> kernels = kernelTimings(batch);
  for (int i = 0; i < repeats; ++i) {
    for (Timing& kernel : kernels) {
      kernel.run(batch);
      for (Timing& floor : kernel.writes ? writeFloors : floors) floor.run(batch);
    }
    batch.restore();
  }
  const double perLogit = 1e9 / (static_cast<double>(batch.count) * static_cast<double>(batch.width));
  bool sound = true;
  const auto best = [](const std::vector<Timing>& list) {
    return *std::min_element(list.begin(), list.end(), [](auto& a, auto& b) { return a.fastest() < b.fastest(); });
  };
  const auto report = [&](const Timing& timing, const Timing& floor) {
    const double ratio = timing.fastest() / floor.fastest(), medianRatio = timing.median() / floor.median();
    if (ratio < 1) sound = false;
    std::printf(
        "%-4s %zu threads  %-39s min %.4f  median %.4f ns/logit   floor %.4f / %.4f (%s)   ratio %.2f (median %.2f)\n",
        dtype, threads, timing.name.c_str(), timing.fastest() * perLogit, timing.median() * perLogit,
        floor.fastest() * perLogit, floor.median() * perLogit, floor.name.c_str(), ratio, medianRatio);
    std::printf(
        "{\"bench\":\"rows\",\"dtype\":\"%s\",\"rows\":%zu,\"columns\":%zu,\"threads\":%zu,\"kernel\":\"%s\","
        "\"nsPerLogit\":%.5f,"
        "\"nsPerLogitMedian\":%.5f,\"floor\":%.5f,\"ratio\":%.3f,\"ratioMedian\":%.3f}\n",
        dtype, batch.count, batch.width, threads, timing.name.c_str(), timing.fastest() * perLogit,
        timing.median() * perLogit, floor.fastest() * perLogit, ratio, medianRatio);
  };
  const Timing floor = best(floors), writeFloor = best(writeFloors);
  for (const Timing& kernel : kernels) report(kernel, kernel.writes ? writeFloor : floor);
  std::fflush(stdout);
  return sound;
}

}  // namespace

int main(int argc, char** argv) {
  const size_t rows = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 2048;
  const size_t columns = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 32000;
  const int repeats = argc > 3 ? std::atoi(argv[3]) : 7;
  const size_t all = cpu::ThreadPool::instance().threads();
  bool sound = true;
  for (const DType dtype : {DType::f32, DType::bf16}) {
    Batch batch(rows, columns, dtype);
    for (size_t threads : all > 1 ? std::vector<size_t>{1, all} : std::vector<size_t>{1}) {
      sound &= measure(batch, dtype == DType::f32 ? "f32" : "bf16", threads, repeats);
    }
  }
  if (!sound) std::printf("a kernel beat its floor: the floor is wrong\n");
  return sound ? 0 : 1;
}
