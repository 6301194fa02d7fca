// The prompts' trees of turns (native/cpu/credit/turn_tree.h): nodes by a sort of the turns, parents by the first turn
// of each node, values upwards from the deepest level, one pass per depth.
#pragma once
#include "../../native/math/tree.h"
#include "../device/error_word.cuh"
#include "groups.cuh"
#include "layout.cuh"

namespace turnwise::cuda {

class Tree {
 public:
  __device__ Tree(const Batch& batch, size_t promptCount) : batch_(batch), promptCount_(promptCount) {}

  /// Reports tree-broken at the first turn that gives its node a second parent. By all members; synchronised after.
  TURNWISE_NOT_INLINED __device__ void build(ErrorWord* error) {
    const CreditWork& work = batch_.work;
    const Layout& layout = batch_.layout;
    const View<const int32_t>& ids = batch_.args.nodes;
    nodes_ = groupItems(
        batch_.team, work.sort, work.nodes, layout.turnCount(), [](size_t) { return true; },
        [&](size_t k) {
          if (!ids) return uint64_t{k};
          return uint64_t{work.prompt[work.trajectory[k]]} << 32 | static_cast<uint32_t>(ids[k]);
        });
    batch_.team.forEach(nodes_.items, [&](size_t i) { work.node[work.nodes.members[i]] = work.sort.groupOf[i]; });
    batch_.team.sync();
    batch_.team.forEach(nodes_.count, [&](size_t n) {
      const size_t k = work.nodes.members[nodes_.first(n)];
      work.parent[n] = before(k);
      work.depth[n] = static_cast<uint32_t>(k) - work.firstTurn[work.trajectory[k]];
    });
    batch_.team.sync();
    batch_.team.forEach(layout.turnCount(), [&](size_t k) {
      if (work.parent[work.node[k]] != before(k)) report(error, StatusCode::treeBroken, static_cast<int64_t>(k));
    });
    batch_.team.sync();
  }

  /// Group of the siblings of turn k: the parent of its node.
  __device__ uint64_t parentOf(size_t k) const { return batch_.work.parent[batch_.work.node[k]]; }

  /// work.sameAs of every turn: the first of its node's turns that has a value, or that is none of them. By all
  /// members; synchronised after.
  TURNWISE_NOT_INLINED __device__ void findFirsts(const double* values) const {
    const CreditWork& work = batch_.work;
    forEachGroup(batch_.team, work.sort, nodes_, [&](const auto& crew, size_t n) {
      const uint32_t* turns = work.nodes.members + nodes_.first(n);
      double first = HUGE_VAL;
      for (size_t i = crew.rank(); i < nodes_.size(n); i += crew.size()) {
        if (isAbsent(values[turns[i]])) continue;
        first = turns[i];
        break;
      }
      first = crew.smallest(first);
      const uint32_t same = first < HUGE_VAL ? static_cast<uint32_t>(first) : ~uint32_t{0};
      for (size_t i = crew.rank(); i < nodes_.size(n); i += crew.size()) work.sameAs[turns[i]] = same;
    });
    batch_.team.sync();
  }

  /// Into work.values, by turn: value minus baseline of its node, from work.leaves; NaN where there is no leaf value
  /// below it, and in excluded trajectories. By all members, after a barrier.
  TURNWISE_NOT_INLINED __device__ void backUp(const Channel& channel) const {
    const CreditWork& work = batch_.work;
    const Layout& layout = batch_.layout;
    batch_.team.forEach(nodes_.count + promptCount_, [&](size_t v) { work.vertexValues[v] = kAbsent; });
    if (channel.treeBackup == TreeBackup::leafMean)
      leafMeans();
    else
      childMeans(channel.treeBackup == TreeBackup::childSoftmax);
    batch_.team.sync();
    const double* const value = work.vertexValues;
    batch_.team.forEach(layout.turnCount(), [&](size_t k) {
      const size_t m = layout.trajectoryOf(Level::turn, k), node = work.node[k];
      work.values[k] = layout.excluded(m) ? kAbsent
                                          : overBaseline(channel.treeBaseline, value[node], value[work.parent[node]],
                                                         value[rootOf(m)]);
    });
  }

 private:
  __device__ uint32_t rootOf(size_t m) const { return static_cast<uint32_t>(nodes_.count) + batch_.work.prompt[m]; }
  /// The vertex that turn k follows.
  __device__ uint32_t before(size_t k) const {
    const size_t m = batch_.layout.trajectoryOf(Level::turn, k);
    return k == batch_.work.firstTurn[m] ? rootOf(m) : batch_.work.node[k - 1];
  }
  /// A trajectory that ends in a value.
  __device__ bool hasLeaf(size_t m) const { return batch_.layout.hasTurns(m) && !isAbsent(batch_.work.leaves[m]); }

