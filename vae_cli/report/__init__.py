"""Reports over any set of runs: a page, a table on the terminal, CSV and LaTeX."""
