"""Saliency map + aspect ratio -> boxes.

What may live here: pure functions of arrays and numbers, without I/O or a model. `windows` does the sums, what each
window holds and what its sides cut, `heads` those over heads; `policy` says what makes a good one, `choice` takes it.
"""
