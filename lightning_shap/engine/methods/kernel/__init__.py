"""Shapley values by Gaussian-process regression over coalitions of patches or segments.

The value of a coalition s is taken for a draw from a Gaussian process whose covariance C relates
coalitions (:mod:`.prior`). From the values g of m evaluated coalitions follow the Shapley values,
which are linear in the game, and their covariance:

    phi = Q (C + noise)^-1 g,        cov(phi) = P - Q (C + noise)^-1 Q'

C is the prior covariance (m, m) of the evaluated values, Q (n, m) that of the n Shapley values with
these, and P (n, n) that of the Shapley values among themselves. The hyper-parameters maximise the
marginal likelihood (:mod:`.process`), coalitions are chosen for what they tell of phi
(:mod:`.design`), and values that noise alone explains are taken back (:mod:`.nulls`). Where the
budget covers all 2^n coalitions, phi is exact (:mod:`.estimate`).

Sources: Lundberg & Lee, "A unified approach to interpreting model predictions" (NeurIPS 2017) for
the game; Covert & Lee, "Improving KernelSHAP" (AISTATS 2021) for pairs of coalitions; Rasmussen &
Williams, "Gaussian Processes for Machine Learning" (2006); Chau et al., "Explaining the uncertain:
stochastic Shapley values for Gaussian process models" (NeurIPS 2023).
"""
