// Scenarios in processes of their own, under every schedule, and small helpers to write them with.
#pragma once
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <iterator>
#include <string>
#include <vector>

#include "../../../cuda/device/platform.cuh"

using namespace turnwise::cuda;  // as the kernels' own files do

#if defined(__SANITIZE_THREAD__)
constexpr bool kAsan = false, kTsan = true;
extern "C" inline __attribute__((used)) const char* __tsan_default_options() {
  return "halt_on_error=1:atexit_sleep_ms=0:symbolize=0";  // a race is enough; TSAN_OPTIONS=symbolize=1 says where
}
#elif defined(__SANITIZE_ADDRESS__)
constexpr bool kAsan = true, kTsan = false;
extern "C" inline __attribute__((used)) const char* __asan_default_options() {
  return "detect_leaks=0";
}
#else
constexpr bool kAsan = false, kTsan = false;
#endif
constexpr bool kPlain = !kAsan && !kTsan;

#define REQUIRE(condition)                                                                                             \
  do {                                                                                                                 \
    if (!(condition)) {                                                                                                \
      std::fprintf(stderr, "line %d: %s\n", __LINE__, #condition);                                                     \
      return false;                                                                                                    \
    }                                                                                                                  \
  } while (false)

constexpr unsigned kThreads = 96;

template <class... Parameters, class... Arguments>
cudaError_t launch(void (*kernel)(Parameters...), unsigned blocks, unsigned cluster, size_t shared, cudaStream_t stream,
                   Arguments... arguments) {
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeClusterDimension;
  attribute.val.clusterDim = {cluster, 1, 1};
  const cudaLaunchConfig_t config{dim3(blocks), dim3(kThreads), shared, stream, &attribute, cluster > 1 ? 1u : 0u};
  return cudaLaunchKernelEx(&config, kernel, arguments...);
}

/// Floats on the device: 0, 1, 2, ... or, without a start, poison.
inline float* deviceFloats(size_t count, bool filled = true) {
  float* data = nullptr;
  cudaMalloc(&data, count * sizeof(float));
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = static_cast<float>(i);
  if (filled) cudaMemcpy(data, values.data(), count * sizeof(float), cudaMemcpyHostToDevice);
  return data;
}

inline std::vector<float> download(const float* data, size_t count) {
  std::vector<float> values(count);
  cudaMemcpy(values.data(), data, count * sizeof(float), cudaMemcpyDeviceToHost);
  return values;
}

inline bool isRamp(const std::vector<float>& values, float first = 0, float step = 1) {
  for (size_t i = 0; i < values.size(); ++i)
    if (values[i] != first + step * static_cast<float>(i)) return false;
  return true;
}

struct Outcome {
  bool clean;
  std::string output;
};

inline Outcome inChild(const char* schedule, bool (*scenario)()) {
  int ends[2];
  if (pipe(ends) != 0) std::abort();
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDERR_FILENO);
    close(ends[0]);
    setenv("TURNWISE_EMULATION_SCHEDULE", schedule, 1);
    _exit(scenario() ? 0 : 1);
  }
  close(ends[1]);
  Outcome outcome{false, ""};
  std::array<char, 4096> part;
  for (ssize_t got; (got = read(ends[0], part.data(), part.size())) > 0;) outcome.output.append(part.data(), got);
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  outcome.clean = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  return outcome;
}

inline int failures = 0;

inline void say(const char* name, bool good, const std::string& why) {
  if (good) {
    std::printf("ok %s\n", name);
  } else {
    std::printf("FAILED %s: %s\n", name, why.c_str());
    ++failures;
  }
  std::fflush(stdout);  // or children would print it again
}

#if defined(__SANITIZE_THREAD__)
constexpr const char* kSchedules[] = {"descending", "random:7"};  // it sees a race under any
#else
constexpr const char* kSchedules[] = {"ascending", "descending", "random:1", "random:7"};
#endif

inline void passes(const char* name, bool (*scenario)()) {
  std::string why;
  for (const char* schedule : kSchedules) {
    const Outcome outcome = inChild(schedule, scenario);
    if (!outcome.clean) why += std::string(schedule) + ": " + outcome.output.substr(0, 1000) + "\n";
  }
  say(name, why.empty(), why);
}

enum class Caught { always, sometimes };

/// With `says` among the last words of at least one schedule's process.
inline void isCaught(const char* name, bool (*scenario)(), const char* says, Caught how = Caught::always) {
  std::string why;
  int caught = 0;
  bool said = false;
  for (const char* schedule : kSchedules) {
    const Outcome outcome = inChild(schedule, scenario);
    if (outcome.clean) {
      why += std::string(" not under ") + schedule;
    } else {
      ++caught;
      said = said || outcome.output.find(says) != std::string::npos;
      if (outcome.output.find(says) == std::string::npos) why += outcome.output.substr(0, 1000);
    }
  }
  const bool enough = how == Caught::always ? caught == static_cast<int>(std::size(kSchedules)) : caught > 0;
  say(name, enough && said, why);
}
