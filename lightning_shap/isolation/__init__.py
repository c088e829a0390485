"""Leave the host as it was: what an explanation calls is a copy, and it is proved to be one.

An explanation calls a model hundreds of times, in the middle of somebody else's training, and a
model may remember its calls anywhere. So the model itself is never called. In five steps,
:func:`~lightning_shap.isolation.isolated.isolated`

1. looks at all that hangs on the model (``object_graph``), as Python's collector sees it, so that
   none of the model's own code runs;
2. copies it (``copying``): one rule for each kind of thing that ``copy.deepcopy`` would hand out as
   it is or refuse; ``tensors`` keep the memory that they share, and ``stand_ins`` take the place of
   what nobody can copy, such as an open file, and refuse to be used;
3. audits the copy (``audit``): a thing that can change, and that both the copy and the original
   hold, is a refusal in one sentence that names the path to it. Excepted is a short list of what
   is shared on purpose, by the library that defines it (``kinds``): trainer, loggers, process
   groups;
4. lends users' classes copies of what their attributes hold, seeds the generators that everybody
   shares, runs compiled code as it is written (``host``);
5. and gives all of that back, whatever ends the work, an interrupt at any line too.

Nothing is restored that was changed, as nothing of the model's is. Beside it, ``modes`` evaluates
modules, and ``signals`` tells a handler's errors from ours. What prepares the data is called by the
same means, or in a process of its own: see :mod:`lightning_shap.training.samples.reading`.
"""
