"""The exit statuses of `captionq`. Click itself exits with 2 when the command line is wrong."""

ALL_CAPTIONED = 0
SOME_FAILED = 1
#: Ended by Ctrl-C, as shells report it: 128 + SIGINT.
INTERRUPTED = 130
