// Package kernels computes: matrix products, convolutions, pooling, and
// element-wise loops over plain slices, with no knowledge of ONNX, graphs or
// tensors. Everything is row-major; image data is N, C, then the spatial axes.
//
// Each operation exists in tiers. "reference" is the direct loop that follows
// the definition, "go" is the portable packed implementation, "avx2" and
// "avx512" are the same algorithms with assembly inner loops. The best tier of
// the CPU is chosen when the program starts; the environment variable
// ONNXPRUNE_KERNELS names a lower one.
//
// Two promises hold in every tier. A result never depends on the number of
// threads: work is split over outputs, never along a sum. And a size of zero is
// a legal size: nothing is read, and what has no terms is zero (or the bias).
//
// Slices shorter than the sizes given are a programming error: functions that
// return an error say so; the others panic as indexing does.
package kernels
