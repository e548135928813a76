"""Many photos: which there are, who crops them, what is done already, how thumbnails reach their places, what is told.

What may live here: the loop over photos and what it stands on, on this machine's processes and disks. Whoever else
wants to be told of each photo, such as a page, implements the protocol `ledger.Page`.
"""
