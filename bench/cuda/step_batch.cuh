// A batch on the device with what the ops are given: logits as a policy has them, turns, signals, results.
#pragma once
#include <cmath>
#include <limits>
#include <random>

#include "measure.cuh"

namespace turnwise::bench {

struct Shape {
  size_t rows, columns;
  DType dtype;
  size_t rowBytes() const { return columns * sizeOf(dtype); }
  size_t bytes() const { return rows * rowBytes(); }
  const char* dtypeName() const { return dtype == DType::f32 ? "f32" : "bf16"; }
};

constexpr float kSpread = 2.5f, kPeak = 15.0f;
constexpr double kTemperature = 0.9;

__device__ inline uint32_t mixBits(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return static_cast<uint32_t>(x >> 32);
}

/// Normal noise; every second row has a peak at its target, as a trained policy's rows do.
static __global__ void fillLogitsKernel(unsigned char* logits, DType dtype, size_t rows, size_t columns,
                                        const int32_t* targets) {
  const size_t count = rows * columns;
  for (size_t i = size_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += size_t{gridDim.x} * blockDim.x) {
    const float first = (static_cast<float>(mixBits(2 * i + 1)) + 0.5f) * 0x1p-32f;
    const float second = static_cast<float>(mixBits(2 * i + 2)) * 0x1p-32f;
    const size_t n = i / columns;
    const bool peak = n % 2 == 1 && i % columns == static_cast<size_t>(targets[n]);
    const float noise = sqrtf(-2.0f * logf(fminf(first, 0.99999994f))) * cosf(6.2831853f * second);
    const float value = kSpread * noise + (peak ? kPeak : 0.0f);
    if (dtype == DType::f32) {
      reinterpret_cast<float*>(logits)[i] = value;
    } else {
      reinterpret_cast<uint16_t*>(logits)[i] = static_cast<uint16_t>(cuda::packBf16(value, 0.0f));
    }
  }
}

class StepBatch {
 public:
  static constexpr size_t kTurnsEach = 4, kPromptTrajectories = 8;

  explicit StepBatch(const Shape& shape)
      : shape(shape),
        turnLength(std::min<size_t>(64, std::max<size_t>(shape.rows / 128, 2))),
        trajectories(shape.rows / (turnLength * kTurnsEach)),
        turns(trajectories * kTurnsEach),
        pristine_(shape.bytes()),
        logits_(shape.bytes()) {
    std::mt19937_64 random(shape.rows + shape.columns);
    std::uniform_real_distribution<double> uniform(-1, 1);
    for (int32_t& target : targets.host) target = static_cast<int32_t>(random() % shape.columns);
    for (size_t n = 0; n < shape.rows; ++n) {
      turnIds.host[n] = static_cast<int32_t>(n / turnLength % kTurnsEach);
      noise_.push_back(1e-3 * uniform(random));  // a first step: ratios stay inside the narrowest clip range
    }
    for (size_t m = 0; m <= trajectories; ++m)
      trajectoryOffsets.host[m] = static_cast<int32_t>(m * turnLength * kTurnsEach);
    for (size_t m = 0; m < trajectories; ++m) {
      groups.host[m] = static_cast<int32_t>(m / kPromptTrajectories);
      outcome.host[m] = uniform(random);
    }
    for (size_t k = 0; k < turns; ++k) {
      // The last turn carries the outcome.
      gain.host[k] = k % kTurnsEach == kTurnsEach - 1 ? NAN : uniform(random);
      givenAdvantages.host[k] = (k % 2 ? 1 : -1) * (1.5 + uniform(random));
    }
    for (double& coefficient : givenCoefficients.host) coefficient = 0.37;
    targets.toDevice();
    turnIds.toDevice();
    trajectoryOffsets.toDevice();
    groups.toDevice();
    outcome.toDevice();
    gain.toDevice();
    givenAdvantages.toDevice();
    givenCoefficients.toDevice();
    launch(8 * cuda::device().multiprocessors, 256, nullptr, fillLogitsKernel, pristine_.data(), shape.dtype,
           shape.rows, shape.columns, targets.input(Memory::device).data);
    restore(nullptr);
    check(cudaDeviceSynchronize());
  }

