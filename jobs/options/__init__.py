"""The options of a caption run, which `captionq caption` and `POST /v1/folders` share: one model a concern, one field an option.

A field's name, type, limits, default and description make both the option of the command line and the field of the body.
"""
