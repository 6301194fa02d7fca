// The prompts' trees of turns: trajectories of one prompt share the nodes at which they have not yet branched.
//
// A node's children are the nodes that follow it and the leaf values (of trajectories) that end at it; the first nodes
// hang on the root of their prompt. Nodes are taken by depth from the deepest, so that no depth exhausts a stack.
#pragma once
#include <limits>
#include <vector>

#include "../../backend.h"
#include "layout.h"
#include "turn_groups.h"

namespace turnwise::cpu {

class TurnTree {
 public:
  TurnTree(const TurnStatistics& args, const Layout& layout) : args_(args), layout_(layout) {}

  /// Nodes and parents; tree-broken at the first turn that gives its node a second parent. A node that comes twice in
  /// one trajectory is such a node: else its way to the root would have no end.
  Status build(GroupKeys& keys);

  /// Group ids of siblings: the parent of every turn's node.
  DenseIds parentIds() const;
  uint32_t nodeOf(size_t k) const { return node_[k]; }
  size_t nodeCount() const { return parent_.size(); }

  /// Value minus baseline of every turn's node, from a leaf value per trajectory (NaN = none); NaN where there is none
  /// below the node, and in excluded trajectories. `leaves` and `values` may be the same.
  void backUp(const Channel& channel, const std::vector<double>& leaves, std::vector<double>& values) const;

 private:
  static constexpr uint32_t kNone = std::numeric_limits<uint32_t>::max();
  void leafMeans(const std::vector<double>& leaves, std::vector<double>& value) const;
  void childMeans(bool softmax, const std::vector<double>& leaves, std::vector<double>& value) const;
  /// Largest entropy of each node's turns in trajectories with a leaf value.
  std::vector<double> entropies(const std::vector<double>& leaves) const;

  const TurnStatistics& args_;
  const Layout& layout_;
  // Vertices are the nodes and, after them, the roots of the prompts.
  size_t vertexCount_ = 0;
  std::vector<uint32_t> node_;    // [K]
  std::vector<uint32_t> parent_;  // [nodes] a vertex; kNone: of no turn
  std::vector<uint32_t> root_;    // [M] the vertex of the trajectory's prompt
  std::vector<uint32_t> depth_;   // [nodes] 0 = first
  uint32_t depths_ = 0;
};

}  // namespace turnwise::cpu
