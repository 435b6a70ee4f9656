"""How fast the kernels are, beside a device copy of the same bytes and beside other rotations.

``python -m ropelab_cuda.bench`` measures everything in one run on one card, so that the numbers of
a table may be compared with each other:

- Every result is checked against the specification before anything is timed.
- A CUDA graph of many calls is replayed between two device events. That leaves out what the host
  does; its time for one eager call stands in a column of its own.
- The calls of a graph walk over several sets of inputs and outputs, which together exceed the L2
  cache several times, so that nothing is read from it that a model would find in memory.
- The graphs of a workload take turns, round after round, so that a change of clocks meets all.
- Reported are the median over the rounds, and the 10th and 90th percentile.

Bytes are counted for q and k alone, each read once and written once, in place or not. What a
rotation reads beside that, a table of cosines for instance, counts against its bandwidth.
"""
