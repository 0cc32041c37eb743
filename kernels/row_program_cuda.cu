// A block copies the arguments of its steps to its shared memory and runs them, all threads
// together; between the steps of a wave no warp waits for another. What steps leave for later ones
// lies in the device's memory and is read back from its caches. Blocks count themselves when they
// end, and the last one does the closing steps: what all rows leave is summed up without a launch
// of its own. Training steps that are a row program and updates run one after another in one
// launch: fetching code that runs once takes seven cycles an instruction, half the time of a small
// model.
#include "kernels/row_program.hpp"

#include <algorithm>
#include <type_traits>

#include "kernels/activation_rows.hpp"
#include "kernels/dense_rows.hpp"
#include "kernels/dropout_rows.hpp"
#include "kernels/elementwise_rows.hpp"
#include "kernels/gather_rows.hpp"
#include "kernels/loss_rows.hpp"
#include "kernels/mask_rows.hpp"
#include "kernels/metric_rows.hpp"
#include "kernels/optimizer_rows.hpp"
#include "kernels/simt/facade.hpp"
#include "kernels/softmax_rows.hpp"
#include "kernels/step_rows.hpp"

namespace braid::kernels {
namespace {

constexpr int kThreads = kDenseThreads;
static_assert(kThreads == kElementThreads);
static_assert(sizeof(RowStep) % sizeof(uint4) == 0);

template <class Arguments>
constexpr bool kIsUpdate =
    kIsRowKernel<Arguments, std::tuple<SgdUpdate, RmspropUpdate, AdamUpdate>>;

static_assert(std::is_same_v<std::tuple_element_t<0, RowKernels>, DenseForward> &&
              std::is_same_v<std::tuple_element_t<1, RowKernels>, DenseInputGradient> &&
              std::is_same_v<std::tuple_element_t<2, RowKernels>, DenseWeightGradient>);

__device__ __forceinline__ void run_product(const RowStep& step, float* memory) {
  DenseProduct product;
  switch (step.kernel) {
    case 0: product = product_of(step.as<DenseForward>()); break;
    case 1: product = product_of(step.as<DenseInputGradient>()); break;
    default: product = product_of(step.as<DenseWeightGradient>());
  }
  multiply_rows(OneBlock{step.first}, static_cast<RowProduct>(step.kernel), product, memory);
}

template <std::size_t kKernel>
__device__ __forceinline__ void run_kernel(const RowStep& step) {
  using Arguments = std::tuple_element_t<kKernel, RowKernels>;
  if constexpr (kIsUpdate<Arguments>) {
    run_rows(BlocksFrom{step.first}, step.as<Arguments>());
  } else {
    run_rows(OneBlock{step.first}, step.as<Arguments>());
  }
}

// Inlined, or each call would keep registers in memory. One jump: a chain of comparisons took
// longer than most steps, there and back.
__device__ __forceinline__ void run_step(const RowStep& step, float* memory) {
  static_assert(std::tuple_size_v<RowKernels> == 29);
  switch (step.kernel) {
    case 0:
    case 1:
    case 2: return run_product(step, memory);
    case 3: return run_kernel<3>(step);
    case 4: return run_kernel<4>(step);
    case 5: return run_kernel<5>(step);
    case 6: return run_kernel<6>(step);
    case 7: return run_kernel<7>(step);
    case 8: return run_kernel<8>(step);
    case 9: return run_kernel<9>(step);
    case 10: return run_kernel<10>(step);
    case 11: return run_kernel<11>(step);
    case 12: return run_kernel<12>(step);
    case 13: return run_kernel<13>(step);
    case 14: return run_kernel<14>(step);
    case 15: return run_kernel<15>(step);
    case 16: return run_kernel<16>(step);
    case 17: return run_kernel<17>(step);
    case 18: return run_kernel<18>(step);
    case 19: return run_kernel<19>(step);
    case 20: return run_kernel<20>(step);
    case 21: return run_kernel<21>(step);
    case 22: return run_kernel<22>(step);
    case 23: return run_kernel<23>(step);
    case 24: return run_kernel<24>(step);
    case 25: return run_kernel<25>(step);
    case 26: return run_kernel<26>(step);
    case 27: return run_kernel<27>(step);
    case 28: return run_kernel<28>(step);
  }
}

constexpr int kPieces = static_cast<int>(sizeof(RowStep) / sizeof(uint4));
// Steps whose arguments are fetched at once: all those of a small model.
constexpr int kStepsHeld = 32;

constexpr std::int64_t kBytesOfDenseRows =
    kFloatsOfDenseRows * static_cast<std::int64_t>(sizeof(float));
static_assert(kBytesOfDenseRows + std::int64_t{kStepsHeld} * kPieces * 16 + 1024 <=
              kSharedOfRowProgram);

// The address that two halves of a word of arguments stand for, if it counts from shared memory.
__device__ inline void find_in_shared(unsigned& low, unsigned& high, bool counts,
                                      const float* shared) {
  if (!counts) return;
  const std::uint64_t address = reinterpret_cast<std::uintptr_t>(shared) + low;
  low = static_cast<unsigned>(address);
  high = static_cast<unsigned>(address >> 32U);
}

// The steps of a block, behind them the closing ones, behind those the updates.
struct StepList {
  const RowStep* of_block;
  const RowStep* of_all;
  int rows_end;
  int closing_end;
  int updates_end;

