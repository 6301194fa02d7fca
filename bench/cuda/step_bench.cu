// Every op of the CUDA backend on device memory: checked, then timed beside the device's copy rate, in one run.
//
//   scripts/gpu.sh build bench        builds and runs it
//   build/gpu/step_bench <json file> [--repeats n] [--shape VxN] [--try]
//
//   --shape  this one alone (N >= 16), and a copy rate of little worth: for the sanitizers, and for looking at a kernel
//   --try    shapes so small that the emulated device has them too
//
// Device time: between events around the op's launches, L2 flushed before. `bytes` is what the op's definition has to
// move of the [N, V] matrices: each row is read once (and written once where the op writes it); a turn-level ratio
// reads it a second time, unless its coefficient is 0. `ratio` is bytes / time over the copy rate of the same run,
// minimum to minimum and median to median. Call time: the host's clock around the whole call, L2 as it is.
#include <ctime>
#include <functional>
#include <optional>

#include "check.cuh"
#include "copy_rate.cuh"
#include "report.h"

namespace turnwise::bench {

namespace {

struct Settings {
  const char* file = nullptr;
  int repeats = 20;
  size_t copyBytes = size_t{4} << 30;
  std::vector<size_t> columns{32000, 128256, 151936, 256000};
  std::vector<size_t> rows{16, 512, 8192};
  std::vector<size_t> rowsOfCalls{0, 16, 512};
  size_t columnsOfCalls = 151936;
  std::string command;

  void useShape(size_t v, size_t n) {
    copyBytes = size_t{1} << 24;
    columns = {v};
    rows = {n};
    rowsOfCalls = {};
  }
  void tryOut() {
    repeats = 3;
    copyBytes = size_t{1} << 20;
    columns = {1000, 1003};
    rows = {16};
    rowsOfCalls = {0, 16};
    columnsOfCalls = 1000;
  }
};

/// An op as it is timed: the public call, and its launches alone.
struct Op {
  const char* name;
  std::function<Status()> call;
  std::function<void(cuda::Lane&)> enqueue;
  bool gathers, writesLogits, asGraph;
  double bytes;  // per row
  std::function<void(Errors&)> verify;
};

Status run(const Backend& backend, const GatherLogProbs& args) {
  Context context;
  return backend.gatherLogProbs(args, context);
}
Status run(const Backend& backend, const LogitsGradient& args) {
  Context context;
  return backend.logitsGradient(args, context);
}
Status run(const Backend& backend, const PolicyLoss& args) {
  Context context;
  return backend.policyLoss(args, context);
}

template <class Record>
Op makeOp(const char* name, const Backend& backend, const Record& args, bool writesLogits, double bytes,
          std::function<void(Errors&)> verify) {
  return {name,
          [&backend, args] { return run(backend, args); },
          [args](cuda::Lane& lane) { enqueue(lane, args); },
          !std::is_same_v<Record, LogitsGradient>,
          writesLogits,
          std::is_same_v<Record, PolicyLoss>,  // as runStep has it
          bytes,
          std::move(verify)};
}

std::vector<Op> opsOf(const Backend& backend, StepBatch& batch) {
  const auto row = static_cast<double>(batch.shape.rowBytes());
  const auto logProbs = [&batch](Errors& errors) { checkLogProbs(batch, errors); };
  const auto lossOf = [&batch](Level ratio, bool ownTurns, bool deferred) {
    return [&batch, ratio, ownTurns, deferred](Errors& errors) {
      checkLogProbs(batch, errors);
      if (ownTurns) checkCredit(batch, errors);
      checkCoefficients(batch, batch.surrogate(Memory::host, ratio, ownTurns), errors);
      checkGradient(batch, deferred ? nullptr : &batch.coefficients.host, errors);
    };
  };
  return {
      makeOp("gatherLogProbs", backend, batch.gather(false), false, row, logProbs),
      makeOp("gatherLogProbs + entropy", backend, batch.gather(true), false, row, logProbs),
      makeOp("logitsGradient", backend, batch.gradient(false, batch.givenCoefficients.input(Memory::device)), true,
             2 * row, [&batch](Errors& errors) { checkGradient(batch, &batch.givenCoefficients.host, errors); }),
      makeOp("policyLoss, token ratio", backend, batch.tokenLoss(), true, 2 * row, lossOf(Level::token, false, false)),
      makeOp("policyLoss, turn ratio", backend, batch.turnLoss(false), true, 3 * row,
             lossOf(Level::turn, false, false)),
      makeOp("policyLoss, turn ratio, deferred", backend, batch.turnLoss(true), true, 2 * row,
             lossOf(Level::turn, false, true)),
      makeOp("A2TGPO from raw signals", backend, batch.wholeStep(false), true, 3 * row,
             lossOf(Level::turn, true, false)),
      makeOp("A2TGPO from raw signals, deferred", backend, batch.wholeStep(true), true, 2 * row,
             lossOf(Level::turn, true, true)),
  };
}

std::string nameOf(const Status& status) {
  return format("%s at %lld", EnumNames<StatusCode>::names[static_cast<size_t>(status.code)],
                static_cast<long long>(status.position));
}

class StepBench {
 public:
  StepBench(const Settings& settings, const Backend& backend) : settings_(settings), backend_(backend) {}