  /// Logits as they were before an op wrote the gradient over them.
  void restore(cudaStream_t stream) const {
    check(cudaMemcpyAsync(logits_.data(), pristine_.data(), shape.bytes(), cudaMemcpyDeviceToDevice, stream));
  }
  void turnsToHost() {
    for (auto* array : {&starts, &ends, &tokens, &trajectory, &index}) array->toHost();
    mask.toHost();
  }
  /// From the gathered log-probs.
  void setOldLogProbs() {
    logProbs.toHost();
    for (size_t n = 0; n < shape.rows; ++n)
      oldLogProbs.host[n] = static_cast<float>(static_cast<double>(logProbs.host[n]) + noise_[n]);
    oldLogProbs.toDevice();
  }
  /// What nobody writes must show.
  void poisonResults() {
    std::fill(logProbs.host.begin(), logProbs.host.end(), NAN);
    std::fill(coefficients.host.begin(), coefficients.host.end(), NAN);
    logProbs.toDevice();
    coefficients.toDevice();
  }

  GatherLogProbs gather(bool withEntropy);
  PolicyLoss tokenLoss();
  PolicyLoss turnLoss(bool deferred);
  /// A2TGPO (turn-group-v1d) from raw signals: turn ids, information gain, outcomes, prompts, logits.
  PolicyLoss wholeStep(bool deferred);
  LogitsGradient gradient(bool deferred, View<const double> given);

  SegmentTurns segmentation(Memory memory);
  TurnStatistics statistics(Memory memory);
  Surrogate surrogate(Memory memory, Level ratio, bool ownTurns);

  std::vector<unsigned char> rowOf(const unsigned char* rows, size_t n) const {
    std::vector<unsigned char> row(shape.rowBytes());
    check(cudaMemcpy(row.data(), rows + n * shape.rowBytes(), row.size(), cudaMemcpyDeviceToHost));
    return row;
  }
  std::vector<unsigned char> originalRow(size_t n) const { return rowOf(pristine_.data(), n); }
  std::vector<unsigned char> gradientRow(size_t n) const { return rowOf(logits_.data(), n); }

  const Shape shape;
  const size_t turnLength, trajectories, turns;
  Mirrored<int32_t> targets{shape.rows}, turnIds{shape.rows}, trajectoryOffsets{trajectories + 1}, groups{trajectories};
  Mirrored<double> outcome{trajectories}, gain{turns}, givenAdvantages{turns};
  Mirrored<double> givenCoefficients{shape.rows};
  // Results of segmentation, statistics, gathering, loss.
  Mirrored<int32_t> starts{turns}, ends{turns}, tokens{turns}, trajectory{turns}, index{turns};
  Mirrored<int32_t> turnCount{1};
  Mirrored<uint8_t> mask{shape.rows};
  Mirrored<double> advantages{turns}, clipScale{turns}, normalizedSignal{turns};
  Mirrored<double> groupStats{2 * EnumNames<GroupStat>::count};
  Mirrored<float> logProbs{shape.rows}, oldLogProbs{shape.rows}, entropy{shape.rows};
  Mirrored<double> logSumExp{shape.rows}, coefficients{shape.rows}, metrics{EnumNames<Metric>::count}, underflowed{1};

 private:
  Turns turnsIn(Memory memory) const {
    return {starts.input(memory), ends.input(memory), tokens.input(memory), trajectory.input(memory),
            index.input(memory)};
  }
  PolicyLoss loss(Level ratio, bool ownTurns, bool deferred);

