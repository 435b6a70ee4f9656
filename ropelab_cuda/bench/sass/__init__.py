"""Reading sm_90 machine code: what a thread would execute, without a GPU.

The listing of a cubin (`listing`) is walked instruction by instruction (`lane`); registers hold
integers or nothing known (`registers`), and integers are computed as the card does (`alu`).
"""
