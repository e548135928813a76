"""Many photos: which there are, who crops them, what is done already, how thumbnails reach their places."""
