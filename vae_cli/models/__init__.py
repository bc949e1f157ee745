"""Models p(x, z) with q(z|x), and their parts."""
