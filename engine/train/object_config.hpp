#pragma once
#include <nlohmann/json.hpp>

#include "engine/train/losses.hpp"
#include "engine/train/metrics.hpp"
#include "engine/train/optimizer.hpp"

namespace braid {

// Losses, metrics, optimizers and learning rates as {"class": ..., "config": {...}} with Keras's
// class and argument names (a schedule: with its numbers in the order of its options), both ways.
// Reading throws NameError for a class that does not exist and for an option that is set but
// unknown; null, false and empty options say nothing in Keras's configs and are passed over.
nlohmann::json to_config(const Loss& loss);
nlohmann::json to_config(const Metric& metric);
nlohmann::json to_config(const Optimizer& optimizer);
nlohmann::json to_config(const LearningRate& rate);

Loss loss_from_config(const nlohmann::json& described);
Metric metric_from_config(const nlohmann::json& described);
Optimizer optimizer_from_config(const nlohmann::json& described);
LearningRate learning_rate_from_config(const nlohmann::json& described);

}  // namespace braid