  int run() {
    measureCopies();
    for (const size_t columns : settings_.columns) {
      for (const DType dtype : {DType::bf16, DType::f32}) {
        for (const size_t rows : settings_.rows) measureShape({rows, columns, dtype});
      }
    }
    measureCalls();
    write();
    return wrong_ == 0 ? 0 : 1;
  }

 private:
  void measureCopies();
  void measureShape(const Shape& shape);
  void measureOp(StepBatch& batch, const Op& op);
  void measureCalls();
  void callsOf(const Shape& shape);
  /// Turns, mask and old log-probs of the batch, which the ops that do not make them read.
  void makeInputs(StepBatch& batch);
  void write() const;
  static Fields shapeOf(const char* op, const Shape& shape) {
    Fields fields;
    return fields.text("op", op)
        .number("rows", static_cast<double>(shape.rows))
        .number("columns", static_cast<double>(shape.columns))
        .text("dtype", shape.dtypeName());
  }

  const Settings& settings_;
  const Backend& backend_;
  cuda::Lane lane_;
  CacheFlush flush_;
  CopyRates copies_;
  std::vector<Fields> results_, calls_;
  int wrong_ = 0;
};

void StepBench::measureCopies() {
  size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total));
  copies_ = measureCopyRates(std::min(settings_.copyBytes, free / 4), settings_.repeats, lane_.stream());
  const auto line = [](const Rate& rate) {
    std::printf("%-40s %7.1f GB/s (median), %7.1f (best)\n", rate.how.c_str(), rate.median() * 1e-9,
                rate.fastest() * 1e-9);
  };
  for (const Rate& rate : copies_.copies) line(rate);
  line(copies_.inPlace);
  line(copies_.read);
  std::printf("copy rate: %s\n\n%8s %7s %-4s  %-34s %10s %10s %8s %6s %8s %9s\n", copies_.best().how.c_str(), "V", "N",
              "", "op", "min us", "median us", "GB/s", "ratio", "ulp", "grad L2");
}

void StepBench::makeInputs(StepBatch& batch) {
  Context context;
  const Status segmented = backend_.segmentTurns(batch.segmentation(Memory::device), context);
  const Status gathered = backend_.gatherLogProbs(batch.gather(true), context);
  if (!segmented || !gathered) {
    std::printf("WRONG: segmentTurns %s, gatherLogProbs %s\n", nameOf(segmented).c_str(), nameOf(gathered).c_str());
    ++wrong_;
  }
  batch.turnsToHost();
  batch.setOldLogProbs();
}

void StepBench::measureShape(const Shape& shape) {
  size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total));
  if (2.1 * static_cast<double>(shape.bytes()) > static_cast<double>(free)) {
    std::printf("%8zu %7zu %-4s  left out: needs %.1f GB, %.1f are free\n", shape.columns, shape.rows,
                shape.dtypeName(), 2.1e-9 * static_cast<double>(shape.bytes()), 1e-9 * static_cast<double>(free));
    return;
  }
  StepBatch batch(shape);
  makeInputs(batch);
  for (const Op& op : opsOf(backend_, batch)) measureOp(batch, op);
}

