#pragma once
#include <string>
#include <vector>

#include "engine/graph/graph.hpp"

namespace braid {

// Rewrites of a forward graph, before its gradients are added. Each leaves every value in `kept`
// (what the program returns) what it was, and every fused op computes what its unfused twin
// computes. Concatenations are fused by the memory plan, which lets producers write into their
// columns.

// activation(dense(x)) becomes one dense op where the derivative can be had from the output.
// Returns how many did.
int fuse_dense_activation(Graph& graph, const std::vector<Value>& kept);

// A softmax or sigmoid beside a crossentropy of the same logits becomes the loss's second output.
int fuse_probabilities_into_loss(Graph& graph);

// An LSTM that alone reads the rows of an embedding picks them itself: they need no memory. So it
// does with the mask of an id, whoever else reads that. Returns how many did.
int fuse_embedding_into_lstm(Graph& graph, const std::vector<Value>& kept);

// All of them. BRAID_FUSION=off leaves the graph as it is.
void fuse(Graph& graph, std::vector<Value>& kept);

}  // namespace braid
