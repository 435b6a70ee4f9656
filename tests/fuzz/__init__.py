"""Calls of any shape, strides and positions, each checked against the specification.

A call's tensors are views into one memory that is poison in every other place, NaN to any format;
so are the results that it allocates. What a kernel leaves out is NaN, what it reads beyond poisons
a result, and what it writes beyond is seen: afterwards all bytes but those of the results must be
as they were.

========================  ======================================================================
`memory`, `tensors`       where the tensors of a call lie
`cases`                   what a rotation depends on, and its numbers
`angles`, `tables`        what angles come from: positions and a spectrum, or given tables
`errors`                  how far results may be from the specification's, and why
`call`                    one call: made, repeated by its plan, and checked
`rotary` ... `permute`    an operation each: its cases, and the call that a case is
`operations`, `campaign`  all of them; many cases, in several processes, and their table
`devices`                 where calls run
========================  ======================================================================
"""
