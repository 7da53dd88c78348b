"""Images that captionq stores: blobs, uploads and the entries of zips, under safe names.

Images that stay where they are have no copy here.
"""
