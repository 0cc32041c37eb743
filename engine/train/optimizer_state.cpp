#include "engine/train/optimizer_state.hpp"

#include <algorithm>
#include <cmath>
#include <span>

#include "engine/core/device_access.hpp"
#include "engine/core/error.hpp"
#include "engine/runtime/parallel.hpp"

namespace braid {
namespace {

// Numbers of weights that are worth another core.
constexpr std::int64_t kChunk = 16384;

std::vector<std::string> slot_names(const Optimizer& rule) {
  switch (rule.kind) {
    case Optimizer::Kind::sgd:
      return rule.momentum != 0 ? std::vector<std::string>{"momentum"} : std::vector<std::string>{};
    case Optimizer::Kind::rmsprop: {
      std::vector<std::string> names{"velocity"};
      if (rule.momentum > 0) names.push_back("momentum");
      if (rule.centered) names.push_back("average_gradient");
      return names;
    }
    case Optimizer::Kind::adam: {
      std::vector<std::string> names{"momentum", "velocity"};
      if (rule.amsgrad) names.push_back("velocity_hat");
      return names;
    }
  }
  return {};
}

template <class T>
std::shared_ptr<std::byte[]> copy_on(Device device, const std::vector<T>& values,
                                     const char* what) {
  const std::size_t bytes = values.size() * sizeof(T);
  std::shared_ptr<std::byte[]> copy = allocate_on(device, bytes, what);
  access_to(device).upload(copy.get(), reinterpret_cast<const std::byte*>(values.data()), bytes,
                           nullptr);
  return copy;
}

}  // namespace

OptimizerState::OptimizerState(Optimizer rule, const std::vector<ParameterUpdate>& parameters,
                               Device device)
    : rule_(std::move(rule)),
      device_(device),
      rate_(static_cast<float>(rule_.learning_rate.at(0))) {
  std::vector<std::int64_t> first_partials{0};
  for (std::size_t p = 0; p < parameters.size(); ++p) {
    Slots slots{parameters[p].name, {}};
    for (const std::string& name : slot_names(rule_))
      slots.tensors.emplace_back(name, Tensor::zeros(parameters[p].shape));
    slots_.push_back(std::move(slots));
    const std::int64_t count = parameters[p].count();
    const std::int64_t size = device == Device::cpu() ? kChunk : std::max<std::int64_t>(count, 1);
    std::int64_t partial = first_partials.back();
    for (std::int64_t begin = 0; begin < count; begin += size) {
      chunks_.push_back({p, begin, std::min(size, count - begin), partial});
      partial += kernels::norm_chunks(chunks_.back().count);
    }
    first_partials.push_back(partial);
  }
  share_out_chunks();
  std::vector<Tensor*> tensors;
  for (Slots& slots : slots_) {
    for (auto& [name, tensor] : slots.tensors) tensors.push_back(&tensor);
  }
  move_together(tensors, device, "the state of the optimizer");
  if (rule_.clipnorm || rule_.global_clipnorm) {
    // A weight without a gradient adds nothing.
    const std::vector<double> none(static_cast<std::size_t>(first_partials.back()), 0);
    partials_ = copy_on(device, none, "the norms of gradients");
    first_partials_ = copy_on(device, first_partials, "the places of the norms of gradients");
    clip_factors_ = allocate_on(device, parameters.size() * sizeof(float), "the clip factors");
  }
  for (const ParameterUpdate& parameter : parameters) {
    const auto& excluded = rule_.without_weight_decay;
    decays_.push_back(std::none_of(excluded.begin(), excluded.end(), [&](const std::string& part) {
      return parameter.name.find(part) != std::string::npos;
    }));
  }
}

double OptimizerState::learning_rate() const {
  return rule_.learning_rate.is_schedule() ? rule_.learning_rate.at(iterations_)
                                           : static_cast<double>(rate_);
}

void OptimizerState::set_learning_rate(double rate) {
  if (rule_.learning_rate.is_schedule()) {
    throw NameError("optimizer \"" + rule_.name +
                    "\": the learning rate follows a schedule and cannot be set");
  }
  rate_ = static_cast<float>(rate);
}

kernels::UpdateRates OptimizerState::rates_at(std::int64_t iteration) const {
  const bool schedule = rule_.learning_rate.is_schedule();
  kernels::UpdateRates rates{
      .rate = schedule ? static_cast<float>(rule_.learning_rate.at(iteration)) : rate_};
  if (rule_.kind == Optimizer::Kind::adam) {
    // Keras takes powers of the betas as float32; exact ones differ by 1e-5 in the first steps.
    const auto step = static_cast<float>(iteration + 1);
    const float power_1 = std::pow(static_cast<float>(rule_.beta_1), step);
    const float power_2 = std::pow(static_cast<float>(rule_.beta_2), step);
    rates.alpha = rates.rate * std::sqrt(1.0F - power_2) / (1.0F - power_1);
  }
  return rates;
}

void OptimizerState::share_out_chunks() {
  std::int64_t in_share = 0;
  for (std::size_t number = 0; number < chunks_.size(); ++number) {
    if (shares_.empty() || in_share + chunks_[number].count > kChunk) {
      shares_.push_back({number, 0});
      in_share = 0;
    }
    ++shares_.back().count;
    in_share += chunks_[number].count;
  }
}

template <class List, class Make>
void OptimizerState::launch_chunks(const kernels::Stream& stream,
                                   const std::vector<ParameterUpdate>& parameters,
                                   const Make& make) const {
  if (device_ == Device::cpu()) {
    parallel_for(static_cast<std::int64_t>(shares_.size()), [&](std::int64_t number, int) {
      const Share& share = shares_[static_cast<std::size_t>(number)];
      for (const Chunk& chunk : std::span(chunks_).subspan(share.first, share.count)) {
        if (parameters[chunk.parameter].gradient.data != nullptr)
          kernels::launch(stream, make(chunk));
      }
    });
    return;
  }
  List list;
  const auto flush = [&] {
    if (list.count > 0) kernels::launch(stream, list);
    list.count = 0;
  };
  for (const Chunk& chunk : chunks_) {
    if (parameters[chunk.parameter].gradient.data == nullptr) continue;
    list.each[list.count++] = make(chunk);
    if (list.count == List::kMost) flush();
  }
  flush();
}

void OptimizerState::launch(const kernels::Stream& stream,
                            const std::vector<ParameterUpdate>& parameters,
                            const kernels::UpdateRates* rates) const {
  if (clip_factors_ != nullptr) launch_clipping(stream, parameters);
  const auto operands = [&](const Chunk& chunk) {
    return operands_of(parameters[chunk.parameter], chunk, rates);
  };
  switch (rule_.kind) {
    case Optimizer::Kind::sgd:
      return launch_chunks<kernels::SgdUpdates>(stream, parameters, [&](const Chunk& chunk) {
        return sgd_update(operands(chunk), chunk.count);
      });
    case Optimizer::Kind::rmsprop:
      return launch_chunks<kernels::RmspropUpdates>(stream, parameters, [&](const Chunk& chunk) {
        return rmsprop_update(operands(chunk), chunk.count);
      });
    case Optimizer::Kind::adam:
      return launch_chunks<kernels::AdamUpdates>(stream, parameters, [&](const Chunk& chunk) {
        return adam_update(operands(chunk), chunk.count);
      });
  }
}

void OptimizerState::launch_clipping(const kernels::Stream& stream,
                                     const std::vector<ParameterUpdate>& parameters) const {
  auto* const partials = reinterpret_cast<double*>(partials_.get());
  launch_chunks<kernels::SquaredNorms>(stream, parameters, [&](const Chunk& chunk) {
    const kernels::GradientSource& gradient = parameters[chunk.parameter].gradient;
    return kernels::SquaredNorm{.in = gradient.data + chunk.begin,
                                .slices = gradient.slices,
                                .slice_stride = gradient.slice_stride,
                                .count = chunk.count,
                                .partials = partials + chunk.first_partial};
  });
  const double limit = rule_.clipnorm ? *rule_.clipnorm : *rule_.global_clipnorm;
  const auto* const firsts = reinterpret_cast<const std::int64_t*>(first_partials_.get());
  kernels::launch(stream,
                  kernels::ClipFactors{.partials = partials,
                                       .firsts = firsts,
                                       .factors = reinterpret_cast<float*>(clip_factors_.get()),
                                       .count = static_cast<std::int64_t>(parameters.size()),
                                       .limit = static_cast<float>(limit),
                                       .together = !rule_.clipnorm});
}

OptimizerState::ChunkOperands OptimizerState::operands_of(const ParameterUpdate& parameter,
                                                          const Chunk& chunk,
                                                          const kernels::UpdateRates* rates) const {
  const auto* const factors = reinterpret_cast<const float*>(clip_factors_.get());
  const bool decays = decays_[chunk.parameter] != 0;
  ChunkOperands operands{
      .gradient = {.data = parameter.gradient.data + chunk.begin,
                   .slices = parameter.gradient.slices,
                   .slice_stride = parameter.gradient.slice_stride,
                   .factor = factors != nullptr ? factors + chunk.parameter : nullptr,
                   .clip_value = static_cast<float>(rule_.clipvalue.value_or(0))},
      .value = parameter.value + chunk.begin,
      .slots = {},
      .rates = rates,
      .weight_decay = decays ? static_cast<float>(rule_.weight_decay.value_or(0)) : 0.0F};
  const auto& tensors = slots_[chunk.parameter].tensors;
  for (std::size_t slot = 0; slot < tensors.size(); ++slot) {
    auto* const memory = const_cast<std::byte*>(tensors[slot].second.raw());
    operands.slots[slot] = reinterpret_cast<float*>(memory) + chunk.begin;
  }
  return operands;
}

kernels::SgdUpdate OptimizerState::sgd_update(const ChunkOperands& chunk,
                                              std::int64_t count) const {
  return {.gradient = chunk.gradient,
          .parameter = chunk.value,
          .velocity = chunk.slots[0],
          .count = count,
          .rates = chunk.rates,
          .momentum = static_cast<float>(rule_.momentum),
          .weight_decay = chunk.weight_decay,
          .nesterov = rule_.nesterov};
}

kernels::RmspropUpdate OptimizerState::rmsprop_update(const ChunkOperands& chunk,
                                                      std::int64_t count) const {
  const bool has_momentum = rule_.momentum > 0;
  return {.gradient = chunk.gradient,
          .parameter = chunk.value,
          .velocity = chunk.slots[0],
          .momentum_slot = has_momentum ? chunk.slots[1] : nullptr,
          .average = rule_.centered ? chunk.slots[has_momentum ? 2 : 1] : nullptr,
          .count = count,
          .rates = chunk.rates,
          .rho = static_cast<float>(rule_.rho),
          .one_minus_rho = static_cast<float>(1 - rule_.rho),
          .momentum = static_cast<float>(rule_.momentum),
          .epsilon = static_cast<float>(rule_.epsilon),
          .weight_decay = chunk.weight_decay};
}

kernels::AdamUpdate OptimizerState::adam_update(const ChunkOperands& chunk,
                                                std::int64_t count) const {
  return {.gradient = chunk.gradient,
          .parameter = chunk.value,
          .momentum = chunk.slots[0],
          .velocity = chunk.slots[1],
          .velocity_max = chunk.slots[2],
          .count = count,
          .rates = chunk.rates,
          .one_minus_beta_1 = static_cast<float>(1 - rule_.beta_1),
          .one_minus_beta_2 = static_cast<float>(1 - rule_.beta_2),
          .epsilon = static_cast<float>(rule_.epsilon),
          .weight_decay = chunk.weight_decay};
}

TensorDict OptimizerState::save() const {
  TensorDict state;
  state.set("iteration", Tensor::from(std::vector<std::int64_t>{iterations_}, Shape{}));
  if (!rule_.learning_rate.is_schedule())
    state.set("learning_rate", Tensor::from(std::vector<float>{rate_}, Shape{}));
  for (const Slots& slots : slots_) {
    for (const auto& [name, tensor] : slots.tensors)
      state.set(slots.name + "/" + name, copy_on_host(tensor));
  }
  return state;
}

void OptimizerState::load(const TensorDict& state) {
  const Tensor& iteration = state.at("iteration");
  for (const char* name : {"iteration", "learning_rate"}) {
    const Tensor* number = state.find(name);
    if (number == nullptr || number->elements() == 1) continue;
    throw ShapeError(std::string("optimizer state \"") + name + "\" is " +
                     braid::describe(*number) + "; one number is expected");
  }
  for (const Slots& slots : slots_) {
    for (const auto& [name, tensor] : slots.tensors) {
      const Tensor& stored = state.at(slots.name + "/" + name);
      if (stored.shape() != tensor.shape() || stored.dtype() != DType::float32) {
        throw ShapeError("optimizer state \"" + slots.name + "/" + name + "\" is " +
                         braid::describe(stored) + "; " + braid::describe(tensor) + " is expected");
      }
    }
  }
  const std::int64_t iterations = iteration.data<std::int64_t>()[0];
  const Tensor* const rate = state.find("learning_rate");
  if (rate != nullptr) rate_ = rate->data<float>()[0];
  iterations_ = iterations;
  for (Slots& slots : slots_) {
    for (auto& [name, tensor] : slots.tensors) {
      tensor.assign(state.at(slots.name + "/" + name));
    }
  }
}

}  // namespace braid
