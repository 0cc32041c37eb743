#pragma once
#include <cstddef>

// The race flavour: every access of a kernel to memory is compared with the ones before it. Two
// accesses of one byte by different threads race, if one of them writes and nothing orders them.
// Other flavours compile all of this to nothing.
//
// Kernels are compiled with -fsanitize=thread, so that they report their accesses; the functions
// that they call then are our own. Barriers, __syncwarp, mbarriers, and fences around atomics and
// around words left for others order accesses; shuffles do not.
namespace braid::simt {

struct Barrier;
struct LaunchRecord;
struct Thread;

#if defined(BRAID_SIMT_RACES)

// Accesses by these functions are none of the kernel's.
#define SIMT_UNSEEN [[gnu::noinline, gnu::no_sanitize("thread")]]

namespace races {
void start_launch();
void end_launch(LaunchRecord& record);  // counts the bytes that it moved
void start_blocks(int threads);         // that are alive together
void forget(const void* memory, std::size_t bytes);
void look_away(bool away);
void access(const void* address, std::size_t bytes, bool writes, bool atomic, const void* code);
// Everything that the threads did so far lies before everything that they do from now on.
void meet(Thread* const* threads, std::size_t count);
// What was done by a thread before it releases lies before what others do after they acquire.
void release(Thread& thread, const void* object);
void acquire(Thread& thread, const void* object);
void fence();
void atomic(const void* address, std::size_t bytes, const void* code);
// Words left for others in no order: any is found that a GPU could give (weak_words.cpp).
void leave_word(unsigned* address, unsigned word);
unsigned find_word(const unsigned* address);
void forget_words();
}  // namespace races

#else

#define SIMT_UNSEEN

namespace races {
inline void start_launch() {}
inline void end_launch(LaunchRecord&) {}
inline void start_blocks(int) {}
inline void forget(const void*, std::size_t) {}
inline void look_away(bool) {}
inline void access(const void*, std::size_t, bool, bool, const void*) {}
inline void meet(Thread* const*, std::size_t) {}
inline void release(Thread&, const void*) {}
inline void acquire(Thread&, const void*) {}
inline void fence() {}
inline void atomic(const void*, std::size_t, const void*) {}
inline void leave_word(unsigned* address, unsigned word) { *address = word; }
inline unsigned find_word(const unsigned* address) { return *address; }
}  // namespace races

#endif

}  // namespace braid::simt
