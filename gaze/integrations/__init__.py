"""gaze where photographs are cropped and where gaze is studied: one file a host, which names it in its configuration.

What may live here: the file of each host, which alone may import that host, `focal_areas` (what hosts take in place of
boxes) and `hosting` (what each of them does with a photograph and with an error). Nothing here is imported by any other
room or before a host asks for it; each host is an extra of its own (README.md, Installs).
"""
