"""The class summary: what a model looks at in each class of many images, and what is suspicious.

The mathematics, on one page. Let image i have class c(i), and let s(i, p) be the share of what
decides about it that lies in place p, measured in two ways (``places``, ``swaps``):

    attribution    s(i, p) = sum of |map| inside p / sum of |map|
    swap           s(i, p) = [f(j + p of i) - f(j) + f(i) - f(i + p of j)] / 2 W

where f is "class c(i) rather than c(j)" in units of the output, j an image of another class, and W
the mean of f(i) - f(j) over the images of the class: the Shapley value of the place in a game of
two players, the place and the rest of the image. A place is a corner, an edge, a frame, a cell of a
grid, or fine detail. An image that says nothing of a place has no part in any mean.

- *Null hypothesis*: what an image shares out does not depend on its class (of a class), and no side
  of the images is special (of all classes together): s(i, .) may be exchanged between images, or
  mirrored.
- *Effect*: with m the mean of s over the class, and n what is natural (the largest of the mean over
  other classes, of the mean in mirrored places, and of a floor, for attribution the area), the
  surprise is the relative entropy m log(m / n) + (1 - m) log((1 - m) / (1 - n)) in nats, 0 where m
  is at most n. It must reach ``LEAST``, and ``LEAST_UNSWAPPED`` for attribution without a swap of
  the same place; attribution with one counts as the geometric mean of both (``suspicions``).
- *Statistic*: T(c, p) = (mean over c - mean over the others) / standard error, Welch's; for all
  classes together the mean less that of the mirrored places.
- *Test*: 999 times classes are dealt out anew and images mirrored at random; the largest T over all
  places and classes is kept each time. p = (1 + how many of these reach T(c, p)) / 1000, which
  holds for all places and classes at once (Westfall and Young, "Resampling-based multiple testing",
  1993). Named is what has p <= ``LEVEL`` = 0.05: at most one run in twenty names anything where the
  null hypothesis holds.
- *Power*: the share that would be named in ``CASES`` of cases, by the same test on the shares that
  there are, one place's raised (``power``).

Two classes swap with one another, so that the test has nothing to hold a symmetric place against;
what it decides is stated as a fact, without a test (``two_classes``).

A suspicion is a reason to look, and no verdict: an object that is always in one place looks the
same.
"""