  __device__ explicit StepList(const RowProgram& program)
      : of_block(program.steps +
                 (blockIdx.x < program.blocks ? blockIdx.x : 0) * program.steps_of_block),
        of_all(program.steps + program.blocks * program.steps_of_block),
        rows_end(static_cast<int>(program.steps_of_block)),
        closing_end(rows_end + static_cast<int>(program.closing_steps)),
        updates_end(closing_end + static_cast<int>(program.updates)) {}

  // Copies the next ones from `first` on, as many as are held.
  __device__ void fetch(int first, const float* shared, uint4 (&held)[kStepsHeld * kPieces]) const {
    constexpr int kRounds = (kStepsHeld * kPieces + kThreads - 1) / kThreads;
    const int left = updates_end - first;
    const int pieces = (left < kStepsHeld ? left : kStepsHeld) * kPieces;
    uint4 fetched[kRounds];
    std::uint64_t in_shared[kRounds];
    const auto place = [&](int round) { return static_cast<int>(threadIdx.x) + round * kThreads; };
    // Behind the last piece it is read again: no load waits for a branch.
    SIMT_UNROLL
    for (int round = 0; round < kRounds; ++round) {
      const int i = place(round) < pieces ? place(round) : pieces - 1;
      const int step = first + i / kPieces;
      const RowStep* from = step < rows_end ? of_block + step : of_all + (step - rows_end);
      fetched[round] = ld_vec<uint4>(reinterpret_cast<const uint4*>(from) + i % kPieces);
      // Of this piece's two words; the first piece is no argument.
      in_shared[round] = i % kPieces == 0 ? 0 : from->in_shared >> (2 * (i % kPieces - 1));
    }
    SIMT_UNROLL
    for (int round = 0; round < kRounds; ++round) {
      uint4& piece = fetched[round];
      find_in_shared(piece.x, piece.y, (in_shared[round] & 1U) != 0, shared);
      find_in_shared(piece.z, piece.w, (in_shared[round] & 2U) != 0, shared);
      if (place(round) < pieces) held[place(round)] = piece;
    }
  }
};

// Where blocks wait for each other, one by one for the last.
class Meetings {
 public:
  __device__ explicit Meetings(RowProgram::Meeting* at) : at_(at) {
    // Nobody leaves the first meeting before this block has come.
    if (at_ != nullptr && threadIdx.x == 0) left_ = load_acquire(&at_->left);
  }

  // Whether all other blocks have come, and what they wrote can be read.
  __device__ bool comes_last(bool& is_last) const {
    __syncthreads();  // all steps have been made
    if (threadIdx.x == 0) {
      __threadfence();  // behind the barrier, so it hands on the whole block's work
      is_last = atomicAdd(&at_->ended, 1U) == gridDim.x - 1;
      __threadfence();
      if (is_last) at_->ended = 0;
    }
    __syncthreads();
    return is_last;
  }
  // The last block lets the others go, with all that it has written since.
  __device__ void let_go() {
    __syncthreads();
    if (threadIdx.x == 0) {
      __threadfence();
      store_release(&at_->left, ++left_);
    }
  }
  __device__ void wait() {
    if (threadIdx.x == 0) {
      ++left_;
      while (load_acquire(&at_->left) != left_) spin_pause();
    }
    __syncthreads();
  }

