"""The class summary: what a model looks at in each class of many images, and what is suspicious.

The mathematics, on one page. Let image i have class c(i), and j be an image of another class. A
part p of an image is a place or a property (``parts``); "j + p of i" is j with that part of i. The
share of what decides about i that p has is (``swaps``)

    s(i, p) = [f(j + p of i) - f(j) + f(i) - f(i + p of j)] / 2 W

where f is "class c(i) rather than c(j)" in units of the output, and W the mean of f(i) - f(j) over
the images of the class: the Shapley value of the part in a game of two players, the part and the
rest of the image. Half of what is tested is this, half the same in decisions (f is 1 where an image
is taken for c(i), else 0, and W = 1): outputs say something of each image, decisions what matters.

Squares of two rows and two columns are exchanged coarse to fine: only of images of which both the
rows and the columns decide ``CROSSED`` of the whole, and else count as 0. That asks what decides
about an image, and not its class, so that the test below is as exact as without.

- *Null hypothesis*: what a swap shares out does not depend on the two classes (of a class), and no
  side of the images is special (of all classes together): s(i, .) may be exchanged between swaps,
  or mirrored.
- *Effect*: with m the mean of s over the swaps that have class c on either side, and n what is
  natural (the largest of the mean between other classes, of the mean in mirrored places, and of a
  floor; the area for all classes together), the surprise is the relative entropy m log(m / n) + (1
  - m) log((1 - m) / (1 - n)) in nats, 0 where m is at most n. It must reach ``LEAST``, or
  ``LEAST_SHARED`` for what classes differ in anyway, a property or a line inside, and for a place
  in all of them; a property must decide ``HALF`` as well (``suspicions``). As a class is compared
  with swaps that it has no part in, it is not accused of what another one has.
- *Statistic*: T(c, p) = (mean over c - mean between others) / standard error, Welch's; for all
  classes together the mean less that of the mirrored places.
- *Test*: 999 times the classes of swaps are dealt out anew and images mirrored at random; the
  largest T over all parts and classes is kept each time. p = (1 + how many of these reach T(c, p))
  / 1000, which holds for all parts and classes at once (Westfall and Young, "Resampling-based
  multiple testing", 1993). Named is what has p <= ``LEVEL`` = 0.01: at most one run in a hundred
  names anything where the null hypothesis holds.
- *Name*: of parts that overlap the smallest that has ``NEARLY`` the largest excess m - n.
- *Proof*: the same Shapley value in decisions, in place of outputs, must reach ``HOLDS``
  (``proof``).
- *Data alone*: how well each part tells the class of an image without any model, as shares that the
  same test is made of (``data_alone``).
- *Power*: the share that would be named in ``CASES`` of cases, by the same test on the shares that
  there are, one place's raised (``power``).

Two classes swap with one another, so that the test has nothing to hold a symmetric part against;
what it decides beyond its area is stated, without a test.

A suspicion is a reason to look, and no verdict: an object that is always in one place looks the
same.
"""