void StepBench::measureOp(StepBatch& batch, const Op& op) {
  const Shape& shape = batch.shape;
  const auto head = format("%8zu %7zu %-4s  %-34s", shape.columns, shape.rows, shape.dtypeName(), op.name);
  Fields fields = shapeOf(op.name, shape);
  Errors errors;
  batch.restore(nullptr);
  if (op.gathers) batch.poisonResults();
  check(cudaDeviceSynchronize());
  if (const Status status = op.call(); !status) {
    errors.wrong = nameOf(status);
  } else {
    op.verify(errors);
  }
  if (!errors.wrong.empty()) {
    ++wrong_;
    std::printf("%s WRONG, not timed: %s\n", head.c_str(), errors.wrong.c_str());
    results_.push_back(fields.text("wrong", errors.wrong));
    return;
  }

  const bool thirdPass = op.bytes > 2.5 * static_cast<double>(shape.rowBytes());
  const double zeros = thirdPass ? errors.zeroRows * static_cast<double>(shape.rowBytes()) : 0;
  const double bytes = static_cast<double>(shape.rows) * (op.bytes - zeros);
  Timing timing = onDevice(
      lane_.stream(), settings_.repeats,
      [&] {
        lane_.begin();
        op.enqueue(lane_);
        if (op.writesLogits) batch.restore(lane_.stream());
        flush_(lane_.stream());
      },
      [&] { lane_.submit(op.asGraph); });
  if (const Status status = lane_.wait(); !status)
    std::printf("WRONG: %s while timed\n", nameOf(status).c_str()), ++wrong_;
  const Rate &copy = copies_.best(), rate{op.name, timing, bytes};
  const double ratio = rate.fastest() / copy.fastest(), ratioMedian = rate.median() / copy.median();
  std::printf("%s %10.1f %10.1f %8.1f %6.3f %8.2g %9.2g\n", head.c_str(), timing.fastest() * 1e6, timing.median() * 1e6,
              rate.median() * 1e-9, ratioMedian, errors.logProbUlp, errors.gradientL2);
  std::fflush(stdout);
  results_.push_back(fields.number("us", timing.fastest() * 1e6)
                         .number("usMedian", timing.median() * 1e6)
                         .number("repeats", static_cast<double>(timing.count()))
                         .number("bytes", bytes)
                         .number("gbPerSecond", rate.fastest() * 1e-9)
                         .number("gbPerSecondMedian", rate.median() * 1e-9)
                         .number("ratio", ratio)
                         .number("ratioMedian", ratioMedian)
                         .number("logProbUlp", errors.logProbUlp)
                         .number("gradientL2", errors.gradientL2)
                         .number("coefficientError", errors.coefficient)
                         .number("zeroRows", errors.zeroRows));
}

/// Latency of small steps. The empty one is what every call costs.
void StepBench::measureCalls() {
  if (settings_.rowsOfCalls.empty()) return;
  std::printf("\n%-20s %7s  %-34s %12s %12s %12s %12s  (us: median, and minimum)\n", "call, host clock", "N", "op",
              "public call", "as graph", "no graph", "until sent");
  for (const size_t rows : settings_.rowsOfCalls) callsOf({rows, settings_.columnsOfCalls, DType::bf16});
}

