"""The published algorithms in the form in which their authors' code computes them, rewritten for comparison only.

They are kept slow in the same ways (full distance matrices, autograd, loops in Python), so that a ratio against them
says what an exact reformulation gains. Nothing in `selection` imports them.
"""
