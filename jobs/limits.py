"""Limits that the command line shows and the requests enforce."""

#: Tokens of one answer. More is never meant: it would keep a slot of the batch busy for hours. The worker checks the model's own
#: context besides.
MAX_TOKENS = 32_768