void StepBench::callsOf(const Shape& shape) {
  StepBatch batch(shape);
  makeInputs(batch);
  const int repeats = 10 * settings_.repeats;
  for (const Op& op : opsOf(backend_, batch)) {
    if (!op.asGraph) continue;
    batch.restore(nullptr);
    check(cudaDeviceSynchronize());
    Status status;
    const auto step = [&](bool asGraph) {
      lane_.begin();
      op.enqueue(lane_);
      lane_.submit(asGraph);
    };
    // In place, again and again: the logits become gradients, which take as long to read.
    const Timing call = onHost(repeats, [&] { status = op.call(); });
    const auto whole = [&](bool asGraph) {
      return onHost(repeats, [&] {
        step(asGraph);
        status = lane_.wait();
      });
    };
    const Timing graph = whole(true), launches = whole(false);
    Timing sent;
    for (int i = 0; i < repeats; ++i) {
      const auto begin = std::chrono::steady_clock::now();
      step(true);
      sent.add(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
      status = lane_.wait();
    }
    Fields fields = shapeOf(op.name, shape);
    std::printf("%-20s %7zu  %-34s", "", shape.rows, op.name);
    const std::pair<const char*, const Timing*> columns[] = {
        {"call", &call}, {"asGraph", &graph}, {"withoutGraph", &launches}, {"untilSent", &sent}};
    for (const auto& [name, timing] : columns) {
      fields.number((std::string(name) + "Us").c_str(), timing->fastest() * 1e6)
          .number((std::string(name) + "UsMedian").c_str(), timing->median() * 1e6);
      std::printf(" %6.1f %5.1f", timing->median() * 1e6, timing->fastest() * 1e6);
    }
    std::printf("%s\n", status ? "" : ("  WRONG: " + nameOf(status)).c_str());
    if (!status) ++wrong_;
    calls_.push_back(fields.number("repeats", repeats));
  }
}

void StepBench::write() const {
  char date[32];
  const std::time_t now = std::time(nullptr);
  std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", std::gmtime(&now));
  int driver = 0, runtime = 0;
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&runtime);
  std::vector<Fields> rates;
  const auto rateOf = [](const Rate& rate) {
    return Fields()
        .text("how", rate.how)
        .number("gbPerSecond", rate.fastest() * 1e-9)
        .number("gbPerSecondMedian", rate.median() * 1e-9);
  };
  for (const Rate& rate : copies_.copies) rates.push_back(rateOf(rate));
  Fields file;
  file.text("bench", "step_bench")
      .text("date", date)
      .text("command", settings_.command)
      .text("device", cuda::device().name)
      .number("multiprocessors", cuda::device().multiprocessors)
      .number("l2Bytes", static_cast<double>(CacheFlush::cacheBytes()))
      .number("driverCuda", driver)
      .number("runtimeCuda", runtime)
      .object("copyRate", rateOf(copies_.best()))
      .list("copies", rates, "\n  ")
      .object("inPlace", rateOf(copies_.inPlace))
      .object("read", rateOf(copies_.read))
      .list("ops", results_, "\n  ")
      .list("calls", calls_, "\n  ");
  std::FILE* const out = std::fopen(settings_.file, "w");
  if (!out || std::fprintf(out, "%s\n", file.json().c_str()) < 0 || std::fclose(out) != 0)
    std::fprintf(stderr, "%s cannot be written\n", settings_.file);
}

std::optional<Settings> parse(int count, char** arguments) {
  Settings settings;
  for (int i = 0; i < count; ++i) {
    const std::string argument = arguments[i];
    settings.command += (i > 0 ? " " : "") + argument;
    if (i == 0) continue;
    if (argument == "--try") {
      settings.tryOut();
    } else if (argument == "--shape" && i + 1 < count) {
      size_t v = 0, n = 0;
      if (std::sscanf(arguments[++i], "%zux%zu", &v, &n) != 2 || v == 0 || n < 16) return std::nullopt;
      settings.useShape(v, n);
      settings.command += " " + std::string(arguments[i]);
    } else if (argument == "--repeats" && i + 1 < count) {
      settings.repeats = std::max(1, std::atoi(arguments[++i]));
      settings.command += " " + std::string(arguments[i]);
    } else if (argument.rfind("--", 0) == 0 || settings.file) {
      return std::nullopt;
    } else {
      settings.file = arguments[i];
    }
  }
  if (!settings.file) return std::nullopt;
  return settings;
}

}  // namespace

}  // namespace turnwise::bench

int main(int count, char** arguments) {
  using namespace turnwise;
  const auto settings = bench::parse(count, arguments);
  if (!settings) {
    std::fprintf(stderr, "step_bench <json file> [--repeats n] [--shape VxN] [--try]\n");
    return 2;
  }
  const char* why = nullptr;
  const Backend* const backend = cudaBackend(&why);
  if (!backend) {
    std::fprintf(stderr, "no CUDA: %s\n", why);
    return 2;
  }
  try {
    return bench::StepBench(*settings, *backend).run();
  } catch (const cuda::Failure& failure) {
    std::fprintf(stderr, "CUDA error %d, %s\n", static_cast<int>(failure.error), cudaGetErrorString(failure.error));
    return 1;
  }
}
