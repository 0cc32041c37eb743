#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <braid/losses.hpp>

// Keras's names of losses, which are names of metrics, too.
namespace braid {

std::optional<Loss::Kind> loss_kind(std::string_view name);
// All of them, for messages.
std::vector<std::string> known_losses();

}  // namespace braid