  /// The mean over the trajectories through each vertex.
  __device__ void leafMeans() const {
    const CreditWork& work = batch_.work;
    const size_t turns = batch_.layout.turnCount();
    // One item for every turn, and one for every trajectory's way through its root.
    const auto trajectoryOf = [&](size_t i) {
      return i < turns ? batch_.layout.trajectoryOf(Level::turn, i) : i - turns;
    };
    const Groups through = groupItems(
        batch_.team, work.sort, work.groups, turns + batch_.layout.trajectoryCount(),
        [&](size_t i) { return hasLeaf(trajectoryOf(i)); },
        [&](size_t i) { return uint64_t{i < turns ? work.node[i] : rootOf(i - turns)}; });
    forEachGroup(batch_.team, work.sort, through, [&](const auto& crew, size_t g) {
      const uint32_t* items = through.at.members + through.first(g);
      const double mean =
          present(meanOf(crew, through.size(g), [&](size_t i) { return work.leaves[trajectoryOf(items[i])]; }));
      if (crew.rank() == 0) work.vertexValues[work.sort.keys[items[0]]] = mean;
    });
  }

  /// The mean over each vertex's children, the deepest first.
  __device__ void childMeans(bool softmax) const {
    const CreditWork& work = batch_.work;
    const Layout& layout = batch_.layout;
    findEntropies(softmax);
    // Children are nodes and, numbered after them, the leaf values where trajectories end. Vertices come by depth.
    const size_t count = nodes_.count;
    const auto keyOf = [&](uint32_t vertex) {
      return vertex < count ? (uint64_t{work.depth[vertex]} + 1) << 32 | vertex : uint64_t{vertex};
    };
    const auto lastNode = [&](size_t leaf) { return work.node[layout.end(Level::turn, leaf - count) - 1]; };
    const Groups children = groupItems(
        batch_.team, work.sort, work.groups, count + layout.trajectoryCount(),
        [&](size_t i) { return i < count ? !isAbsent(work.nodeEntropy[i]) : hasLeaf(i - count); },
        [&](size_t i) { return keyOf(i < count ? work.parent[i] : lastNode(i)); });
    const auto vertexKey = [&](size_t g) { return work.sort.keys[children.at.members[children.first(g)]]; };
    for (size_t end = children.count, begin; end > 0; end = begin) {
      begin = firstOfDepth(vertexKey, end);
      forEachGroup(batch_.team, work.sort, children, begin, end, [&](const auto& crew, size_t g) {
        const uint32_t* items = children.at.members + children.first(g);
        const auto value = [&](size_t i) {
          return items[i] < count ? work.vertexValues[items[i]] : work.leaves[items[i] - count];
        };
        const auto entropy = [&](size_t i) {
          return work.nodeEntropy[items[i] < count ? items[i] : lastNode(items[i])];
        };
        const size_t n = children.size(g);
        const double mean = present(softmax ? softmaxMean(crew, n, value, entropy) : meanOf(crew, n, value));
        if (crew.rank() == 0) work.vertexValues[static_cast<uint32_t>(vertexKey(g))] = mean;
      });
      batch_.team.sync();
    }
  }

  /// The first group of the depth that group end - 1 is of.
  template <class VertexKey>
  __device__ static size_t firstOfDepth(const VertexKey& vertexKey, size_t end) {
    const uint64_t smallest = vertexKey(end - 1) >> 32 << 32;
    size_t first = 0, last = end - 1;
    while (first < last) {
      const size_t middle = first + (last - first) / 2;
      if (vertexKey(middle) < smallest)
        first = middle + 1;
      else
        last = middle;
    }
    return first;
  }

  /// Largest entropy of each node's turns in trajectories with a leaf value (0 if nothing reads it); NaN without one.
  __device__ void findEntropies(bool isRead) const {
    const CreditWork& work = batch_.work;
    forEachGroup(batch_.team, work.sort, nodes_, [&](const auto& crew, size_t n) {
      const uint32_t* turns = work.nodes.members + nodes_.first(n);
      double largest = -HUGE_VAL;
      bool none = true;
      for (size_t i = crew.rank(); i < nodes_.size(n); i += crew.size()) {
        if (!hasLeaf(batch_.layout.trajectoryOf(Level::turn, turns[i]))) continue;
        const double entropy = isRead ? valueOrZero(batch_.args.turnEntropies[turns[i]]) : 0.0;
        largest = entropy > largest ? entropy : largest;
        none = false;
      }
      largest = crew.largest(largest);
      none = crew.all(none);
      if (crew.rank() == 0) work.nodeEntropy[n] = none ? kAbsent : largest;
    });
  }

  const Batch& batch_;
  size_t promptCount_;
  Groups nodes_{};
};

}  // namespace turnwise::cuda
