// Children of every vertex in CSR; sums over them are order-independent, so the order of trajectories does not show.
#include "turn_tree.h"

#include <algorithm>
#include <new>

#include "../../math/absent.h"
#include "../../math/tree.h"

namespace turnwise::cpu {

Status TurnTree::build(GroupKeys& keys) {
  DenseIds nodes;
  if (args_.nodes) {
    nodes = pairIds(keys.turnPrompts(), args_.nodes);
  } else {
    nodes.count = static_cast<uint32_t>(layout_.turnCount());
    for (uint32_t k = 0; k < nodes.count; ++k) nodes.ids.push_back(k);
  }
  const DenseIds& prompts = keys.prompts();
  vertexCount_ = size_t{nodes.count} + prompts.count;
  if (vertexCount_ >= kNone) throw std::bad_alloc();
  node_.swap(nodes.ids);
  parent_.assign(nodes.count, kNone);
  depth_.assign(nodes.count, 0);
  root_ = prompts.ids;
  for (uint32_t& root : root_) root += nodes.count;

  Status status;
  layout_.forEachRun(Level::turn, [&](const Run& run) {
    uint32_t before = root_[run.trajectory];
    for (size_t k = run.first; k < run.end && status; ++k) {
      uint32_t& parent = parent_[node_[k]];
      if (parent == kNone) {
        parent = before;
        depth_[node_[k]] = static_cast<uint32_t>(k - run.first);
        depths_ = std::max(depths_, depth_[node_[k]] + 1);
      } else if (parent != before) {
        status = {StatusCode::treeBroken, static_cast<int64_t>(k)};
      }
      before = node_[k];
    }
  });
  return status;
}

DenseIds TurnTree::parentIds() const {
  DenseIds siblings;
  siblings.count = static_cast<uint32_t>(vertexCount_);
  siblings.ids.resize(node_.size());
  for (size_t k = 0; k < node_.size(); ++k) siblings.ids[k] = parent_[node_[k]];
  return siblings;
}

void TurnTree::backUp(const Channel& channel, const std::vector<double>& leaves, std::vector<double>& values) const {
  std::vector<double> value(vertexCount_, kAbsent);
  if (channel.treeBackup == TreeBackup::leafMean) {
    leafMeans(leaves, value);
  } else {
    childMeans(channel.treeBackup == TreeBackup::childSoftmax, leaves, value);
  }
  values.assign(layout_.turnCount(), kAbsent);
  layout_.forEachRun(Level::turn, [&](const Run& run) {
    if (layout_.excluded(run.trajectory)) return;
    for (size_t k = run.first; k < run.end; ++k) {
      const uint32_t node = node_[k];
      values[k] = overBaseline(channel.treeBaseline, value[node], value[parent_[node]], value[root_[run.trajectory]]);
    }
  });
}

/// The mean over the trajectories through each vertex.
void TurnTree::leafMeans(const std::vector<double>& leaves, std::vector<double>& value) const {
  // One entry for every turn, and one for every trajectory's way through its root.
  std::vector<uint32_t> vertex = node_;
  std::vector<double> leaf;
  layout_.spread(Level::sequence, leaves, Level::turn, kAbsent, leaf);
  layout_.forEachRun(Level::turn, [&](const Run& run) {
    vertex.push_back(root_[run.trajectory]);
    leaf.push_back(leaves[run.trajectory]);
  });
  GroupMembers through;
  groupMembers(
      vertex, vertexCount_, [&](size_t i) { return !isAbsent(leaf[i]); }, through);
  for (size_t v = 0; v < vertexCount_; ++v) {
    const size_t count = through.offsets[v + 1] - through.offsets[v];
    if (count == 0) continue;
    const uint32_t* members = &through.members[through.offsets[v]];
    value[v] = present(meanOf(Solo(), count, [&](size_t i) { return leaf[members[i]]; }));
  }
}

/// The mean over each vertex's children, the deepest first.
void TurnTree::childMeans(bool softmax, const std::vector<double>& leaves, std::vector<double>& value) const {
  // Children are nodes and, numbered after all vertices, the leaf values where trajectories end.
  std::vector<uint32_t> parent(parent_);
  parent.resize(vertexCount_, kNone);
  std::vector<double> entropy = softmax ? entropies(leaves) : std::vector<double>(vertexCount_, 0.0);
  value.reserve(vertexCount_ + layout_.trajectoryCount());
  layout_.forEachRun(Level::turn, [&](const Run& run) {
    if (isAbsent(leaves[run.trajectory])) return;
    const uint32_t node = node_[run.end - 1];
    parent.push_back(node);
    value.push_back(leaves[run.trajectory]);
    entropy.push_back(entropy[node]);
  });
  GroupMembers children, levels;
  groupMembers(
      parent, vertexCount_, [&](size_t i) { return parent[i] != kNone; }, children);
  groupMembers(
      depth_, depths_, [&](size_t n) { return parent_[n] != kNone; }, levels);

  std::vector<uint32_t> known;
  const auto backUpTo = [&](size_t vertex) {
    known.clear();
    for (size_t i = children.offsets[vertex]; i < children.offsets[vertex + 1]; ++i) {
      if (!isAbsent(value[children.members[i]])) known.push_back(children.members[i]);
    }
    if (known.empty()) return;
    const auto valueOf = [&](size_t i) { return value[known[i]]; };
    const auto entropyOf = [&](size_t i) { return entropy[known[i]]; };
    value[vertex] = present(softmax ? softmaxMean(Solo(), known.size(), valueOf, entropyOf)
                                    : meanOf(Solo(), known.size(), valueOf));
  };
  for (size_t depth = depths_; depth-- > 0;) {
    for (size_t i = levels.offsets[depth]; i < levels.offsets[depth + 1]; ++i) backUpTo(levels.members[i]);
  }
  for (size_t root = nodeCount(); root < vertexCount_; ++root) backUpTo(root);
}

std::vector<double> TurnTree::entropies(const std::vector<double>& leaves) const {
  std::vector<double> largest(vertexCount_, -kInfinity);
  layout_.forEachRun(Level::turn, [&](const Run& run) {
    if (isAbsent(leaves[run.trajectory])) return;
    for (size_t k = run.first; k < run.end; ++k) {
      double& entropy = largest[node_[k]];
      entropy = std::max(entropy, valueOrZero(args_.turnEntropies[k]));
    }
  });
  return largest;
}

}  // namespace turnwise::cpu
