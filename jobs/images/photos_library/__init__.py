"""The pictures of a library of the Photos app: which of them a run takes, their files and what Photos knows about them.

Nothing is ever written into a library.
"""
