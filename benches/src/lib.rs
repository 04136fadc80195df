//! Micro-benchmarks of the packet path.
