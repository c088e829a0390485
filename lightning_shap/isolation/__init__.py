"""Leave the host as it was: what an explanation calls is a copy, and the original never notices.

An explanation calls a model hundreds of times, in the middle of somebody else's training, and a
model may remember its calls anywhere. So the model itself is never called. In three steps,
:func:`~lightning_shap.isolation.isolated.isolated`

1. copies it and all that hangs on it (``copying``): each thing is taken to pieces and made anew by
   a rule for its kind (``rules``), and none of the model's own code runs. Shared with the original
   is a short list of what nobody can change and of what a run has one of, by the library that
   defines it (``kinds``): trainer, loggers, process groups. All that is left goes into the copy as
   a thing that refuses to be used (``stand_ins``), in one sentence;
2. lends users' classes copies of what their attributes hold, keeps the states of the generators
   that everybody shares, runs compiled code as it is written (``host``);
3. and gives all of that back, whatever ends the work, an interrupt at any line too.

Nothing of the model's is restored, as nothing was changed. Beside it, ``modes`` evaluates modules,
and ``signals`` tells a handler's errors from ours. What prepares the data is called by the same
means, or in a process of its own: see :mod:`lightning_shap.training.samples.reading_process`.
"""