  DeviceBuffer pristine_, logits_;
  std::vector<double> noise_;
};

inline GatherLogProbs StepBatch::gather(bool withEntropy) {
  GatherLogProbs args{};
  args.logits = {logits_.data(), shape.dtype, shape.rows, shape.columns, 0, Memory::device};
  args.targets = targets.input(Memory::device);
  args.temperature = kTemperature;
  args.nonFinite = NonFinite::fail;
  args.logProbs = logProbs.output(Memory::device);
  args.logSumExp = logSumExp.output(Memory::device);
  if (withEntropy) args.entropy = entropy.output(Memory::device);
  return args;
}

/// In place.
inline LogitsGradient StepBatch::gradient(bool deferred, View<const double> given) {
  LogitsGradient args{};
  args.logits = {logits_.data(), shape.dtype, shape.rows, shape.columns, 0, Memory::device};
  args.targets = targets.input(Memory::device);
  args.logProbs = logProbs.input(Memory::device);
  args.logSumExp = logSumExp.input(Memory::device);
  if (!deferred) args.coefficients = given;
  args.temperature = kTemperature;
  args.gradScale = 1;
  args.gradient = {logits_.data(), shape.dtype, shape.rows, shape.columns, 0, Memory::device};
  args.underflowed = underflowed.output(Memory::device);
  return args;
}

inline SegmentTurns StepBatch::segmentation(Memory memory) {
  SegmentTurns args{};
  args.by = SegmentBy::turnIds;
  args.trajectoryOffsets = trajectoryOffsets.input(memory);
  args.turnIds = turnIds.input(memory);
  args.starts = starts.output(memory);
  args.ends = ends.output(memory);
  args.tokens = tokens.output(memory);
  args.trajectory = trajectory.output(memory);
  args.index = index.output(memory);
  args.count = turnCount.output(memory);
  args.effectiveMask = mask.output(memory);
  return args;
}

/// z = (x - mean) / (sqrt(var + 1e-8) + 1e-6)
inline Channel normalizedChannel(Level level, GroupBy group) {
  Channel channel{};
  channel.level = level;
  channel.group = group;
  channel.center = Center::mean;
  channel.scale = Scale::std;
  channel.eps = 1e-6;
  channel.varianceFloor = 1e-8;
  channel.weight = channel.lastWeight = 1;
  return channel;
}

inline TurnStatistics StepBatch::statistics(Memory memory) {
  TurnStatistics args{};
  args.turns = turnsIn(memory);
  args.groups = groups.input(memory);
  args.outcome = outcome.input(memory);
  Channel gains = normalizedChannel(Level::turn, GroupBy::promptTurn);
  gains.turnSignal = gain.input(memory);
  gains.then = Then::discounted;
  gains.thenGamma = 1;
  gains.thenDivide = Divide::sqrtTerms;
  gains.weight = gains.lastWeight = 0.3;
  Channel outcomes = normalizedChannel(Level::sequence, GroupBy::prompt);
  outcomes.trajectorySignal = outcome.input(memory);
  args.channels.items[0] = gains;
  args.channels.items[1] = outcomes;
  args.channels.size = 2;
  args.joinGamma = 1;
  args.clipScaleBeta = 0.3;
  args.resultLevel = Level::turn;
  args.advantages = advantages.output(memory);
  args.clipScale = clipScale.output(memory);
  args.normalizedSignal = normalizedSignal.output(memory);
  args.groupStats = groupStats.output(memory);
  return args;
}

/// `ownTurns`: advantages, clip scales and the mask are what segmentation and statistics wrote.
inline Surrogate StepBatch::surrogate(Memory memory, Level ratio, bool ownTurns) {
  constexpr double kOff = std::numeric_limits<double>::infinity();
  Surrogate args{};
  args.logProbs = logProbs.input(memory);
  args.oldLogProbs = oldLogProbs.input(memory);
  args.entropy = entropy.input(memory);
  args.actionMask = mask.input(memory);
  args.turns = turnsIn(memory);
  args.advantageLevel = Level::turn;
  args.advantages = ownTurns ? advantages.input(memory) : givenAdvantages.input(memory);
  if (ownTurns) args.clipScale = clipScale.input(memory);
  args.ratio = {ratio, RatioForm::straightThrough, Reduce::mean, -20, 20, kOff, kOff, kOff};
  args.gate.low = ratio == Level::token ? 0.2 : 3e-3;
  args.gate.high = ratio == Level::token ? 0.28 : 4e-3;
  args.gate.dual = kOff;
  args.kl.logRatioClamp = args.kl.valueClamp = kOff;
  args.aggregate = Aggregate::tokenMean;
  args.horizon = 1;
  args.groups = groups.input(memory);  // the denominators are counted
  args.nonFinite = NonFinite::fail;
  args.coefficients = coefficients.output(memory);
  args.metrics = metrics.output(memory);
  return args;
}

inline PolicyLoss StepBatch::loss(Level ratio, bool ownTurns, bool deferred) {
  PolicyLoss args{};
  args.gather = gather(true);
  args.surrogate = surrogate(Memory::device, ratio, ownTurns);
  args.gradient = gradient(deferred, coefficients.input(Memory::device));
  args.gather.actionMask = args.gradient.actionMask = args.surrogate.actionMask;
  return args;
}

inline PolicyLoss StepBatch::tokenLoss() {
  return loss(Level::token, false, false);
}
inline PolicyLoss StepBatch::turnLoss(bool deferred) {
  return loss(Level::turn, false, deferred);
}
inline PolicyLoss StepBatch::wholeStep(bool deferred) {
  PolicyLoss args = loss(Level::turn, true, deferred);
  args.segment = {segmentation(Memory::device), true};
  args.statistics = {statistics(Memory::device), true};
  return args;
}

}  // namespace turnwise::bench
