"""Saliency map + aspect ratio -> boxes: the sums under windows, and the choice by them. Pure: no I/O, no model."""
