// The parameter record of credit assignment: the op's arguments with their workspace, O(N + K + M) in all. It is taken
// before the kernel starts, with room for what the settings ask for; what they do not ask for is null.
#pragma once
#include <algorithm>

#include "../../native/checks/turn_statistics.h"
#include "../device/team.cuh"
#include "../runtime/lane.h"

namespace turnwise::cuda {

/// Threads of a block, so few that one may have 255 registers: the program would spill a few of the 168 that 384
/// threads have.
constexpr unsigned kCreditThreads = 256;

/// Above this many items the whole team works on one group, below it a warp.
constexpr size_t kLargestOfWarp = 2048;

/// What sorting needs, of items up to the largest count of anything that is grouped.
struct SortWork {
  uint64_t* keys;     // by item
  uint32_t* other;    // by place
  uint32_t* counts;   // Team::sortCounts
  uint32_t* groupOf;  // by place: the group of the item there
  uint32_t* large;    // groups for the whole team
};

/// Items in the order of their groups: group g has members[offsets[g] .. offsets[g + 1]).
struct GroupWork {
  uint32_t* members;
  uint32_t* offsets;
};

/// Items are loss tokens, turns or trajectories (entries of a level), and in trees turns or nodes and trajectories
/// together.
struct CreditWork {
  // The batch: own copies of what serves as an index, and what follows from it.
  int32_t* trajectory;            // [K]
  uint32_t* firstTurn;            // [M+1] of each trajectory
  double* trajectoryTokens;       // [M] loss tokens
  uint32_t* prompt;               // [M] 0, 1, ...
  int32_t *starts, *ends;         // [K]; from here to tokenTurn only if something is per token
  uint32_t* lossBefore;           // [N+1] tokens of the mask before each
  uint32_t* firstToken;           // [K+1] of each turn, of the loss tokens
  uint32_t *tokenAt, *tokenTurn;  // [N] where each loss token is, and in which turn

  // The channel at work.
  double* values;  // by entry
  double *x, *spare;
  SortWork sort;
  GroupWork groups;
  uint32_t *sample, *sampleOffsets;  // members first: places of those that the statistics are over
  uint32_t* sorted;                  // places by group and value
  double* weights;                   // by result entry: combine weighted-mean

  // The tree, null without one. Vertices are the nodes and, after them, the roots of the prompts.
  uint32_t* node;        // [K]
  GroupWork nodes;       // turns by node
  uint32_t* parent;      // by node: a vertex
  uint32_t* depth;       // by node, 0 = first
  uint32_t* sameAs;      // [K] group parent: the turn whose z each turn takes
  double* nodeEntropy;   // by node; NaN = no leaf value below it
  double* leaves;        // [M]
  double* vertexValues;  // [K+M]
};

struct CreditStep {
  TurnStatistics args;
  CreditWork work;
};

inline CreditWork takeCreditWork(Lane& lane, const TurnStatistics& args, size_t teamSize) {
  const size_t turns = args.turns.trajectory.size, trajectories = args.groups.size;
  const size_t tokens = readsTokens(args) ? args.actionMask.size : 0;
  const bool hasTree = readsTree(args);
  const size_t entries = std::max({tokens, turns, trajectories});
  const size_t items = hasTree ? std::max(entries, turns + trajectories) : entries;
  const auto indices = [&](size_t count) { return lane.take<uint32_t>(count); };
  const auto doubles = [&](size_t count) { return lane.take<double>(count); };
  CreditWork work{};
  work.trajectory = lane.take<int32_t>(turns);
  work.firstTurn = indices(trajectories + 1);
  work.trajectoryTokens = doubles(trajectories);
  work.prompt = indices(trajectories);
  if (readsTokens(args)) {
    work.starts = lane.take<int32_t>(turns);
    work.ends = lane.take<int32_t>(turns);
    work.lossBefore = indices(tokens + 1);
    work.firstToken = indices(turns + 1);
    work.tokenAt = indices(tokens);
    work.tokenTurn = indices(tokens);
  }
  work.values = doubles(entries);
  work.x = doubles(entries);
  work.spare = doubles(entries);
  work.sort = {lane.take<uint64_t>(items), indices(items), indices(Team::sortCounts(teamSize)), indices(items),
               indices(items / kLargestOfWarp + 1)};
  work.groups = {indices(items), indices(items + 1)};
  work.sample = indices(entries);
  work.sampleOffsets = indices(entries + 1);
  work.sorted = indices(entries);
  if (args.combine == Combine::weightedMean) work.weights = doubles(entries);
  if (!hasTree) return work;
  work.node = indices(turns);
  work.nodes = {indices(turns), indices(turns + 1)};
  work.parent = indices(turns);
  work.depth = indices(turns);
  work.sameAs = indices(turns);
  work.nodeEntropy = doubles(turns);
  work.leaves = doubles(trajectories);
  work.vertexValues = doubles(turns + trajectories);
  return work;
}

}  // namespace turnwise::cuda
