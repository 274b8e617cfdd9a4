"""Are the kernels of one network worth reusing in another? Measurements for the reuse judge."""
