#include "kernels/row_program.hpp"

#include <stdexcept>
#include <string>

namespace braid::kernels {
namespace {

template <class Arguments>
bool take(const std::type_info& type, const void* arguments, std::int64_t kernel, RowStep& step) {
  if (type != typeid(Arguments)) return false;
  step.kernel = kernel;
  std::memcpy(step.arguments, arguments, sizeof(Arguments));
  return true;
}

}  // namespace

void RowSteps::add(const std::type_info& type, const void* arguments) {
  RowStep step{};
  const bool taken = [&]<std::size_t... kPlace>(std::index_sequence<kPlace...>) {
    return (take<std::tuple_element_t<kPlace, RowKernels>>(
                type, arguments, static_cast<std::int64_t>(kPlace), step) ||
            ...);
  }
  (std::make_index_sequence<std::tuple_size_v<RowKernels>>{});
  if (!taken) throw std::logic_error(std::string("no step of a row program: ") + type.name());
  steps_.push_back(step);
}

}  // namespace braid::kernels
