// Runs cases that test/cuda/exported_cases.ts wrote, on the CUDA backend, without Node: under ThreadSanitizer, which
// cannot be loaded into Node, and on a machine with a GPU, alone and under compute-sanitizer.
//
//   run_cases <cases> [<title part>] [--every <n>] [--largest <bytes>] [--device] [--trace] [--results <file>]
//
//   --every n        of each op's cases every n-th
//   --largest bytes  none that takes more room in the file
//   --device         arrays in device memory, as the caller's tensors may be, instead of host memory
//   --trace          each case's name before it runs: the last one is the one that did not come back
//   --results file   what the cases computed, for test/cuda/compare_results.ts
//
// Checks each status, and prints one line a case that fails.
#include <algorithm>
#include <chrono>
#include <map>

#include "case_file.h"

namespace turnwise {

namespace {

struct Options {
  const char* cases = nullptr;
  const char* title = nullptr;
  size_t every = 1;
  size_t largest = SIZE_MAX;
  bool onDevice = false;
  bool trace = false;
  const char* results = nullptr;
};

/// A case's arrays on the device; the host's have its results after toHost().
class DeviceArrays {
 public:
  DeviceArrays(const DeviceMemory& memory, Input& input) : memory_(memory), input_(input) {
    for (size_t id = 1; id <= input.arrayCount(); ++id) {
      const std::vector<unsigned char>& host = input.array(id);
      void* data = nullptr;
      if (!memory.allocate(host.size(), true, &data) || !memory.toDevice(data, host.data(), host.size()))
        stop("no device memory for a case's arrays");
      data_.push_back(data);
    }
  }
  ~DeviceArrays() {
    for (void* data : data_) memory_.release(data);
  }
  DeviceArrays(const DeviceArrays&) = delete;
  DeviceArrays& operator=(const DeviceArrays&) = delete;

  template <class Record>
  Record redirected(Record args) const {
    visitArrays(args, [&](auto& array, bool) {
      array.data = static_cast<decltype(array.data)>(data_[input_.idOf(array.data) - 1]);
      array.memory = Memory::device;
    });
    return args;
  }
  void toHost() const {
    for (size_t id = 1; id <= data_.size(); ++id) {
      std::vector<unsigned char>& host = input_.array(id);
      if (!memory_.toHost(host.data(), data_[id - 1], host.size())) stop("a case's results cannot be copied back");
    }
  }

 private:
  const DeviceMemory& memory_;
  Input& input_;
  std::vector<void*> data_;
};

class Run {
 public:
  Run(const Options& options, const Backend& backend)
      : options_(options), backend_(backend), input_(options.cases), results_(options.results) {}

  int all();

 private:
  template <class Record>
  void one(const std::string& op, Status (*run)(const Record&, Context&));
  bool picks(const std::string& op, const std::string& title, size_t bytes) {
    if (options_.title && title.find(options_.title) == std::string::npos) return false;
    return bytes <= options_.largest && seen_[op]++ % options_.every == 0;
  }

  const Options& options_;
  const Backend& backend_;
  Input input_;
  Results results_;
  std::map<std::string, size_t> seen_;
  size_t passed_ = 0, failed_ = 0, left_ = 0;
};

template <class Record>
void Run::one(const std::string& op, Status (*run)(const Record&, Context&)) {
  const size_t begin = input_.position();
  const std::string title = input_.text();
  const Status expected{static_cast<StatusCode>(input_.number<uint32_t>()), input_.number<int32_t>()};
  Record args{};
  input_.read(args);
  if (!picks(op, title, input_.position() - begin)) {
    ++left_;
    return;
  }
  if (options_.trace) {
    std::printf("%s: %s\n", op.c_str(), title.c_str());
    std::fflush(stdout);
  }
  Context context;
  Status status;
  if (options_.onDevice) {
    const DeviceArrays arrays(*backend_.memory, input_);
    status = run(arrays.redirected(args), context);
    if (status) arrays.toHost();
  } else {
    status = run(args, context);
  }
  results_.add(op, title, status, input_, args);
  if (status.code == expected.code && status.position == expected.position) {
    ++passed_;
    return;
  }
  ++failed_;
  const auto name = [](const Status& s) { return EnumNames<StatusCode>::names[static_cast<size_t>(s.code)]; };
  std::printf("FAILED %s: %s: %s at %lld, expected %s at %lld\n", op.c_str(), title.c_str(), name(status),
              static_cast<long long>(status.position), name(expected), static_cast<long long>(expected.position));
}

int Run::all() {
  const auto start = std::chrono::steady_clock::now();
  while (!input_.atEnd()) {
    const std::string op = input_.text();
    bool known = false;
#define TURNWISE_RUN_CASE(Record, name)                                                                                \
  if (op == #name) {                                                                                                   \
    known = true;                                                                                                      \
    one<Record>(op, backend_.name);                                                                                    \
  }
    TURNWISE_OPS(TURNWISE_RUN_CASE)
#undef TURNWISE_RUN_CASE
    if (!known) stop("no op \"" + op + "\"");
  }
  results_.finish();
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  std::printf("%zu cases passed, %zu failed, %zu left out, %.1f s\n", passed_, failed_, left_, seconds.count());
  return failed_ == 0 && passed_ > 0 ? 0 : 1;
}

Options parse(int count, char** arguments) {
  Options options;
  for (int i = 1; i < count; ++i) {
    const std::string name = arguments[i];
    const auto value = [&] {
      if (++i == count) stop(name + " needs a value");
      return arguments[i];
    };
    if (name == "--every") {
      options.every = std::max(1ull, std::strtoull(value(), nullptr, 10));
    } else if (name == "--largest") {
      options.largest = std::strtoull(value(), nullptr, 10);
    } else if (name == "--results") {
      options.results = value();
    } else if (name == "--device") {
      options.onDevice = true;
    } else if (name == "--trace") {
      options.trace = true;
    } else if (name.rfind("--", 0) == 0) {
      stop("no option " + name);
    } else {
      (options.cases ? options.title : options.cases) = arguments[i];
    }
  }
  if (!options.cases) stop("run_cases <cases> [<title part>] [options]");
  return options;
}

}  // namespace

}  // namespace turnwise

int main(int count, char** arguments) {
  const turnwise::Options options = turnwise::parse(count, arguments);
  const char* why = nullptr;
  const turnwise::Backend* const backend = turnwise::cudaBackend(&why);
  if (!backend) {
    std::fprintf(stderr, "no CUDA: %s\n", why);
    return 2;
  }
  return turnwise::Run(options, *backend).all();
}
