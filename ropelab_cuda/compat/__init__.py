"""Faces of other systems: their names and signatures, on ropelab's rules and kernels."""
