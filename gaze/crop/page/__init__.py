"""The HTML report of a run.

What may live here: what turns records and previews into a page, and the page's own HTML, CSS and JavaScript. Loaded
only where a report is asked for.
"""
