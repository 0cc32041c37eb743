#pragma once

// In front of formulas that CPU and GPU kernels share.
#if defined(__CUDACC__)
#define BRAID_HOST_DEVICE __host__ __device__
#else
#define BRAID_HOST_DEVICE
#endif
