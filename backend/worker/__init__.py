"""RQ jobs: plain JSON arguments, one use case each."""
