"""The kernels on the CPU: the CUDA words in C++, a builder, and a stand-in for the device."""
