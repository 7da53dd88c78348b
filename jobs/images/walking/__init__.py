"""Finding the images of folders: walking, patterns, bundles, shots, and arrivals while a folder is watched.

No image is opened here.
"""