 private:
  RowProgram::Meeting* at_;
  unsigned left_ = 0;  // of the first thread
};

__global__ void __launch_bounds__(kThreads, 1) row_program_kernel(RowProgram program) {
  SIMT_DYN_SHARED(float, memory);
  SIMT_SHARED(uint4, held, [kStepsHeld * kPieces]);
  SIMT_SHARED(bool, is_last, [1]);
  const StepList list(program);
  Meetings meetings(program.meeting);
  const bool has_rows = blockIdx.x < program.blocks;
  const bool go_on = program.updates > 0 || program.repeats > 1;
  std::int64_t repeats = program.repeats;
  int first_held = -kStepsHeld;
  enum { of_rows, closing, updates };
  // Updates alone need no meeting.
  int phase = program.meeting == nullptr && go_on ? updates : of_rows;
  int step = has_rows ? 0 : list.rows_end;
  // One loop for everything, or the kernel would hold the code of all steps several times.
  SIMT_NO_UNROLL
  while (true) {
    const int begin = step;
    const int end = phase == of_rows   ? list.rows_end
                    : phase == closing ? list.closing_end
                                       : list.updates_end;
    SIMT_NO_UNROLL
    for (; step < end; ++step) {
      const RowStep& held_step = reinterpret_cast<const RowStep*>(held)[step % kStepsHeld];
      const int first = step / kStepsHeld * kStepsHeld;
      if (first != first_held) {
        if (step > begin) __syncthreads();  // those before have been read, and made
        list.fetch(first, memory + kFloatsOfDenseRows, held);
        first_held = first;
        __syncthreads();  // the steps are there
      } else if (held_step.waits && step > begin) {
        __syncthreads();  // the results of those before are there
      }
      run_step(held_step, memory);
    }
    if (phase == of_rows) {
      if (list.closing_end == list.rows_end && !go_on) return;
      phase = closing;
      if (meetings.comes_last(is_last[0])) continue;
      if (!go_on) return;
      meetings.wait();
      step = list.closing_end;
      phase = updates;
    } else if (phase == closing) {
      if (!go_on) return;
      meetings.let_go();
      phase = updates;
    } else {
      if (--repeats == 0) return;
      if (program.updates > 0) {
        if (meetings.comes_last(is_last[0])) {
          meetings.let_go();
        } else {
          meetings.wait();
        }
      }
      phase = of_rows;
      step = has_rows ? 0 : list.rows_end;
    }
  }
}

}  // namespace

namespace BRAID_GPU {

void run(const Stream& stream, const RowProgram& args) {
  const bool goes_on = args.updates > 0 || args.repeats > 1;
  if (args.repeats == 0 || args.steps_of_block + args.closing_steps + args.updates == 0) return;
  LaunchShape shape{.grid = std::max(args.blocks, args.blocks_of_updates),
                    .block = kThreads,
                    .shared = kBytesOfDenseRows + args.shared_bytes};
  if (shape.grid.x == 0) return;
  if (!goes_on) return launch_kernel<row_program_kernel>(shape, stream, args);
  if (shape.grid.x <= blocks_at_once<row_program_kernel>(shape))
    return launch_cooperative<row_program_kernel>(shape, stream, args);
  // Blocks that cannot wait for each other meet in launches of their own.
  RowProgram rows = args;
  rows.updates = 0;
  rows.repeats = 1;
  RowProgram updates = args;
  updates.steps += args.blocks * args.steps_of_block + args.closing_steps;
  updates.blocks = 0;
  updates.steps_of_block = 0;
  updates.closing_steps = 0;
  updates.repeats = 1;
  updates.meeting = nullptr;
  for (std::int64_t repeat = 0; repeat < args.repeats; ++repeat) {
    launch_kernel<row_program_kernel>(shape, stream, rows);
    if (args.updates > 0) launch_kernel<row_program_kernel>(shape, stream, updates);
  }
}

}  // namespace BRAID_GPU
}  // namespace braid::kernels
