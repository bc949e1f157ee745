"""`make bench`: speed of training and evaluation beside other programs."""
