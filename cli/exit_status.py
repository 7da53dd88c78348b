"""The exit statuses of `captionq`. Click itself exits with 2 when the command line is wrong.

Which of them a caption run ends with is decided in `cli/runs/caption_run.py`.
"""

ALL_CAPTIONED = 0
SOME_FAILED = 1
#: A worker that belongs to another command ended because it was drained: that command starts no other.
DRAINED = 3
#: Ended by Ctrl-C, as shells report it: 128 + SIGINT.
INTERRUPTED = 130
