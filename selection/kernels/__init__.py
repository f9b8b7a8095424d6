"""Functions on arrays that several strategies share; each works in blocks, so that nothing is n x n."""
