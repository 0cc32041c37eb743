#include "kernels/lstm_together.hpp"

#include <sched.h>

#include <algorithm>

#include "kernels/lstm_forward_pass.hpp"

namespace braid::kernels {
namespace {

// Tokens that are multiplied at once: a multiple of a register block's rows, few enough that the
// first steps need not wait for long.
constexpr std::int64_t kTokensOfPiece = 24;
constexpr std::int64_t kMostPieces = kTokensTogether / kTokensOfPiece;

inline void pause(std::int64_t waited) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
  constexpr std::int64_t kOftenEnough = 1000;
  if (waited % kOftenEnough == 0) sched_yield();  // whom it waits for may want this core
}

// The steps read their weights for one row, the inputs of many are multiplied at once: twice as
// many features as units take one core as long as the steps take another. More cores would be woken
// in vain.
inline std::int64_t helpers_for(const LstmShape& shape) {
  return std::max<std::int64_t>(1, (shape.features + 2 * shape.units - 1) / (2 * shape.units));
}

// Steps `first` to `last` of a row that is alone, each one token. Pieces of their inputs are taken
// in order by whoever has nothing else to do: by the core that goes through the steps only where
// the next one's are not there.
class StepsTogether {
 public:
  StepsTogether(LstmForwardPass& pass, std::int64_t first, std::int64_t last, Panels* kernel)
      : pass_(pass),
        first_(first),
        last_(last),
        pieces_((last - first + kTokensOfPiece - 1) / kTokensOfPiece),
        kernel_(kernel) {}

  std::int64_t pieces() const { return pieces_; }

  void go() {
    for (std::int64_t s = first_; s < last_; ++s) {
      const std::int64_t piece = (s - first_) / kTokensOfPiece;
      for (std::int64_t waited = 1; __atomic_load_n(&done_[piece], __ATOMIC_ACQUIRE) == 0; ++waited)
        if (!project_next()) pause(waited);
      pass_.step(s, pass_.gates(s, first_));
    }
  }

  // Panels are made once, by the first who helps; until then others read the kernel where it lies.
  void help() {
    if (__atomic_load_n(&next_, __ATOMIC_RELAXED) >= pieces_) return;  // it comes late
    if (__atomic_exchange_n(&panels_begun_, 1, __ATOMIC_RELAXED) == 0 && kernel_->data == nullptr) {
      const Panels made = pass_.make_kernel_panels();
      kernel_->depth = made.depth;
      kernel_->columns = made.columns;
      __atomic_store_n(&kernel_->data, made.data, __ATOMIC_RELEASE);
    }
    while (project_next()) continue;
  }

 private:
  bool project_next() {
    const std::int64_t piece = __atomic_fetch_add(&next_, 1, __ATOMIC_RELAXED);
    if (piece >= pieces_) return false;
    const std::int64_t from = first_ + piece * kTokensOfPiece;
    const bool has_panels = __atomic_load_n(&kernel_->data, __ATOMIC_ACQUIRE) != nullptr;
    pass_.project(from, std::min(from + kTokensOfPiece, last_), first_,
                  has_panels ? *kernel_ : Panels{});
    __atomic_store_n(&done_[piece], 1, __ATOMIC_RELEASE);
    return true;
  }

  LstmForwardPass& pass_;
  std::int64_t first_;
  std::int64_t last_;
  std::int64_t pieces_;
  Panels* kernel_;  // shared by all
  std::int64_t next_ = 0;
  int panels_begun_ = 0;
  int done_[kMostPieces] = {};
};

}  // namespace

namespace BRAID_CPU {

void run(const LstmForwardTogether& args) {
  LstmForwardPass pass(args.lstm);
  Panels kernel{};
  const std::int64_t steps = pass.packing().steps;
  for (std::int64_t first = 0; first < steps; first += kTokensTogether) {
    StepsTogether together(pass, first, std::min(first + kTokensTogether, steps), &kernel);
    const std::int64_t cores =
        std::min({1 + args.others.count, 1 + helpers_for(args.lstm.shape), together.pieces()});
    const auto work = [](const void* context, std::int64_t number, int) {
      auto& shared = *static_cast<StepsTogether*>(const_cast<void*>(context));
      number == 0 ? shared.go() : shared.help();
    };
    if (cores == 1) {  // a few steps, of many that are masked
      work(&together, 0, 0);
    } else {
      args.others.run(cores, work, &together);
    }
  }
  pass.write_states();
}

}  // namespace BRAID_CPU
}  // namespace braid::kernels
