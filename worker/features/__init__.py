"""Features of images on the disk, within a budget: later questions about an image skip the vision tower.

Nothing here knows a model or a request.
"""
